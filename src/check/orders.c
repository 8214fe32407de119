/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders of people: drain, disable and ready, for a server or for all of a pool. The parent keeps
 * them over restarts and sends them again; here they take effect. Role check, main thread.
 */
#include <limits.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "check/server.h"

static struct check_pool *find_pool(struct check_set *set, struct str name)
{
	for (uint32_t i = 0; i < set->npools; i++) {
		if (str_eq(set->pools[i].conf->name, name)) {
			return &set->pools[i];
		}
	}
	return NULL;
}

static struct check_server *find_server(struct check_pool *pool, struct str name)
{
	for (uint32_t i = 0; i < pool->conf->nservers; i++) {
		if (str_eq(pool->conf->servers[i].name, name)) {
			return pool->servers[i];
		}
	}
	return NULL;
}

static int no_pool(struct check_set *set, struct str name, struct ipc_result *ret)
{
	struct str best = STR_NONE;
	unsigned least = 3;

	for (uint32_t i = 0; i < set->npools; i++) {
		unsigned d = str_distance(set->pools[i].conf->name, name);

		if (d < least) {
			least = d;
			best = set->pools[i].conf->name;
		}
	}
	(void)snprintf(ret->text, sizeof(ret->text), "no pool \"%.*s\"", STR_ARG(name));
	if (best.s != NULL) {
		(void)snprintf(ret->text, sizeof(ret->text),
		               "no pool \"%.*s\" (did you mean \"%.*s\"?)", STR_ARG(name),
		               STR_ARG(best));
	}
	return ERR_NOT_FOUND;
}

static int no_server(struct check_pool *pool, struct str name, struct ipc_result *ret)
{
	int n = snprintf(ret->text, sizeof(ret->text), "pool \"%s\" has no server \"%.*s\", but",
	                 pool->conf->name.s, STR_ARG(name));

	for (uint32_t i = 0; i < pool->conf->nservers && n > 0 && n < 400; i++) {
		n += snprintf(ret->text + n, sizeof(ret->text) - (size_t)n, "%s %s",
		              i != 0 ? "," : "", pool->conf->servers[i].name.s);
	}
	return ERR_NOT_FOUND;
}

static void give(struct check_server *s, enum server_order order)
{
	struct damp_event e = {
		.kind = DAMP_ORDER,
		.now = s->check->env.loop->now,
		.order = order,
	};

	check_server_step(s, &e);
}

static void tell(const struct check_pool *pool, const struct check_server *only,
                 enum server_order order, struct ipc_result *ret)
{
	uint32_t left = check_pool_in_service(pool);

	if (only != NULL) {
		(void)snprintf(ret->text, sizeof(ret->text), "%s: %s (%s: %s)", only->conf->id.s,
		               server_order_name[order], server_state_name[only->damp.state],
		               only->damp.why);
	} else {
		(void)snprintf(ret->text, sizeof(ret->text), "%s: %s for %u server%s",
		               pool->conf->name.s, server_order_name[order], ret->count,
		               ret->count == 1 ? "" : "s");
	}
	if (left == 0) {
		size_t n = strlen(ret->text);

		(void)snprintf(ret->text + n, sizeof(ret->text) - n,
		               "; warning: pool %s has no server in service now",
		               pool->conf->name.s);
	}
}

static int carry_out(struct check *c, struct str target, enum server_order order,
                     struct ipc_result *ret)
{
	struct str name;
	struct str pool_name = str_split(target, '/', &name);
	struct check_pool *pool = find_pool(c->now, pool_name);
	struct check_server *s = NULL;

	if (pool == NULL) {
		return no_pool(c->now, pool_name, ret);
	}
	if (name.len != 0 && !str_eq(name, STR("*"))) {
		s = find_server(pool, name);
		if (s == NULL) {
			return no_server(pool, name, ret);
		}
		give(s, order);
		ret->count = 1;
		tell(pool, s, order, ret);
		return OK;
	}
	for (uint32_t i = 0; i < pool->conf->nservers; i++) {
		give(pool->servers[i], order);
	}
	ret->count = pool->conf->nservers;
	tell(pool, NULL, order, ret);
	return OK;
}

void check_order(struct check *c, const struct ipc_msg *m)
{
	static struct ipc_result ret;
	struct ipc_order o;

	memset(&ret, 0, sizeof(ret));
	if (m->len < sizeof(o)) {
		ret.err = ERR_INVALID;
		(void)snprintf(ret.text, sizeof(ret.text), "malformed order");
	} else {
		memcpy(&o, m->payload, sizeof(o));
		o.target[sizeof(o.target) - 1] = '\0';
		ret.err = ERR_INVALID;
		if (o.order < ORDER_COUNT) {
			ret.err =
			    carry_out(c, str_from(o.target), (enum server_order)o.order, &ret);
		}
	}
	(void)role_send(c->role, IPC_ORDERED, m->id, &ret,
	                offsetof(struct ipc_result, text) + strlen(ret.text) + 1);
}
