/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role: serves the API on the control socket and on control.bind, carries changes to the parent
 * and its answers back, and gives transitions of virtual IPs to the webhooks. Its main thread;
 * nothing here waits.
 */
#include "control/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "control/api.h"
#include "control/webhook.h"
#include "ipc/httpd.h"

#define CONTROL_MAGIC 0x4354524cU
#define MAX_PENDING   64
#define PATIENCE      (90 * NS_PER_S) /* for the parent's answer; it has limits of its own */
#define SUCCESSION    (20 * NS_PER_S) /* for the parent that an upgrade puts in place */
#define TICK          (500 * NS_PER_MS)
#define DRAIN_TIME    (5 * NS_PER_S)
#define WEBHOOK_DRAIN (2 * NS_PER_S) /* less than a node that ends waits for us */
#define WEBHOOK_RETRY NS_PER_S
#define BUSY_TIME     (2 * NS_PER_S) /* of one turn, spent on answers */
#define BUSY_BYTES    (256U << 20)   /* of answers that wait to be taken */

/* A change that the parent was asked for. */
struct pending {
	uint32_t id;      /* of the message; 0: free */
	uint64_t request; /* of the HTTP request */
	uint64_t until;
	struct api_change change;
};

struct control {
	uint32_t magic;
	struct role *role;
	struct httpd *httpd;
	int socket_fd; /* listening now; -1: none */
	int tcp_fd;
	uint32_t last_id;
	struct pending pending[MAX_PENDING];
	struct webhooks *webhooks; /* NULL: given up, the role ends */
	struct loop_timer tick;    /* while something is pending or draining */
	uint64_t orphan_since;     /* 0: there is a parent, as the last tick saw it */
	uint64_t drain_until;      /* 0: not draining */
	uint64_t webhooks_until;
};

static explain_fn *explain;

void control_set_explain(explain_fn *fn)
{
	explain = fn;
}

static struct api api_of(const struct role *r)
{
	return (struct api){
		.board = r->board,
		.conf = r->conf->conf,
		.image_fd = r->conf->image_fd,
		.orphan = r->parent < 0,
		.state_dir = r->state_dir,
		.explain = explain,
	};
}

static void send_answer(struct control *c, uint64_t request, struct api_answer *ans)
{
	struct httpd_answer a = {
		.status = ans->status,
		.type = ans->type,
		.extra = ans->extra,
		.body = ans->body,
	};

	httpd_answer(c->httpd, request, &a);
}

/* --- changes -------------------------------------------------------------------------------- */

static struct pending *pending_find(struct control *c, uint32_t id)
{
	for (unsigned i = 0; i < MAX_PENDING; i++) {
		if (c->pending[i].id == id)
			return &c->pending[i];
	}
	return NULL;
}

static bool pending_any(const struct control *c)
{
	for (unsigned i = 0; i < MAX_PENDING; i++) {
		if (c->pending[i].id != 0)
			return true;
	}
	return false;
}

static void ask(struct control *c, uint64_t request, const struct api_change *change)
{
	struct pending *p = pending_find(c, 0);
	size_t len = change->type == IPC_ORDER        ? sizeof(change->order)
	             : change->type == IPC_SWITCHOVER ? sizeof(change->switchover)
	             : change->type == IPC_LIST       ? sizeof(change->list)
	                                              : 0;
	struct api_answer ans = { 0 };
	int err = p != NULL ? OK : ERR_FULL;

	if (p != NULL) {
		c->last_id = c->last_id == UINT32_MAX ? 1 : c->last_id + 1;
		err = role_send(c->role, change->type, c->last_id,
		                len > 0 ? (const void *)&change->order : NULL, len);
	}
	if (err == ERR_FULL) {
		api_error(&ans, 503, "too many changes at once; try again");
	} else if (err != OK) {
		api_error(&ans, 503, "the parent process cannot be asked: %s", err_text(err));
	} else {
		*p = (struct pending){ .id = c->last_id,
			               .request = request,
			               .until = c->role->loop->now + PATIENCE,
			               .change = *change };
		if (c->tick.due == 0)
			loop_timer_set(c->role->loop, &c->tick, TICK);
		return;
	}
	send_answer(c, request, &ans);
}

/* Strangers who ask faster than can be answered, or do not take their answers, must not keep
 * the parent's and the user's requests waiting, nor take all memory. */
static bool busy(const struct control *c, const struct httpd *h)
{
	return clock_mono() - c->role->loop->now > BUSY_TIME || httpd_unsent(h) > BUSY_BYTES;
}

static void on_request(struct httpd *h, const struct httpd_request *r, void *arg)
{
	struct control *c = arg;
	const struct http_field *auth = http_field(r->head, HTTP_FIELD_AUTHORIZATION);
	struct api api = api_of(c->role);
	struct api_request q = {
		.method = r->head->method_text,
		.path = r->head->path,
		.query = r->head->query,
		.body = r->body,
		.host = r->head->host,
		.authorization = auth != NULL ? auth->value : STR_NONE,
		.local = r->local,
	};
	struct api_answer ans;
	struct api_change change;

	CHECK_MAGIC(c, CONTROL_MAGIC);
	if (!r->local && busy(c, h)) {
		ans = (struct api_answer){ 0 };
		api_error(&ans, 503, "too many requests at once; try again");
		ans.extra = "Retry-After: 1\r\n";
		send_answer(c, r->id, &ans);
	} else if (api_handle(&api, &q, &ans, &change) == ERR_AGAIN)
		ask(c, r->id, &change);
	else
		send_answer(c, r->id, &ans);
}

static void on_hook(struct control *c, const struct ipc_msg *m)
{
	struct ipc_hook h;

	if (c->webhooks != NULL && ipc_payload(m, &h, sizeof(h)))
		webhooks_post(c->webhooks, &h);
}

static void on_listed(struct control *c, struct pending *p, const struct ipc_msg *m)
{
	struct ipc_listed n;
	struct api_answer ans;

	if (!ipc_payload(m, &n, sizeof(n)))
		n = (struct ipc_listed){ .silent = 1 };
	api_listed(&p->change, &n, m->fds, m->nfds, &ans);
	send_answer(c, p->request, &ans);
	p->id = 0;
}

static void control_message(struct role *r, struct ipc_msg *m)
{
	struct control *c = r->data;
	struct pending *p = m->id != 0 ? pending_find(c, m->id) : NULL;
	struct ipc_result result;
	struct api_answer ans;

	CHECK_MAGIC(c, CONTROL_MAGIC);
	if (m->type == IPC_HOOK)
		on_hook(c, m);
	if (p != NULL && m->type == IPC_LISTED && p->change.type == IPC_LIST) {
		on_listed(c, p, m);
		return;
	}
	if (p == NULL || (m->type != IPC_RELOADED && m->type != IPC_UPGRADED &&
	                  m->type != IPC_ORDERED && m->type != IPC_SWITCHED))
		return;
	if (!ipc_result(m, &result))
		result = (struct ipc_result){ .err = ERR_SYNTAX };
	api_result(&p->change, &result, &ans);
	send_answer(c, p->request, &ans);
	p->id = 0;
}

/* A parent that is upgraded is away for a while: its successor answers. */
static bool may_be_answered(const struct control *c, const struct pending *p)
{
	if (p->until <= c->role->loop->now)
		return false;
	return c->orphan_since == 0 ||
	       (p->change.type == IPC_UPGRADE && c->role->loop->now - c->orphan_since < SUCCESSION);
}

/* Gives up what the parent cannot or does not answer; ends the role when all is answered. */
static void on_tick(struct loop_timer *t)
{
	struct control *c = CONTAINER_OF(t, struct control, tick);
	struct loop *l = c->role->loop;

	CHECK_MAGIC(c, CONTROL_MAGIC);
	if (c->role->parent >= 0)
		c->orphan_since = 0;
	else if (c->orphan_since == 0)
		c->orphan_since = l->now;
	for (unsigned i = 0; i < MAX_PENDING; i++) {
		struct pending *p = &c->pending[i];
		struct api_answer ans = { 0 };

		if (p->id == 0 || may_be_answered(c, p))
			continue;
		if (c->role->parent < 0)
			api_error(&ans, 503, "the parent process has gone before it answered");
		else
			api_error(&ans, 504, "the parent process does not answer");
		send_answer(c, p->request, &ans);
		p->id = 0;
	}
	if (c->drain_until != 0 && c->webhooks != NULL &&
	    (l->now >= c->webhooks_until || webhooks_idle(c->webhooks))) {
		webhooks_free(c->webhooks);
		c->webhooks = NULL;
	}
	if (c->drain_until != 0 &&
	    (l->now >= c->drain_until ||
	     (c->webhooks == NULL && !pending_any(c) && httpd_connections(c->httpd) == 0))) {
		role_exit(c->role);
		return;
	}
	if (pending_any(c) || c->drain_until != 0)
		loop_timer_set(l, t, TICK / (c->drain_until != 0 ? 10 : 1));
}

/* --- the role ------------------------------------------------------------------------------- */

/* Listens on fd instead of on *at; either may be -1. */
static int listen_instead(struct control *c, int *at, int fd, bool local)
{
	int old = *at;
	int err = OK;

	*at = -1;
	if (fd >= 0) {
		err = httpd_listen(c->httpd, fd, local);
		if (err == OK)
			*at = fd;
	}
	if (old >= 0)
		httpd_unlisten(c->httpd, old);
	return err;
}

static int listen_all(struct control *c, const struct role_conf *conf)
{
	int err = listen_instead(c, &c->socket_fd, role_conf_fd(conf, ROLE_FD_SOCKET, 0, 0), true);
	int tcp = listen_instead(c, &c->tcp_fd, role_conf_fd(conf, ROLE_FD_CONTROL, 0, 0), false);

	return err != OK ? err : tcp;
}

static int control_start(struct role *r, const struct role_conf *first, char *why, size_t why_size)
{
	struct control *c = calloc(1, sizeof(*c));
	int err;

	if (c == NULL)
		return ERR_NOMEM;
	c->magic = CONTROL_MAGIC;
	c->role = r;
	c->socket_fd = c->tcp_fd = -1;
	c->tick.fn = on_tick;
	r->data = c;
	c->httpd = httpd_new(r->loop, &httpd_limits_default, on_request, c);
	if (c->httpd == NULL)
		return ERR_NOMEM;
	c->webhooks = webhooks_new(board_node(r->board)->node, WEBHOOK_RETRY);
	if (c->webhooks == NULL)
		return ERR_NOMEM;
	webhooks_configure(c->webhooks, first->conf);
	err = listen_all(c, first);
	if (err != OK) {
		snprintf(why, why_size, "cannot serve the control sockets: %s", err_text(err));
		return err;
	}
	role_ready(r);
	return OK;
}

static int control_prepare(struct role *r, const struct role_conf *next, char *why, size_t why_size)
{
	(void)r;
	(void)next;
	(void)why;
	(void)why_size;
	return OK;
}

static void control_commit(struct role *r)
{
	struct control *c = r->data;
	int err;

	CHECK_MAGIC(c, CONTROL_MAGIC);
	if (c->webhooks != NULL)
		webhooks_configure(c->webhooks, r->conf->conf);
	if (c->drain_until != 0)
		return;
	err = listen_all(c, r->conf);
	if (err != OK)
		log_error("control_listen", NULL, "cannot serve a control socket: %s",
		          err_text(err));
}

static void control_abort(struct role *r)
{
	(void)r;
}

static void control_drain(struct role *r)
{
	struct control *c = r->data;

	CHECK_MAGIC(c, CONTROL_MAGIC);
	c->drain_until = r->loop->now + DRAIN_TIME;
	c->webhooks_until = r->loop->now + WEBHOOK_DRAIN;
	c->socket_fd = c->tcp_fd = -1;
	httpd_drain(c->httpd);
	on_tick(&c->tick);
}

const struct role_ops control_role = {
	.name = "control",
	.start = control_start,
	.prepare = control_prepare,
	.commit = control_commit,
	.abort = control_abort,
	.drain = control_drain,
	.message = control_message,
};
