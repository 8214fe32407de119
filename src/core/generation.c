/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations in the parent: from the loader's image to one that roles can be given, with its
 * slots, sockets and log files. Main thread of the parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "core/handover.h"
#include "core/logsink.h"
#include "core/parent.h"
#include "net/ping.h"

/* The arrays of a mapped image are private and writable: the slots are the parent's to fill in. */
#define SLOT(object) (*(uint32_t *)&(object)->slot)

static int slot(struct board *b, enum board_kind kind, struct str name, uint32_t number,
                uint32_t *ret, char *why, size_t why_size)
{
	int err = board_slot(b, kind, name, number, ret);

	if (err != OK)
		snprintf(why, why_size, "no room on the board for \"%.*s\": %s", STR_ARG(name),
		         err == ERR_FULL ? "too many objects; reload once with fewer names changed"
		                         : err_text(err));
	return err;
}

/* Gives every object its slot and marks it as used by that generation. */
static int assign_slots(struct board *b, const struct conf *c, uint32_t number, char *why,
                        size_t why_size)
{
	int err = OK;

	for (uint32_t i = 0; err == OK && i < c->nlisteners; i++)
		err = slot(b, BOARD_LISTENER, c->listeners[i].name, number, &SLOT(&c->listeners[i]),
		           why, why_size);
	for (uint32_t i = 0; err == OK && i < c->nroutes; i++)
		err = slot(b, BOARD_ROUTE, c->routes[i].name, number, &SLOT(&c->routes[i]), why,
		           why_size);
	for (uint32_t i = 0; err == OK && i < c->npools; i++) {
		const struct conf_pool *pool = &c->pools[i];

		err = slot(b, BOARD_POOL, pool->name, number, &SLOT(pool), why, why_size);
		for (uint32_t k = 0; err == OK && k < pool->nservers; k++)
			err = slot(b, BOARD_SERVER, pool->servers[k].id, number,
			           &SLOT(&pool->servers[k]), why, why_size);
	}
	for (uint32_t i = 0; err == OK && i < c->nchecks; i++)
		err = slot(b, BOARD_SERVER, c->checks[i].servers[0].id, number,
		           &SLOT(&c->checks[i].servers[0]), why, why_size);
	return err;
}

static void sweep_slots(struct board *b, uint32_t number)
{
	for (int kind = 0; kind < BOARD_KINDS; kind++)
		board_sweep(b, (enum board_kind)kind, number);
}

/* --- access logs ---------------------------------------------------------------------------- */

static int open_log(const struct conf_listener *l, int *ret, char *why, size_t why_size)
{
	*ret = -1;
	if (!l->access_log.on)
		return OK;
	if (str_eq(l->access_log.path, STR("stderr")))
		*ret = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		*ret = open(l->access_log.path.s,
		            O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (*ret >= 0)
		return OK;
	snprintf(why, why_size, "listener \"%s\": cannot open the access log %s: %s", l->name.s,
	         l->access_log.path.s, strerror(errno));
	return ERR_SYSTEM;
}

static int open_logs(struct generation *g, char *why, size_t why_size)
{
	int err = OK;

	g->logs = calloc(g->conf->nlisteners + 1, sizeof(*g->logs));
	if (!g->logs) {
		snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	g->nlogs = g->conf->nlisteners;
	for (uint32_t i = 0; i < g->nlogs; i++)
		g->logs[i] = -1;
	for (uint32_t i = 0; err == OK && i < g->conf->nlisteners; i++)
		err = open_log(&g->conf->listeners[i], &g->logs[i], why, why_size);
	return err;
}

void generation_reopen_logs(struct parent *p)
{
	struct child *c;
	char why[512];
	unsigned n = 0;

	for (uint32_t i = 0; i < p->cur->conf->nlisteners; i++) {
		int fd;

		if (p->cur->logs[i] < 0)
			continue;
		if (open_log(&p->cur->conf->listeners[i], &fd, why, sizeof(why)) != OK) {
			log_warning("log_reopen", NULL, "%s; the old file stays in use", why);
			continue;
		}
		close(p->cur->logs[i]);
		p->cur->logs[i] = fd;
		n++;
	}
	TAILQ_FOREACH (c, &p->children, link) {
		if (service_is(c->service, "proxy") && c->started)
			generation_send(p, c, IPC_LOGS, 0, p->cur);
	}
	log_notice("log_reopen", NULL, "SIGUSR1: %u access logs reopened", n);
}

/* --- making and unmaking -------------------------------------------------------------------- */

void generation_free(struct generation *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; g->logs && i < g->nlogs; i++) {
		if (g->logs[i] >= 0)
			close(g->logs[i]);
	}
	free(g->logs);
	if (g->certs >= 0)
		close(g->certs);
	if (g->certs_files >= 0)
		close(g->certs_files);
	if (g->conf)
		conf_image_unmap(g->conf);
	if (g->image >= 0)
		close(g->image);
	free(g);
}

static struct generation *map(int image, int *err)
{
	struct generation *g = calloc(1, sizeof(*g));

	if (!g) {
		close(image);
		*err = ERR_NOMEM;
		return NULL;
	}
	g->image = image;
	g->certs = g->certs_files = -1;
	*err = conf_image_map(image, &g->conf);
	if (*err != OK) {
		generation_free(g);
		return NULL;
	}
	return g;
}

int generation_new(struct parent *p, int image, struct generation **ret, char *why, size_t why_size)
{
	struct generation *g;
	int err;

	g = map(image, &err);
	if (!g) {
		snprintf(why, why_size, "the loader's image cannot be used: %s", err_text(err));
		return err;
	}
	g->conf->generation = p->cur ? p->cur->conf->generation + 1 : 1;
	/* Slots of what the last commit removed stay one generation longer: requests that were
	 * open then may still count there. */
	if (p->cur)
		sweep_slots(p->board, (uint32_t)p->cur->conf->generation);
	err = identity_find(p, g->conf, why, why_size);
	if (err == OK)
		err = assign_slots(p->board, g->conf, (uint32_t)g->conf->generation, why, why_size);
	if (err == OK)
		err = listen_open(&p->sockets, g->conf, why, why_size);
	if (err == OK)
		err = open_logs(g, why, why_size);
	if (err == OK) {
		err = conf_image_seal(g->image, g->conf);
		if (err != OK)
			snprintf(why, why_size, "cannot seal the image: %s", err_text(err));
	}
	if (err != OK) {
		generation_discard(p, g);
		return err;
	}
	*ret = g;
	return OK;
}

int generation_adopt(struct parent *p, int image, struct generation **ret)
{
	char why[512];
	int err;
	struct generation *g = map(image, &err);

	(void)p;
	if (!g)
		return err;
	if (open_logs(g, why, sizeof(why)) != OK)
		log_warning("adopt", NULL, "%s", why);
	*ret = g;
	return OK;
}

void generation_discard(struct parent *p, struct generation *g)
{
	char why[256];

	if (p->cur) {
		uint32_t number = (uint32_t)p->cur->conf->generation;

		assign_slots(p->board, p->cur->conf, number, why, sizeof(why));
		sweep_slots(p->board, number);
		listen_sweep(&p->sockets, p->cur->conf);
	}
	generation_free(g);
}

void generation_privilege(struct parent *p)
{
	char note[300];

	switch (privilege_find(p->cur->conf->user.s, &p->privilege, note, sizeof(note))) {
	case PRIVILEGE_FINE:
		break;
	case PRIVILEGE_NOTE:
		log_info("privilege", NULL, "%s", note);
		break;
	case PRIVILEGE_WARNING:
		log_warning("privilege", NULL, "%s", note);
		break;
	}
}

void generation_commit(struct parent *p, struct generation *g)
{
	struct board_node *n = board_node(p->board);
	struct generation *old = p->cur;

	p->cur = g;
	logsink_apply(g->conf);
	if (!old || !str_eq(old->conf->user, g->conf->user))
		generation_privilege(p);
	n->generation = g->conf->generation;
	n->loaded_wall_ms = clock_wall_ms();
	identity_publish(p);
	orders_publish(p->orders, g->conf);
	if (!old)
		return;
	if (p->former)
		conf_image_unmap(p->former);
	p->former = old->conf;
	old->conf = NULL;
	generation_free(old);
}

/* --- handing out ---------------------------------------------------------------------------- */

struct fd_list {
	struct role_fd v[HANDOVER_MAX_FDS];
	unsigned n;
	bool full;
};

static void add(struct fd_list *l, enum role_fd_kind kind, uint32_t index, uint16_t sub, int fd)
{
	if (fd < 0)
		return;
	if (l->n == HANDOVER_MAX_FDS) {
		l->full = true;
		return;
	}
	l->v[l->n++] = (struct role_fd){ (uint16_t)kind, sub, index, fd };
}

static void list_proxy(const struct parent *p, const struct generation *g, bool logs_only,
                       struct fd_list *l)
{
	for (uint32_t i = 0; i < g->conf->nlisteners; i++) {
		const struct conf_listener *c = &g->conf->listeners[i];

		for (uint32_t k = 0; !logs_only && k < c->nbind; k++)
			add(l, ROLE_FD_LISTEN, i, (uint16_t)k,
			    listen_fd(&p->sockets, &c->bind[k], c->protocol == PROTOCOL_UDP));
		add(l, ROLE_FD_ACCESS_LOG, i, 0, g->logs[i]);
	}
}

/* ICMP sockets, which a role without rights may not open; kept for all generations. */
static int ping_socket(struct parent *p, const struct conf *c, int family)
{
	int *fd = &p->ping[family == AF_INET ? 0 : 1];

	if (*fd < 0 && conf_pings(c, family)) {
		*fd = net_ping_open(family);
		if (*fd < 0)
			log_warning("check_not_run", NULL,
			            "ping checks of %s addresses: no ICMP socket (%s): the node "
			            "needs CAP_NET_RAW or ping_group_range",
			            family == AF_INET ? "IPv4" : "IPv6", strerror(errno));
	}
	return conf_pings(c, family) ? *fd : -1;
}

static int send_to_child(void *arg, enum ipc_type type, uint32_t id, const void *payload,
                         size_t len, const int *fds, int nfds)
{
	return child_send(arg, type, id, payload, len, fds, nfds);
}

int generation_send(struct parent *p, struct child *c, enum ipc_type type, uint32_t id,
                    const struct generation *g)
{
	struct handover_head head = { .instance = c->instance, .generation = g->conf->generation };
	struct fd_list *l = calloc(1, sizeof(*l));
	const int lead[HANDOVER_LEADS] = { g->image, p->board_fd };
	unsigned nlead = type == IPC_START ? 2 : type == IPC_PREPARE ? 1 : 0;
	int err;

	if (!l)
		return ERR_NOMEM;
	if (service_is(c->service, "proxy"))
		list_proxy(p, g, type == IPC_LOGS, l);
	if (type != IPC_LOGS && service_is(c->service, "proxy"))
		add(l, ROLE_FD_CERTS, 0, 0, g->certs);
	if (type != IPC_LOGS && service_is(c->service, "check"))
		add(l, ROLE_FD_CERTS, 0, 0, g->certs_files);
	if (type != IPC_LOGS &&
	    (service_is(c->service, "proxy") || service_is(c->service, "check")))
		add(l, ROLE_FD_NOTIFY, 0, 0, p->notify_fd);
	if (type != IPC_LOGS && (service_is(c->service, "vrrp") || service_is(c->service, "check")))
		add(l, ROLE_FD_STATES, 0, 0, p->states_fd);
	if (type != IPC_LOGS && service_is(c->service, "check")) {
		add(l, ROLE_FD_PING, 0, 4, ping_socket(p, g->conf, AF_INET));
		add(l, ROLE_FD_PING, 0, 6, ping_socket(p, g->conf, AF_INET6));
	}
	if (service_is(c->service, "control")) {
		add(l, ROLE_FD_SOCKET, 0, 0, p->control_socket);
		if (g->conf->control.on)
			add(l, ROLE_FD_CONTROL, 0, 0,
			    listen_fd(&p->sockets, &g->conf->control.bind, false));
	}
	err = l->full ? ERR_TOO_LARGE
	              : handover_send(send_to_child, c, type, id, &head, lead, nlead, l->v, l->n);
	free(l);
	return err;
}
