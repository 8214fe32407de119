/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role check as its harness sees it: start, reload as a transaction, messages, end. Ready means
 * that every server has a first verdict, after a while that every pool has a proven server, or that
 * a second has passed; a reload is prepared when no
 * pool would lose its last proven server by it, or when new servers had their time to prove
 * themselves. Main thread.
 */
#include "check/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "check/ping.h"
#include "check/server.h"
#include "net/ping.h"

#define START_PATIENCE   NS_PER_S
#define START_ALL        (150 * NS_PER_MS) /* so long at start, the verdict on all is waited for */
#define PREPARE_PATIENCE (2 * NS_PER_S)
#define PREPARE_MARGIN   (200 * NS_PER_MS)
#define OTHER_FDS        512 /* descriptors left for all but kept connections */

static int send_exec(struct probe_env *env, uint32_t id, const char *server)
{
	struct check *c = env->arg;
	struct ipc_exec e = { .status = -1 };

	(void)snprintf(e.server, sizeof(e.server), "%s", server);
	return role_send(c->role, IPC_EXEC, id, &e, sizeof(e));
}

/* Half of the descriptors may hold connections between probes; the rest is for running ones. */
static unsigned kept_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= 2 * OTHER_FDS) {
		return 0;
	}
	return (unsigned)MIN((limit.rlim_cur - OTHER_FDS) * 3 / 4, (rlim_t)BOARD_MAX_SERVERS);
}

static void prepared(struct check *c)
{
	c->preparing = false;
	if (c->ready) {
		loop_timer_stop(c->env.loop, &c->patience);
	}
	role_prepared(c->role, OK, "");
}

static void become_ready(struct check *c)
{
	c->ready = true;
	if (!c->preparing) {
		loop_timer_stop(c->env.loop, &c->patience);
	}
	role_ready(c->role);
}

static void on_progress(struct loop_task *t)
{
	struct check *c = CONTAINER_OF(t, struct check, progress);

	if (!c->ready && (c->unproved == 0 || (c->hurried && check_set_waiting(c->now) == 0))) {
		become_ready(c);
	}
	if (c->preparing && check_set_waiting(c->next) == 0) {
		prepared(c);
	}
}

static void on_patience(struct loop_timer *t)
{
	struct check *c = CONTAINER_OF(t, struct check, patience);

	if (!c->ready && !c->hurried) {
		/* From now on one proven server in each pool is enough. */
		c->hurried = true;
		check_set_wait(c->now);
		loop_timer_set(c->env.loop, &c->patience, START_PATIENCE - START_ALL);
		on_progress(&c->progress);
		return;
	}
	if (!c->ready) {
		log_notice("check_impatient", NULL, "%u of %u servers have no first verdict yet",
		           c->unproved, c->now->nservers);
		become_ready(c);
	}
	if (c->preparing) {
		uint32_t n = check_set_waiting(c->next);

		log_warning("reload_unproved", NULL, "%u pool%s without a proven server yet", n,
		            n == 1 ? "" : "s");
		prepared(c);
	}
}

/* Without the sockets ping checks say that they cannot be run. */
static void use_ping(struct check *c, const struct role_conf *conf)
{
	int err = ping_use(&c->env, role_conf_fd(conf, ROLE_FD_PING, 0, 4),
	                   role_conf_fd(conf, ROLE_FD_PING, 0, 6));

	if (err != OK) {
		log_warning("check_not_run", NULL, "ping checks: %s", err_text(err));
	}
}

static int check_start(struct role *r, const struct role_conf *first, char *why, size_t why_size)
{
	struct check *c = calloc(1, sizeof(*c));
	struct check_set *set;
	int err;

	if (c == NULL) {
		(void)snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	r->data = c;
	c->role = r;
	c->notify.fd = -1;
	c->patience.fn = on_patience;
	c->progress.fn = on_progress;
	probe_env_init(&c->env, r->loop, kept_max());
	c->env.exec = send_exec;
	c->env.arg = c;
	use_ping(c, first);
	err = check_set_new(c, first, &set, why, why_size);
	if (err != OK) {
		return err;
	}
	check_set_begin(c, set);
	check_publish_to(c, first);
	check_set_commit(c, set);
	check_passive_listen(c, first);
	check_passive_scan(c); /* reports made while nobody listened */
	loop_timer_set(r->loop, &c->patience, START_ALL);
	loop_defer(r->loop, &c->progress);
	return OK;
}

/* How long new servers may take to prove themselves. */
static uint64_t patience_of(const struct check_set *set)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < set->npools; i++) {
		if (set->pools[i].waiting) {
			most = MAX(most, set->pools[i].conf->check.timeout);
		}
	}
	return MIN(PREPARE_PATIENCE, most + PREPARE_MARGIN);
}

static int check_prepare(struct role *r, const struct role_conf *next, char *why, size_t why_size)
{
	struct check *c = r->data;
	int err;

	CHECK(c->next == NULL);
	use_ping(c, next);
	err = check_set_new(c, next, &c->next, why, why_size);
	if (err != OK) {
		return err;
	}
	check_set_begin(c, c->next);
	if (check_set_wait(c->next) == 0) {
		return OK;
	}
	c->preparing = true;
	loop_timer_set(r->loop, &c->patience, patience_of(c->next));
	return ERR_AGAIN;
}

static void check_commit(struct role *r)
{
	struct check *c = r->data;
	struct check_set *set = c->next;

	CHECK(set != NULL);
	c->next = NULL;
	c->preparing = false;
	check_publish_to(c, r->conf);
	check_set_commit(c, set);
	check_passive_listen(c, r->conf);
	loop_defer(r->loop, &c->progress);
}

static void check_abort(struct role *r)
{
	struct check *c = r->data;

	if (c->preparing) {
		loop_timer_stop(c->env.loop, &c->patience);
		c->preparing = false;
	}
	if (c->next != NULL) {
		check_set_free(c, c->next);
		c->next = NULL;
	}
}

static void check_drain(struct role *r)
{
	struct check *c = r->data;

	check_abort(r);
	for (uint32_t i = 0; i < BOARD_MAX_SERVERS; i++) {
		if (c->by_slot[i] != NULL) {
			probe_stop(&c->by_slot[i]->probe);
		}
	}
	role_exit(r);
}

static void on_executed(struct check *c, const struct ipc_msg *m)
{
	struct ipc_exec e;

	if (m->len < sizeof(e)) {
		return;
	}
	memcpy(&e, m->payload, sizeof(e));
	e.output[sizeof(e.output) - 1] = '\0';
	(void)probe_executed(&c->env, m->id, e.status, e.output);
}

static void check_message(struct role *r, struct ipc_msg *m)
{
	struct check *c = r->data;

	switch (m->type) {
	case IPC_ORDER:
		check_order(c, m);
		break;
	case IPC_CERTS:
		check_tls_certs(c, m);
		break;
	case IPC_EXECUTED:
		on_executed(c, m);
		break;
	default:
		break;
	}
}

/* Ping checks need a socket that not everybody may open. */
static void check_lacks(const struct conf *c, uint32_t self, struct buf *out)
{
	static const int families[] = { AF_INET, AF_INET6 };

	(void)self;
	for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
		int fd = conf_pings(c, families[i]) ? net_ping_open(families[i]) : 0;

		if (fd < 0) {
			buf_printf(out,
			           "ping checks of %s addresses cannot be run here (%s): the node "
			           "needs CAP_NET_RAW, or net.ipv4.ping_group_range has to permit "
			           "its group\n",
			           i == 0 ? "IPv4" : "IPv6", strerror(errno));
		} else if (fd > 0) {
			close(fd);
		}
	}
}

const struct role_ops check_role = {
	.name = "check",
	.lacks = check_lacks,
	.start = check_start,
	.prepare = check_prepare,
	.commit = check_commit,
	.abort = check_abort,
	.drain = check_drain,
	.message = check_message,
};
