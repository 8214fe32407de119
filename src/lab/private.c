/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's own folders: where the file has it make sockets and logs, an overlay shows the machine's
 * folder and keeps in memory what the node changes. So nodes do not meet in one file, and the
 * machine's stays as it is. The machine's log daemons are hidden. A host's child of the keeper, in
 * the host's mount namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "lab/keeper.h"

#define PLACE (LAB_DIR + LAB_NAME + 24)

static bool is_below(const char *path, const char *above)
{
	size_t len = strlen(above);

	return strncmp(path, above, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* The closest folder above that exists; "" where that is the root. */
static void existing(const char *path, char out[LAB_FOLDER])
{
	struct stat st;
	char *slash;

	snprintf(out, LAB_FOLDER, "%s", path);
	while (out[0] != '\0' && (stat(out, &st) != 0 || !S_ISDIR(st.st_mode))) {
		slash = strrchr(out, '/');
		*slash = '\0';
	}
}

static void make_all(const char *path)
{
	char part[LAB_FOLDER];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		mkdir(part, 0755);
		*p = c;
		if (c == '\0')
			return;
	}
}

/* The lab's own folder may lie in one that is replaced: it must be the machine's. */
static int bring_back(const char *dir, int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return mount(path, dir, NULL, MS_BIND | MS_REC, NULL);
}

static int replace(const struct keeper *k, const char *folder, const char *place, unsigned n)
{
	char options[LAB_FOLDER + 2 * PLACE + 64], upper[PLACE + 16], work[PLACE + 16];
	int fd = open(k->dir, O_PATH | O_DIRECTORY | O_CLOEXEC), ret;

	snprintf(upper, sizeof(upper), "%s/%u", place, n);
	snprintf(work, sizeof(work), "%s/w%u", place, n);
	snprintf(options, sizeof(options), "userxattr,lowerdir=%s,upperdir=%s,workdir=%s", folder,
	         upper, work);
	if (fd < 0 || mkdir(upper, 0755) != 0 || mkdir(work, 0755) != 0)
		ret = -1;
	else
		ret = mount("overlay", folder, "overlay", 0, options);
	if (ret == 0 && is_below(k->dir, folder))
		ret = bring_back(k->dir, fd);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* What the overlay's root shows must let others in as the folder itself did. */
static void copy_mode(const char *folder, const char *place, unsigned n)
{
	char upper[PLACE + 16];
	struct stat st;

	snprintf(upper, sizeof(upper), "%s/%u", place, n);
	if (stat(folder, &st) == 0)
		chmod(upper, st.st_mode & 07777);
}

static void say(const struct lab_host *h, const char *folder)
{
	fprintf(stderr, "host %s: has no %s of its own, but the machine's: %s\n", h->name, folder,
	        strerror(errno));
}

/* What a node tells journald or syslog belongs into its log, not into the machine's: without a
 * daemon to tell, it goes to standard error. */
static void hide_log_daemons(void)
{
	static const char journal[] = "/run/systemd/journal";

	if (access(journal, F_OK) == 0 &&
	    mount("tmpfs", journal, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0)
		fprintf(stderr, "cannot hide %s: %s\n", journal, strerror(errno));
	if (access("/dev/log", F_OK) == 0 &&
	    mount("/dev/null", "/dev/log", NULL, MS_BIND, NULL) != 0)
		fprintf(stderr, "cannot hide /dev/log: %s\n", strerror(errno));
}

void lab_private_folders(const struct keeper *k, const struct lab_host *h)
{
	char place[PLACE], found[LAB_MAX_FOLDERS][LAB_FOLDER];
	unsigned n = 0;

	hide_log_daemons();
	if (k->plan.nfolders == 0)
		return;
	snprintf(place, sizeof(place), "%s/nodes/%s/files", k->dir, h->name);
	make_all(place);
	if (mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
		say(h, place);
		return;
	}
	for (unsigned i = 0; i < k->plan.nfolders; i++) {
		bool done = false;

		existing(k->plan.folders[i], found[n]);
		for (unsigned j = 0; j < n; j++)
			done = done || is_below(found[n], found[j]);
		if (!done && found[n][0] != '\0') {
			if (replace(k, found[n], place, n) != 0) {
				say(h, found[n]);
				continue;
			}
			copy_mode(found[n], place, n);
			n++;
			done = true;
		}
		if (done)
			make_all(k->plan.folders[i]);
	}
}
