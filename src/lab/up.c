/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `lab up`: reads the file, plans, takes the folder, opens the sockets on the machine's loopback,
 * starts the keeper in new namespaces and waits until the lab works. Blocks; the caller's process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "lab/keeper.h"
#include "lab/ready.h"
#include "lab/space.h"
#include "net/sock.h"

#define BUILD_MS 60000

struct up {
	const struct lab_options *o;
	struct keeper *k;
	int keeper; /* socket to it */
	pid_t pid;
	char why[1024];
};

/* --- before the keeper ---------------------------------------------------------------------- */

static int find_paths(struct up *u)
{
	struct keeper *k = u->k;
	ssize_t n;

	if (!realpath(u->o->conf_path, k->conf)) {
		snprintf(u->why, sizeof(u->why), "%s: %s", u->o->conf_path, strerror(errno));
		return ERR_NOT_FOUND;
	}
	if (u->o->binary && !realpath(u->o->binary, k->binary)) {
		snprintf(u->why, sizeof(u->why), "%s: %s", u->o->binary, strerror(errno));
		return ERR_NOT_FOUND;
	}
	n = u->o->binary ? 1 : readlink("/proc/self/exe", k->binary, sizeof(k->binary) - 1);
	if (n <= 0 || !getcwd(k->cwd, sizeof(k->cwd))) {
		snprintf(u->why, sizeof(u->why), "cannot find this program's own file: %s",
		         strerror(errno));
		return ERR_SYSTEM;
	}
	return OK;
}

/* A node's state folder holds sockets, whose paths are short. */
static int check_lengths(struct up *u)
{
	for (unsigned i = 0; i < u->k->plan.nnodes; i++) {
		if (strlen(u->k->dir) + strlen(u->k->plan.hosts[i].name) + 13 <= 80)
			continue;
		snprintf(u->why, sizeof(u->why),
		         "%s/nodes/%s/state is too long for the sockets in it: give a shorter "
		         "folder with --state",
		         u->k->dir, u->k->plan.hosts[i].name);
		return ERR_TOO_LARGE;
	}
	return OK;
}

/* All namespaces share one table of neighbours: a lab that fills it would cut off the machine as
 * well. Each node talks to each other host. */
static int check_neighbours(struct up *u)
{
	unsigned nodes = u->k->plan.nnodes, others = u->k->plan.nhosts - nodes;
	unsigned need = nodes * (nodes - 1) + 2 * nodes * others + 2 * others;
	struct buf b = BUF_INIT;
	uint64_t room = 0;

	if (buf_read_file(&b, "/proc/sys/net/ipv4/neigh/default/gc_thresh3", 64) == OK)
		str_to_u64(str_trim(str_n(b.p, b.len - (b.len > 0))), UINT32_MAX, &room);
	buf_free(&b);
	if (room == 0 || need <= room / 4 * 3)
		return OK;
	snprintf(u->why, sizeof(u->why),
	         "%u hosts need up to %u entries in this machine's table of neighbours, which has "
	         "%llu for all: sysctl net.ipv4.neigh.default.gc_thresh3=%u (and for IPv6 "
	         "net.ipv6.neigh.default.gc_thresh3), or a file with fewer servers",
	         u->k->plan.nhosts, need, (unsigned long long)room, 2 * need);
	return ERR_TOO_LARGE;
}

static int plan(struct up *u)
{
	struct conf_problems problems = { 0 };
	struct conf_loaded *l = NULL;
	int err = conf_load(u->k->conf, false, &problems, &l);

	if (err != OK) {
		fputs(buf_cstr(&problems.text), stderr);
		snprintf(u->why, sizeof(u->why), "%s is not well: see above", u->o->conf_path);
	} else {
		const struct conf *c = conf_of(l);

		if (u->o->name)
			snprintf(u->k->name, sizeof(u->k->name), "%s", u->o->name);
		else
			snprintf(u->k->name, sizeof(u->k->name), "%.*s",
			         c->cluster.len ? (int)c->cluster.len : 3,
			         c->cluster.len ? c->cluster.s : "lab");
		err = lab_plan_make(c, &u->k->plan, u->why, sizeof(u->why));
	}
	buf_free(&problems.text);
	conf_free(l);
	return err;
}

/* The nodes' APIs on loopback, at ports that the kernel chooses. */
static int open_apis(struct up *u)
{
	struct net_addr any = { .in = { .sin_family = AF_INET,
		                        .sin_addr = { htonl(INADDR_LOOPBACK) } },
		                .len = sizeof(struct sockaddr_in) };

	for (unsigned i = 0; i < u->k->plan.nnodes; i++) {
		struct host *h = &u->k->hosts[i];
		struct net_addr a;

		if (!u->k->plan.has_control || u->o->bare)
			continue;
		h->api.fd = net_listen(&any, 64, 0);
		if (h->api.fd < 0) {
			snprintf(u->why, sizeof(u->why),
			         "cannot listen on 127.0.0.1 for the API of %s: %s", h->plan->name,
			         strerror(errno));
			return ERR_SYSTEM;
		}
		net_local_addr(h->api.fd, &a);
		h->api_port = net_addr_port(&a);
	}
	return OK;
}

static void close_apis(struct up *u)
{
	for (unsigned i = 0; u->k->hosts && i < u->k->plan.nnodes; i++) {
		if (u->k->hosts[i].api.fd >= 0)
			close(u->k->hosts[i].api.fd);
	}
}

static int write_hosts(struct up *u)
{
	char path[LAB_DIR + 8];

	snprintf(path, sizeof(path), "%s/hosts", u->k->dir);
	if (buf_write_file(&u->k->plan.hosts_file, path, 0644) == OK)
		return OK;
	snprintf(u->why, sizeof(u->why), "cannot write %s: %s", path, strerror(errno));
	return ERR_SYSTEM;
}

/* --- the keeper ----------------------------------------------------------------------------- */

static int start_keeper(struct up *u)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		snprintf(u->why, sizeof(u->why), "cannot make a socket pair: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	fflush(NULL);
	u->pid = lab_space_fork(u->why, sizeof(u->why));
	if (u->pid == 0) {
		close(ends[0]);
		lab_keeper_main(u->k, ends[1]);
	}
	close(ends[1]);
	u->keeper = ends[0];
	return u->pid > 0 ? OK : (int)u->pid;
}

/* "ok", or why not. */
static int hear_keeper(struct up *u)
{
	struct pollfd p = { .fd = u->keeper, .events = POLLIN };
	uint64_t start = clock_mono();
	char text[512] = "";
	int n = poll(&p, 1, 2000);

	if (n == 0) {
		fprintf(stderr, "lab: building %u hosts …\n", u->k->plan.nhosts);
		n = poll(&p, 1, BUILD_MS);
	}
	if (n <= 0 || read(u->keeper, text, sizeof(text) - 1) <= 0)
		snprintf(u->why, sizeof(u->why), "the lab ended while it was built, after %llu ms",
		         (unsigned long long)((clock_mono() - start) / NS_PER_MS));
	else if (strcmp(text, "ok") == 0)
		return OK;
	else
		snprintf(u->why, sizeof(u->why), "%s", text);
	return ERR_REFUSED;
}

/* Closes the socket, which ends a keeper that was not told to stay, and waits for that. */
static void drop_keeper(struct up *u)
{
	close(u->keeper);
	u->keeper = -1;
	while (waitpid(u->pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

/* Until a signal tells us to end, or the lab ends by itself. */
static int stay(struct up *u, int signals)
{
	struct signalfd_siginfo taken; /* else it would come when it is unblocked */
	struct pollfd p[2] = { { .fd = signals, .events = POLLIN },
		               { .fd = u->keeper, .events = POLLIN | POLLRDHUP } };

	while (poll(p, 2, -1) < 0 && errno == EINTR) {
	}
	if (p[0].revents != 0 && read(signals, &taken, sizeof(taken)) > 0)
		fprintf(stderr, "lab: ending …\n");
	drop_keeper(u);
	return 0;
}

static int open_signals(sigset_t *before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, before);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int finish_up(struct up *u)
{
	sigset_t before;
	int signals;

	if (!u->o->foreground) {
		if (write(u->keeper, "stay", 4) != 4) {
			snprintf(u->why, sizeof(u->why), "the lab ended as soon as it stood");
			drop_keeper(u);
			return ERR_CLOSED;
		}
		if (u->o->ready)
			u->o->ready(u->k->dir, u->o->arg);
		close(u->keeper);
		return OK;
	}
	signals = open_signals(&before);
	if (u->o->ready)
		u->o->ready(u->k->dir, u->o->arg);
	fflush(stdout);
	stay(u, signals);
	close(signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return OK;
}

/* With the folder ours. */
static int build(struct up *u)
{
	int err = write_hosts(u);

	if (err == OK && lab_program_plan(u->k) != OK) {
		snprintf(u->why, sizeof(u->why), "out of memory");
		err = ERR_NOMEM;
	}
	if (err == OK)
		err = open_apis(u);
	if (err == OK)
		err = start_keeper(u);
	close_apis(u);
	if (err != OK) {
		lab_dir_remove(u->k->dir);
		return err;
	}
	err = hear_keeper(u);
	if (err == OK)
		err = lab_ready_wait(u->k->dir, u->o->bare, u->why, sizeof(u->why));
	if (err == OK)
		return finish_up(u);
	drop_keeper(u);
	lab_dir_remove(u->k->dir);
	return err;
}

int lab_up(const struct lab_options *o)
{
	struct up u = { .o = o, .keeper = -1 };
	int err;

	u.k = calloc(1, sizeof(*u.k));
	if (!u.k) {
		fprintf(stderr, "holdfast lab: out of memory\n");
		return 1;
	}
	u.k->options = o;
	err = find_paths(&u);
	if (err == OK)
		err = plan(&u);
	if (err == OK)
		err = lab_dir_path(u.k->name, o->dir, u.k->dir, u.why, sizeof(u.why));
	if (err == OK)
		err = check_lengths(&u);
	if (err == OK)
		err = check_neighbours(&u);
	if (err == OK)
		err = lab_dir_take(u.k->dir, &u.k->lock, u.why, sizeof(u.why));
	if (err == OK) {
		if (u.k->plan.notes.len > 0)
			fprintf(stderr, "%s", buf_cstr(&u.k->plan.notes));
		err = build(&u);
		close(u.k->lock);
	}
	if (err == ERR_EXISTS && lab_dir_alive(u.k->dir))
		fprintf(
		    stderr,
		    "holdfast lab: %s: end it with \"holdfast lab down --name %s\", or give this "
		    "one another --name\n",
		    u.why, u.k->name);
	else if (err != OK)
		fprintf(stderr, "holdfast lab: %s\n", u.why);
	lab_plan_free(&u.k->plan);
	free(u.k->hosts);
	free(u.k->programs);
	free(u.k);
	return err == OK ? 0 : 1;
}
