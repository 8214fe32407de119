/* SPDX-License-Identifier: Apache-2.0 */
/* The orders kept, as a JSON object of server ids and one word about the node. Main thread of the
 * parent. */
#include "core/orders.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

#define ORDERS_FILE_MAX (8u << 20)

struct orders {
	char *path;
	struct board *board;
	json_t *by_id; /* "pool/server": "drain" | "disable" */
	json_t *ends;  /* "pool/server": end_wall_ms of a drain that has one */
	bool node;     /* drained */
};

static int order_of(const json_t *v)
{
	const char *name = json_string_value(v);

	for (int i = 0; name && i < ORDER_COUNT; i++) {
		if (strcmp(name, server_order_name[i]) == 0)
			return i;
	}
	return -1;
}

/* What is no server's must never be taken for "all". */
static bool is_id(const char *id)
{
	return strchr(id, '/') && strlen(id) < sizeof(((struct ipc_list *)0)->server);
}

static int read_file(struct orders *o, char *why, size_t why_size)
{
	struct buf b = BUF_INIT;
	json_error_t error = { 0 };
	json_t *root;
	json_t *list;
	json_t *v;
	const char *id;
	int err;

	err = buf_read_file(&b, o->path, ORDERS_FILE_MAX);
	if (err != OK) {
		bool missing = err == ERR_SYSTEM && errno == ENOENT;

		if (!missing)
			snprintf(why, why_size, "%s: %s", o->path,
			         err == ERR_SYSTEM ? strerror(errno) : err_text(err));
		buf_free(&b);
		return missing ? OK : ERR_SYNTAX;
	}
	root = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, &error);
	buf_free(&b);
	list = json_object_get(root, "orders");
	if (!json_is_object(list)) {
		snprintf(why, why_size, "%s:%d: %s", o->path, error.line,
		         root ? "no object \"orders\"" : error.text);
		json_decref(root);
		return ERR_SYNTAX;
	}
	json_object_foreach(list, id, v)
	{
		if (order_of(v) > ORDER_READY && json_object_size(o->by_id) < ORDERS_MAX)
			json_object_set(o->by_id, id, v);
	}
	json_object_foreach(json_object_get(root, "ends"), id, v)
	{
		if (order_of(json_object_get(o->by_id, id)) == ORDER_DRAIN && is_id(id) &&
		    json_integer_value(v) > 0)
			json_object_set(o->ends, id, v);
	}
	o->node = order_of(json_object_get(root, "node")) > ORDER_READY;
	json_decref(root);
	return OK;
}

int orders_open(const char *path, struct board *b, struct orders **ret, char *why, size_t why_size)
{
	struct orders *o = calloc(1, sizeof(*o));
	char aside[4096];
	int err;

	why[0] = '\0';
	if (!o)
		return ERR_NOMEM;
	o->board = b;
	o->path = strdup(path);
	o->by_id = json_object();
	o->ends = json_object();
	if (!o->path || !o->by_id || !o->ends) {
		orders_free(o);
		return ERR_NOMEM;
	}
	err = read_file(o, why, why_size);
	if (err != OK) {
		snprintf(aside, sizeof(aside), "%s.broken", path);
		rename(path, aside);
	}
	*ret = o;
	return err;
}

void orders_free(struct orders *o)
{
	if (!o)
		return;
	json_decref(o->by_id);
	json_decref(o->ends);
	free(o->path);
	free(o);
}

static uint64_t end_of(const struct orders *o, const char *id)
{
	return (uint64_t)json_integer_value(json_object_get(o->ends, id));
}

static void publish(const struct orders *o, const struct conf_server *s)
{
	atomic_store(&board_server(o->board, s->slot)->end_wall_ms, end_of(o, s->id.s));
}

static int set_one(struct orders *o, const struct conf_server *s, enum server_order order,
                   uint64_t end_wall_ms)
{
	const char *id = s->id.s;

	if (order != ORDER_READY && json_object_size(o->by_id) >= ORDERS_MAX &&
	    !json_object_get(o->by_id, id))
		return ERR_FULL;
	json_object_del(o->ends, id);
	if (order == ORDER_READY)
		json_object_del(o->by_id, id);
	else if (json_object_set_new(o->by_id, id, json_string(server_order_name[order])) != 0)
		return ERR_NOMEM;
	if (order == ORDER_DRAIN && end_wall_ms != 0 &&
	    json_object_set_new(o->ends, id, json_integer((json_int_t)end_wall_ms)) != 0)
		return ERR_NOMEM;
	atomic_store(&board_server(o->board, s->slot)->ended, 0);
	publish(o, s);
	return OK;
}

int orders_set(struct orders *o, const struct conf *c, struct str target, enum server_order order,
               uint64_t end_wall_ms, unsigned *ret_count, char *why, size_t why_size)
{
	const struct conf_pool *pool;
	const struct conf_server *server = conf_server_find(c, target, &pool);
	struct str rest;
	struct str name = str_split(target, '/', &rest);
	int err = OK;

	*ret_count = 0;
	if (order >= ORDER_COUNT) {
		snprintf(why, why_size, "no such order");
		return ERR_INVALID;
	}
	if (server) {
		err = set_one(o, server, order, end_wall_ms);
		*ret_count = err == OK;
	} else {
		pool = conf_pool_find(c, name);
		if (!pool || (rest.s && !str_eq(rest, STR("*")))) {
			snprintf(why, why_size, "there is no %s \"%.*s\"",
			         rest.s ? "server" : "pool", STR_ARG(target));
			return ERR_NOT_FOUND;
		}
		for (uint32_t i = 0; err == OK && i < pool->nservers; i++) {
			err = set_one(o, &pool->servers[i], order, end_wall_ms);
			*ret_count += err == OK;
		}
	}
	if (err != OK)
		snprintf(why, why_size, "cannot keep the order: %s", err_text(err));
	return err;
}

int orders_save(const struct orders *o)
{
	json_t *root = json_pack("{s:i, s:s, s:O, s:O}", "version", 1, "node",
	                         server_order_name[o->node ? ORDER_DRAIN : ORDER_READY], "orders",
	                         o->by_id, "ends", o->ends);
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
	struct buf b = BUF_INIT;
	int err;

	json_decref(root);
	if (!text)
		return ERR_NOMEM;
	buf_adds(&b, text);
	buf_addc(&b, '\n');
	free(text);
	err = b.failed ? ERR_NOMEM : buf_write_file(&b, o->path, 0640);
	buf_free(&b);
	return err;
}

void orders_each(const struct orders *o, const struct conf *c,
                 void (*fn)(void *arg, struct str id, enum server_order order), void *arg)
{
	const struct conf_pool *pool;
	const char *id;
	json_t *v;

	json_object_foreach(o->by_id, id, v)
	{
		if (conf_server_find(c, str_from(id), &pool))
			fn(arg, str_from(id), (enum server_order)order_of(v));
	}
}

void orders_publish(const struct orders *o, const struct conf *c)
{
	for (uint32_t i = 0; i < c->npools; i++) {
		for (uint32_t k = 0; k < c->pools[i].nservers; k++)
			publish(o, &c->pools[i].servers[k]);
	}
}

static bool is_due(const struct orders *o, const struct conf_server *s, uint64_t now)
{
	uint64_t end = end_of(o, s->id.s);

	return end != 0 && end <= now &&
	       board_server_word(board_server(o->board, s->slot)).order == ORDER_DRAIN;
}

bool orders_due(const struct orders *o, const struct conf *c, uint64_t now_wall_ms,
                struct ipc_list *ret)
{
	const struct conf_pool *pool;
	const char *id;
	json_t *v;

	json_object_foreach(o->ends, id, v)
	{
		const struct conf_server *s;
		uint32_t n = 0;

		if ((uint64_t)json_integer_value(v) > now_wall_ms)
			continue;
		s = conf_server_find(c, str_from(id), &pool);
		if (s && !is_due(o, s, now_wall_ms))
			continue;
		while (s && n < pool->nservers && is_due(o, &pool->servers[n], now_wall_ms))
			n++;
		*ret = (struct ipc_list){ .end = 1 };
		if (s && n > 1 && n == pool->nservers)
			snprintf(ret->pool, sizeof(ret->pool), "%.*s", STR_ARG(pool->name));
		else
			snprintf(ret->server, sizeof(ret->server), "%s", id);
		return true;
	}
	return false;
}

void orders_ended(struct orders *o, const struct conf *c, struct str target, uint64_t until_wall_ms)
{
	const char *id;
	json_t *v;
	void *next;

	json_object_foreach_safe(o->ends, next, id, v)
	{
		struct str server;
		struct str pool = str_split(str_from(id), '/', &server);

		if ((str_eq(str_from(id), target) || str_eq(pool, target)) &&
		    (uint64_t)json_integer_value(v) <= until_wall_ms)
			json_object_del(o->ends, id);
	}
	orders_publish(o, c);
}

bool orders_node(const struct orders *o)
{
	return o->node;
}

void orders_set_node(struct orders *o, bool drained)
{
	o->node = drained;
}

unsigned orders_count(const struct orders *o)
{
	return (unsigned)json_object_size(o->by_id);
}
