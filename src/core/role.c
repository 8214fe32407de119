/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness of a role: process set-up, the loop, configurations and their transaction, life
 * signs, and waiting for a new parent when the present one dies. Main thread of a role.
 *
 * A configuration has one user, the harness, from its arrival until it is aborted or another one is
 * committed; a role with keeps_conf is a second user from the commit on.
 */
#include "core/role.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/handover.h"
#include "core/logsink.h"
#include "core/privilege.h"
#include "core/role_fds.h"
#include "net/sock.h"

#define LEAVE_PATIENCE NS_PER_S

struct held_conf {
	struct role_conf pub;
	int image_fd;
	struct held_conf *next;
};

struct harness {
	struct role role;
	struct loop_io parent_io;
	struct loop_io adopt_io;
	struct loop_io signal_io;
	struct loop_timer pulse;
	struct loop_timer leave; /* for the parent's word after a SIGTERM */
	struct handover in;
	struct held_conf *confs; /* all that have users */
	struct held_conf *next;  /* being prepared or prepared */
	uint32_t prepare_id;
	bool preparing; /* the role has not answered yet */
	bool started;
	bool ready;
	bool draining;
	unsigned terms; /* SIGTERMs received */
	int status;     /* of the process */
	int board_fd;
};

static struct harness *harness_of(struct role *r)
{
	return CONTAINER_OF(r, struct harness, role);
}

const struct role_ops *role_find(const char *name)
{
	for (unsigned i = 0; role_table[i]; i++) {
		if (strcmp(role_table[i]->name, name) == 0)
			return role_table[i];
	}
	return NULL;
}

/* --- configurations ------------------------------------------------------------------------- */

/* Maps what has arrived. It takes the descriptors over even when it fails. */
static int conf_take(struct harness *h, struct held_conf **ret, char *why, size_t why_size)
{
	struct held_conf *c = calloc(1, sizeof(*c));
	int err;

	if (!c || h->in.lead[HANDOVER_IMAGE] < 0) {
		snprintf(why, why_size, "%s", c ? "no image came with it" : "out of memory");
		free(c);
		handover_drop(&h->in);
		return c ? ERR_SYNTAX : ERR_NOMEM;
	}
	c->image_fd = h->in.lead[HANDOVER_IMAGE];
	err = conf_image_map(c->image_fd, &c->pub.conf);
	if (err != OK) {
		snprintf(why, why_size, "cannot map the configuration: %s", err_text(err));
		free(c);
		handover_drop(&h->in);
		return err;
	}
	h->in.lead[HANDOVER_IMAGE] = -1;
	c->pub.image_fd = c->image_fd;
	c->pub.fds = h->in.fds;
	c->pub.nfds = h->in.nfds;
	h->in.fds = NULL;
	h->in.nfds = 0;
	handover_drop(&h->in);
	c->pub.users = 1;
	c->next = h->confs;
	h->confs = c;
	*ret = c;
	return OK;
}

static void conf_put(struct harness *h, const struct role_conf *pub)
{
	struct held_conf **at = &h->confs;
	struct held_conf *c;

	while (*at && &(*at)->pub != pub)
		at = &(*at)->next;
	c = *at;
	if (!c || --c->pub.users > 0)
		return;
	*at = c->next;
	for (unsigned i = 0; i < c->pub.nfds; i++)
		close(c->pub.fds[i].fd);
	free(c->pub.fds);
	conf_image_unmap(c->pub.conf);
	close(c->image_fd);
	free(c);
}

void role_release(struct role *r, const struct role_conf *c)
{
	conf_put(harness_of(r), c);
}

int role_conf_fd(const struct role_conf *c, enum role_fd_kind kind, unsigned index, unsigned sub)
{
	for (unsigned i = 0; i < c->nfds; i++) {
		const struct role_fd *f = &c->fds[i];

		if (f->kind == kind && f->index == index && f->sub == sub)
			return f->fd;
	}
	return -1;
}

/* --- towards the parent --------------------------------------------------------------------- */

int role_send(struct role *r, enum ipc_type type, uint32_t id, const void *payload, size_t len)
{
	return ipc_send(r->parent, type, id, payload, len, NULL, 0);
}

static int send_raw(void *arg, enum ipc_type type, uint32_t id, const void *payload, size_t len,
                    const int *fds, int nfds)
{
	struct harness *h = arg;

	return ipc_send(h->role.parent, type, id, payload, len, fds, nfds);
}

static void say_hello(struct harness *h)
{
	const struct role_conf *c = h->role.conf;
	struct handover_head head = {
		.instance = h->role.instance,
		.pid = (int32_t)getpid(),
		.ready = h->ready,
		.draining = h->draining,
		.generation = c ? c->conf->generation : 0,
	};
	int lead[HANDOVER_LEADS];

	snprintf(head.role, sizeof(head.role), "%s", h->role.ops->name);
	if (!c) {
		handover_send(send_raw, h, IPC_HELLO, 0, &head, NULL, 0, NULL, 0);
		return;
	}
	lead[HANDOVER_IMAGE] = CONTAINER_OF(c, struct held_conf, pub)->image_fd;
	lead[HANDOVER_BOARD] = h->board_fd;
	handover_send(send_raw, h, IPC_HELLO, 0, &head, lead, HANDOVER_LEADS, c->fds, c->nfds);
}

void role_ready(struct role *r)
{
	struct harness *h = harness_of(r);

	if (h->ready)
		return;
	h->ready = true;
	role_send(r, IPC_READY, 0, NULL, 0);
}

void role_exit(struct role *r)
{
	r->loop->stop = true;
}

static void fail(struct harness *h, const char *why)
{
	log_error("role_failed", NULL, "%s", why);
	ipc_send_result(h->role.parent, IPC_PREPARED, 0, ERR_REFUSED, 0, why);
	h->status = 3;
	role_exit(&h->role);
}

/* --- the transaction ------------------------------------------------------------------------ */

static void forget_next(struct harness *h)
{
	if (!h->next)
		return;
	h->role.ops->abort(&h->role);
	conf_put(h, &h->next->pub);
	h->next = NULL;
	h->preparing = false;
}

void role_prepared(struct role *r, int err, const char *why)
{
	struct harness *h = harness_of(r);

	if (!h->preparing)
		return;
	h->preparing = false;
	ipc_send_result(r->parent, IPC_PREPARED, h->prepare_id, err, 0, err == OK ? "" : why);
	if (err != OK) {
		conf_put(h, &h->next->pub);
		h->next = NULL;
	}
}

static void on_prepare(struct harness *h)
{
	char why[1024] = "";
	int err;

	forget_next(h);
	h->prepare_id = h->in.id;
	err = h->draining ? ERR_UNEXPECTED : OK;
	if (err != OK) {
		snprintf(why, sizeof(why), "it is about to end");
		handover_drop(&h->in);
	} else {
		err = conf_take(h, &h->next, why, sizeof(why));
	}
	if (err != OK) {
		ipc_send_result(h->role.parent, IPC_PREPARED, h->prepare_id, err, 0, why);
		return;
	}
	h->preparing = true;
	err = h->role.ops->prepare(&h->role, &h->next->pub, why, sizeof(why));
	if (err != ERR_AGAIN)
		role_prepared(&h->role, err, why[0] ? why : err_text(err));
}

static void on_commit(struct harness *h, uint32_t id)
{
	const struct role_conf *old = h->role.conf;

	if (!h->next || h->preparing) {
		fail(h, "told to commit what was never prepared");
		return;
	}
	h->role.conf = &h->next->pub;
	if (h->role.ops->keeps_conf)
		h->next->pub.users++;
	h->next = NULL;
	logsink_apply(h->role.conf->conf);
	h->role.ops->commit(&h->role);
	conf_put(h, old);
	role_send(&h->role, IPC_COMMITTED, id, NULL, 0);
}

/* What the role was to have and has not. */
static void tell_rights(const struct role_ops *ops)
{
	uint64_t missing = privilege_missing(ops->capabilities);
	char names[256];

	if (missing != 0)
		log_warning(
		    "privilege", NULL,
		    "it goes on without %s, which the node does not have: start it as root, "
		    "or let the service manager give it these capabilities",
		    privilege_names(missing, names, sizeof(names)));
	if (ops->realtime && !privilege_is_realtime())
		log_info("privilege", NULL,
		         "real-time priority is not permitted here: a busy machine may delay it");
}

static void on_start(struct harness *h)
{
	struct held_conf *first;
	char why[1024] = "";
	int err;

	if (h->started || h->in.lead[HANDOVER_BOARD] < 0) {
		fail(h, "started twice or without a board");
		return;
	}
	h->board_fd = h->in.lead[HANDOVER_BOARD];
	h->in.lead[HANDOVER_BOARD] = -1;
	err = board_map(h->board_fd, &h->role.board);
	if (err != OK) {
		snprintf(why, sizeof(why), "cannot map the board: %s", err_text(err));
		fail(h, why);
		return;
	}
	log_set_journal(board_journal, h->role.board);
	if (conf_take(h, &first, why, sizeof(why)) != OK) {
		fail(h, why);
		return;
	}
	h->started = true;
	h->role.conf = &first->pub;
	if (h->role.ops->keeps_conf)
		first->pub.users++;
	logsink_apply(first->pub.conf);
	tell_rights(h->role.ops);
	err = h->role.ops->start(&h->role, &first->pub, why, sizeof(why));
	if (err != OK)
		fail(h, why[0] ? why : err_text(err));
}

/* New files take the places of the old ones: the numbers stay, the role is told. */
static void on_logs(struct harness *h, struct ipc_msg *m)
{
	for (unsigned i = 0; i < h->in.nfds; i++) {
		const struct role_fd *f = &h->in.fds[i];
		int old = h->role.conf ? role_conf_fd(h->role.conf, f->kind, f->index, f->sub) : -1;

		if (old >= 0 && dup3(f->fd, old, O_CLOEXEC) < 0)
			log_warning("log_reopen", NULL, "cannot replace the access log: %s",
			            strerror(errno));
	}
	handover_drop(&h->in);
	m->type = IPC_LOGS;
	if (h->started && h->role.ops->message)
		h->role.ops->message(&h->role, m);
}

/* The new store takes the place of the one that came with the configuration: the number stays, so
 * that a later parent gets the newest. The message goes on to the role, which maps its copy. */
static void on_certs(struct harness *h, const struct ipc_msg *m)
{
	int old = h->role.conf ? role_conf_fd(h->role.conf, ROLE_FD_CERTS, 0, 0) : -1;

	if (old >= 0 && m->nfds == 1 && dup3(m->fds[0], old, O_CLOEXEC) < 0)
		log_warning("certificates", NULL, "cannot keep the new ones: %s", strerror(errno));
}

/* --- messages ------------------------------------------------------------------------------- */

/* Nothing is accepted any more: a copy kept here would leave clients in a queue nobody reads. */
static void close_listening(struct role_conf *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->nfds; i++) {
		if (c->fds[i].kind == ROLE_FD_LISTEN)
			close(c->fds[i].fd);
		else
			c->fds[n++] = c->fds[i];
	}
	c->nfds = n;
}

static void drain(struct harness *h)
{
	if (h->draining)
		return;
	h->draining = true;
	forget_next(h);
	if (!h->started) {
		role_exit(&h->role);
		return;
	}
	h->role.ops->drain(&h->role);
	for (struct held_conf *c = h->confs; c; c = c->next)
		close_listening(&c->pub);
}

static void on_handover(struct harness *h, struct ipc_msg *m)
{
	int err = m->type == IPC_MORE_FDS ? handover_more(&h->in, m) : handover_begin(&h->in, m);

	if (err != OK) {
		handover_drop(&h->in);
		fail(h, err == ERR_UNSUPPORTED ? "the parent is of another version"
		                               : "the parent sent a broken message");
		return;
	}
	if (!handover_complete(&h->in))
		return;
	switch (h->in.type) {
	case IPC_START:
		on_start(h);
		break;
	case IPC_PREPARE:
		if (h->started)
			on_prepare(h);
		break;
	case IPC_LOGS:
		on_logs(h, m);
		break;
	default:
		break;
	}
}

static void on_message(struct harness *h, struct ipc_msg *m)
{
	switch (m->type) {
	case IPC_START:
	case IPC_PREPARE:
	case IPC_LOGS:
	case IPC_MORE_FDS:
		on_handover(h, m);
		break;
	case IPC_COMMIT:
		on_commit(h, m->id);
		break;
	case IPC_ABORT:
		forget_next(h);
		break;
	case IPC_DRAIN:
		loop_timer_stop(h->role.loop, &h->leave);
		if (m->id != IPC_DRAIN_LATER)
			drain(h);
		break;
	default:
		if (m->type == IPC_CERTS)
			on_certs(h, m);
		if (h->started && h->role.ops->message)
			h->role.ops->message(&h->role, m);
		break;
	}
	ipc_msg_close(m);
}

/* --- losing and finding a parent ------------------------------------------------------------ */

static void parent_lost(struct harness *h);

static void on_parent(struct loop_io *io, uint32_t events)
{
	struct harness *h = CONTAINER_OF(io, struct harness, parent_io);
	struct ipc_msg m;
	int err;

	(void)events;
	for (;;) {
		err = ipc_recv(io->fd, &m);
		if (err != OK)
			break;
		on_message(h, &m);
		if (h->role.loop->stop)
			return;
	}
	if (err != ERR_AGAIN)
		parent_lost(h);
}

static void watch_parent(struct harness *h, int fd)
{
	h->role.parent = fd;
	h->parent_io = (struct loop_io){ .fd = fd, .fn = on_parent };
	if (loop_add_level(h->role.loop, &h->parent_io, LOOP_IN, false) != OK)
		fail(h, "cannot watch the parent");
}

/* Whoever could connect owns the folder of the socket; it must be the same user as before. */
static void on_adopt(struct loop_io *io, uint32_t events)
{
	struct harness *h = CONTAINER_OF(io, struct harness, adopt_io);
	int fd;

	(void)events;
	if (h->role.parent >= 0)
		return;
	fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	loop_remove(h->role.loop, io);
	watch_parent(h, fd);
	say_hello(h);
	log_notice("adopted", NULL, "a new parent has taken over");
}

static void parent_lost(struct harness *h)
{
	loop_remove(h->role.loop, &h->parent_io);
	close(h->role.parent);
	h->role.parent = -1;
	handover_drop(&h->in);
	forget_next(h);
	if (!h->started) {
		role_exit(&h->role);
		return;
	}
	if (h->terms > 0) {
		drain(h);
		return;
	}
	log_warning("parent_lost", NULL, "the parent has ended; serving on until a new one comes");
	h->adopt_io = (struct loop_io){ .fd = ROLE_FD_NUMBER_ADOPT, .fn = on_adopt };
	if (loop_add_level(h->role.loop, &h->adopt_io, LOOP_IN, false) != OK)
		log_error("parent_lost", NULL, "cannot wait for a new parent: %s", strerror(errno));
}

/* --- the process ---------------------------------------------------------------------------- */

static void on_pulse(struct loop_timer *t)
{
	struct harness *h = CONTAINER_OF(t, struct harness, pulse);

	role_send(&h->role, IPC_PULSE, 0, NULL, 0);
	loop_timer_set(h->role.loop, t, NS_PER_S);
}

static void on_leave(struct loop_timer *t)
{
	drain(CONTAINER_OF(t, struct harness, leave));
}

/* The parent says when: after a successor has begun, or in its turn where the whole node ends and
 * all of it got the signal. Without a word from it there is nothing to wait for. */
static void leave(struct harness *h)
{
	if (role_send(&h->role, IPC_DRAIN, 0, NULL, 0) != OK) {
		drain(h);
		return;
	}
	h->leave.fn = on_leave;
	loop_timer_set(h->role.loop, &h->leave, LEAVE_PATIENCE);
}

static void on_signal(struct loop_io *io, uint32_t events)
{
	struct harness *h = CONTAINER_OF(io, struct harness, signal_io);
	struct signalfd_siginfo info;

	(void)events;
	while (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (h->terms++ > 0) {
			role_exit(&h->role); /* told twice: at once */
			continue;
		}
		log_notice("signal", NULL, "SIGTERM from pid %u: ending in order", info.ssi_pid);
		leave(h);
	}
}

static int set_signals(struct harness *h)
{
	static const int ignored[] = { SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
	sigset_t set;
	int fd;

	for (unsigned i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return ERR_SYSTEM;
	h->signal_io = (struct loop_io){ .fd = fd, .fn = on_signal };
	return loop_add_level(h->role.loop, &h->signal_io, LOOP_IN, false);
}

/* The loop must never wait in a read; the pair came over an exec. */
static int take_parent_fds(struct harness *h)
{
	if (fcntl(ROLE_FD_NUMBER_PARENT, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(ROLE_FD_NUMBER_ADOPT, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(ROLE_FD_NUMBER_PARENT, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	    fcntl(ROLE_FD_NUMBER_ADOPT, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return ERR_SYSTEM;
	watch_parent(h, ROLE_FD_NUMBER_PARENT);
	return OK;
}

int role_main(const char *name, int argc, char **argv)
{
	static struct harness h; /* one role a process */
	const struct role_ops *ops = role_find(name);
	char title[16];

	if (!ops || argc < 3) {
		fprintf(stderr, "holdfast: --role is for holdfast's own use\n");
		return 2;
	}
	snprintf(title, sizeof(title), "holdfast: %s", name);
	prctl(PR_SET_NAME, title);
	privilege_confine(strcmp(argv[2], "drop") == 0, strcmp(argv[2], "limit") == 0,
	                  ops->capabilities);
	logsink_default();
	log_set_area(ops->name);
	h.role.ops = ops;
	h.role.instance = (unsigned)strtoul(argv[0], NULL, 10);
	h.role.state_dir = argv[1];
	h.role.loop = loop_new();
	if (!h.role.loop || set_signals(&h) != OK || take_parent_fds(&h) != OK) {
		fprintf(stderr, "holdfast: %s cannot start: %s\n", name, strerror(errno));
		return 3;
	}
	say_hello(&h);
	h.pulse.fn = on_pulse;
	h.role.loop->now = clock_mono();
	loop_timer_set(h.role.loop, &h.pulse, NS_PER_S);
	loop_run(h.role.loop);
	return h.status;
}
