/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab.sock: one packet with a request, with descriptors for `exec`, one packet back (lab.h). The
 * socket is its owner's alone, for who asks may do what the lab may. The keeper.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "lab/keeper.h"
#include "lab/packet.h"
#include "net/sock.h"

#define MAX_ASKERS 256
#define MAX_ARGV   1024
#define GRACE_NS   (2000000000ULL) /* for a program whose asker has gone */

struct asker { /* a connection */
	LIST_ENTRY(asker) link;
	struct keeper *keeper;
	struct loop_io io;
	struct loop_timer kill_timer;
	struct loop_task free_task;
	pid_t pid; /* of the program it waits for; 0: none */
};

/* --- the end of a connection ---------------------------------------------------------------- */

static void asker_free(struct loop_task *t)
{
	free(CONTAINER_OF(t, struct asker, free_task));
}

static void asker_drop(struct asker *a)
{
	LIST_REMOVE(a, link);
	loop_timer_stop(a->keeper->loop, &a->kill_timer);
	a->free_task.fn = asker_free;
	loop_defer(a->keeper->loop, &a->free_task);
}

static void asker_close(struct asker *a)
{
	if (a->io.fd < 0)
		return;
	loop_remove(a->keeper->loop, &a->io);
	close(a->io.fd);
	a->io.fd = -1;
	if (a->pid == 0) /* else when its program has ended */
		asker_drop(a);
}

static void kill_again(struct loop_timer *t)
{
	struct asker *a = CONTAINER_OF(t, struct asker, kill_timer);

	if (a->pid != 0)
		kill(-a->pid, SIGKILL);
}

/* Who asked has gone: so goes the program, with all of its session's first group. */
static void asker_gone(struct asker *a)
{
	if (a->pid != 0) {
		kill(-a->pid, SIGTERM);
		a->kill_timer.fn = kill_again;
		loop_timer_set(a->keeper->loop, &a->kill_timer, GRACE_NS);
	}
	asker_close(a);
}

static void answer(struct asker *a, json_t *j)
{
	if (a->io.fd >= 0)
		lab_packet_send(a->io.fd, j, NULL);
	json_decref(j);
	asker_close(a);
}

static void refuse(struct asker *a, const char *why)
{
	answer(a, json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

/* --- status --------------------------------------------------------------------------------- */

static const char *host_state(const struct host *h)
{
	if (h->frozen)
		return "frozen";
	for (unsigned i = 0; i < h->nprograms; i++) {
		if (h->programs[i].pid == 0)
			return "stopped";
	}
	return h->cut ? "cut" : "running";
}

static json_t *host_json(const struct host *h)
{
	static const char *const kinds[] = { "node", "server", "client" };
	const struct lab_host *p = h->plan;
	const struct program *main = h->nprograms > 0 ? &h->programs[0] : NULL;
	json_t *addresses = json_array(), *interfaces = json_array(), *blocked = json_array();
	unsigned n = h->keeper->plan.nhosts, index = (unsigned)(h - h->keeper->hosts);
	char text[NET_ADDR_TEXT];
	json_t *j;

	for (unsigned i = 0; i < p->naddresses; i++)
		json_array_append_new(addresses,
		                      json_string(net_addr_host(&p->addresses[i].ip, text)));
	for (unsigned i = 0; i < p->ninterfaces; i++)
		json_array_append_new(interfaces, json_string(p->interfaces[i]));
	for (unsigned i = 0; i < n; i++) {
		if (h->keeper->blocked[index * n + i])
			json_array_append_new(blocked, json_string(h->keeper->plan.hosts[i].name));
	}
	j = json_pack("{s:s, s:s, s:o, s:o, s:s, s:b, s:o, s:i, s:s}", "name", p->name, "kind",
	              kinds[p->kind], "addresses", addresses, "interfaces", interfaces, "state",
	              host_state(h), "cut", h->cut, "blocked", blocked, "pid",
	              main ? (int)main->pid : 0, "exit", main ? main->exit : "");
	if (h->api.fd >= 0)
		json_object_set_new(j, "api", json_sprintf("http://127.0.0.1:%u", h->api_port));
	else
		json_object_set_new(j, "api", json_null());
	if (p->kind == LAB_NODE) {
		json_object_set_new(j, "state_dir",
		                    json_sprintf("%s/nodes/%s/state", h->keeper->dir, p->name));
		json_object_set_new(j, "control_socket",
		                    json_sprintf("%s/nodes/%s/state/control.sock", h->keeper->dir,
		                                 p->name));
	}
	if (p->kind != LAB_CLIENT)
		json_object_set_new(j, "log",
		                    json_sprintf("%s/%s/%s/log", h->keeper->dir,
		                                 p->kind == LAB_NODE ? "nodes" : "servers",
		                                 p->name));
	return j;
}

static void do_status(struct asker *a)
{
	struct keeper *k = a->keeper;
	json_t *hosts = json_array();

	lab_keeper_reap(k);
	for (unsigned i = 0; i < k->plan.nhosts; i++)
		json_array_append_new(hosts, host_json(&k->hosts[i]));
	answer(a, json_pack("{s:b, s:s, s:s, s:s, s:b, s:o}", "ok", 1, "name", k->name, "dir",
	                    k->dir, "file", k->conf, "bare", k->options->bare, "hosts", hosts));
}

/* --- exec ----------------------------------------------------------------------------------- */

static void set_environment(json_t *env)
{
	for (void *i = json_object_iter(env); i; i = json_object_iter_next(env, i)) {
		const char *value = json_string_value(json_object_iter_value(i));

		if (value)
			setenv(json_object_iter_key(i), value, 1);
	}
}

/* 0 to 2 are the keeper's own: the asker's descriptors lie above them. */
static void exec_child(struct asker *a, const struct host *h, const json_t *q, const int fds[3])
{
	const char *cwd = json_string_value(json_object_get(q, "cwd"));
	const json_t *args = json_object_get(q, "argv");
	const char *argv[MAX_ARGV + 1];
	size_t n = json_array_size(args);

	for (int i = 0; i < 3; i++) {
		if (dup2(fds[i], i) < 0)
			_exit(126);
	}
	for (size_t i = 0; i < n; i++)
		argv[i] = json_string_value(json_array_get(args, i));
	argv[n] = NULL;
	lab_program_enter(h, cwd ? cwd : a->keeper->cwd);
	if (json_is_true(json_object_get(q, "terminal")) && ioctl(0, TIOCSCTTY, 0) != 0)
		fprintf(stderr, "lab: no control of the terminal: %s\n", strerror(errno));
	set_environment(json_object_get(q, "env"));
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (argv[0])
		execvp(argv[0], (char *const *)argv);
	fprintf(stderr, "lab: cannot execute %s: %s\n", argv[0] ? argv[0] : "nothing",
	        strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static bool good_argv(const json_t *args)
{
	size_t n = json_array_size(args);

	for (size_t i = 0; i < n; i++) {
		if (!json_is_string(json_array_get(args, i)))
			return false;
	}
	return n > 0 && n <= MAX_ARGV;
}

static void do_exec(struct asker *a, const json_t *q, const int *fds, int nfds)
{
	const char *name = json_string_value(json_object_get(q, "host"));
	int at = name ? lab_plan_host(&a->keeper->plan, name) : -1;
	char why[160];

	if (at < 0) {
		snprintf(why, sizeof(why), "there is no host \"%.64s\" in the lab",
		         name ? name : "");
		refuse(a, why);
		return;
	}
	if (!good_argv(json_object_get(q, "argv")) || nfds != 3) {
		refuse(a, "exec needs a program and three descriptors");
		return;
	}
	a->pid = fork();
	if (a->pid == 0)
		exec_child(a, &a->keeper->hosts[at], q, fds);
	if (a->pid < 0) {
		a->pid = 0;
		refuse(a, "cannot start a process");
	}
}

bool lab_serve_exited(struct keeper *k, pid_t pid, int status)
{
	struct asker *a;

	LIST_FOREACH (a, &k->askers, link) {
		if (a->pid != pid)
			continue;
		a->pid = 0;
		status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if (a->io.fd >= 0)
			answer(a, json_pack("{s:b, s:i}", "ok", 1, "status", status));
		else
			asker_drop(a);
		return true;
	}
	return false;
}

/* --- requests ------------------------------------------------------------------------------- */

static void do_fault(struct asker *a, const json_t *q)
{
	char why[512] = "";
	uint64_t at = 0;

	if (lab_fault(a->keeper, q, &at, why, sizeof(why)) != OK)
		refuse(a, why);
	else
		answer(a, json_pack("{s:b, s:I}", "ok", 1, "at_ns", (json_int_t)at));
}

static void take(struct asker *a, const json_t *q, const int *fds, int nfds)
{
	const char *what = json_string_value(json_object_get(q, "do"));

	if (!what) {
		refuse(a, "the request is not understood");
	} else if (strcmp(what, "status") == 0) {
		do_status(a);
	} else if (strcmp(what, "exec") == 0) {
		do_exec(a, q, fds, nfds);
	} else if (strcmp(what, "fault") == 0) {
		do_fault(a, q);
	} else if (strcmp(what, "down") == 0) {
		struct keeper *k = a->keeper;

		answer(a, json_pack("{s:b}", "ok", 1));
		lab_keeper_end(k, "it was told to");
	} else {
		refuse(a, "the request is not known");
	}
}

static void on_packet(struct loop_io *io, uint32_t events)
{
	struct asker *a = CONTAINER_OF(io, struct asker, io);
	int fds[3], nfds = 3, err;
	json_t *q = NULL;

	(void)events;
	if (a->pid != 0) { /* nothing more is expected: it is the end */
		asker_gone(a);
		return;
	}
	err = lab_packet_receive(io->fd, &q, fds, &nfds);
	if (err == ERR_AGAIN)
		return;
	if (err == OK)
		take(a, q, fds, nfds);
	else
		asker_close(a);
	for (int i = 0; i < nfds; i++)
		close(fds[i]);
	json_decref(q);
}

static void on_accept(struct loop_io *io, uint32_t events)
{
	struct keeper *k = CONTAINER_OF(io, struct keeper, sock_io);
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned n = 0;
	struct asker *a;

	(void)events;
	if (fd < 0)
		return;
	LIST_FOREACH (a, &k->askers, link)
		n++;
	a = n < MAX_ASKERS ? calloc(1, sizeof(*a)) : NULL;
	if (!a) {
		close(fd);
		return;
	}
	a->keeper = k;
	a->io = (struct loop_io){ .fd = fd, .fn = on_packet };
	LIST_INSERT_HEAD(&k->askers, a, link);
	if (loop_add_level(k->loop, &a->io, LOOP_IN | LOOP_RDHUP, false) != OK)
		asker_close(a);
}

int lab_serve_open(struct keeper *k, char *why, size_t why_size)
{
	k->sock_io.fn = on_accept;
	k->sock_io.fd = lab_packet_listen(k->dir);
	if (k->sock_io.fd >= 0 && loop_add_level(k->loop, &k->sock_io, LOOP_IN, false) == OK)
		return OK;
	snprintf(why, why_size, "cannot make %s/lab.sock: %s", k->dir, strerror(errno));
	return ERR_SYSTEM;
}
