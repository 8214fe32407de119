/* SPDX-License-Identifier: Apache-2.0 */
/* The loader: both sides. The child keeps the right to read what the node may read (files of keys
 * may be root's) and gives up the rest: no new privileges, bounded time and memory. */
#include "core/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/conf.h"
#include "core/role_fds.h"
#include "net/sock.h"

#define LOADER_TEXT_MAX (1u << 20)

struct loader_packet {
	int32_t err;
	uint32_t errors;
	uint32_t warnings;
};

int loader_start(struct helper *l, const char *path, bool colour)
{
	const char *const argv[] = { "holdfast: loader", "--role", "loader", path,
		                     colour ? "1" : "0", NULL };

	return helper_start(l, argv, NULL, 0);
}

/* The problems' text: the child has written it into a memory file. */
static void read_text(int fd, struct buf *out)
{
	char *room;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > LOADER_TEXT_MAX)
		return;
	room = malloc((size_t)st.st_size);
	if (!room)
		return;
	n = pread(fd, room, (size_t)st.st_size, 0);
	if (n > 0)
		buf_add(out, room, (size_t)n);
	free(room);
}

static int take(const struct helper *l, uint64_t timeout_ns, struct loader_answer *ret)
{
	struct loader_packet p;
	int fds[2];
	int nfds = 2;
	ssize_t n;

	if (!helper_wait(l, timeout_ns)) {
		buf_printf(&ret->problems, "reading the file took more than %u s",
		           (unsigned)(timeout_ns / NS_PER_S));
		return ERR_TIMEOUT;
	}
	n = net_recv_fds(l->fd, &p, sizeof(p), fds, &nfds);
	if (n != (ssize_t)sizeof(p) || nfds < 1 || (p.err == OK) != (nfds == 2)) {
		for (int i = 0; n >= 0 && i < nfds; i++)
			close(fds[i]);
		buf_adds(&ret->problems, "the process that reads the file ended unexpectedly");
		return ERR_CLOSED;
	}
	read_text(fds[0], &ret->problems);
	close(fds[0]);
	ret->image = nfds == 2 ? fds[1] : -1;
	ret->errors = p.errors;
	ret->warnings = p.warnings;
	return p.err;
}

void loader_finish(struct helper *l, uint64_t timeout_ns, struct loader_answer *ret)
{
	*ret = (struct loader_answer){ .image = -1 };
	ret->err = take(l, timeout_ns, ret);
	helper_end(l);
}

/* --- the child ------------------------------------------------------------------------------ */

static int text_file(const struct buf *text)
{
	int fd = memfd_create("problems", MFD_CLOEXEC);
	size_t len = text->len > LOADER_TEXT_MAX ? LOADER_TEXT_MAX : text->len;

	if (fd >= 0 && len > 0 && write(fd, text->p, len) != (ssize_t)len) {
		close(fd);
		return -1;
	}
	return fd;
}

int loader_main(int argc, char **argv)
{
	struct conf_problems problems = { 0 };
	struct conf_loaded *loaded = NULL;
	struct loader_packet p;
	int fds[2] = { -1, -1 };
	int nfds = 1;

	if (argc < 2)
		return 2;
	prctl(PR_SET_NAME, "holdfast: loade");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	alarm((unsigned)(LOADER_TIME / NS_PER_S));
	p.err = conf_load(argv[0], argv[1][0] == '1', &problems, &loaded);
	if (p.err == OK) {
		p.err = conf_image_write(loaded, &fds[1]);
		if (p.err == OK)
			nfds = 2;
		else
			buf_printf(&problems.text, "cannot write the image: %s\n", err_text(p.err));
	}
	p.errors = problems.errors;
	p.warnings = problems.warnings;
	fds[0] = text_file(&problems.text);
	if (fds[0] < 0 || net_send_fds(ROLE_FD_NUMBER_PARENT, &p, sizeof(p), fds, nfds) != OK)
		return 3;
	/* The kernel frees everything; exit handlers would only cost time. */
	_exit(0);
}
