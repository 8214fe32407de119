/* SPDX-License-Identifier: Apache-2.0 */
/* The orders kept, as a JSON object of server ids and one word about the node. Main thread of the
 * parent. */
#include "core/orders.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/err.h"

#define ORDERS_FILE_MAX (8u << 20)

struct orders {
	char *path;
	json_t *by_id; /* "pool/server": "drain" | "disable" */
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
	o->node = order_of(json_object_get(root, "node")) > ORDER_READY;
	json_decref(root);
	return OK;
}

int orders_open(const char *path, struct orders **ret, char *why, size_t why_size)
{
	struct orders *o = calloc(1, sizeof(*o));
	char aside[4096];
	int err;

	why[0] = '\0';
	if (!o)
		return ERR_NOMEM;
	o->path = strdup(path);
	o->by_id = json_object();
	if (!o->path || !o->by_id) {
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
	free(o->path);
	free(o);
}

static int set_one(struct orders *o, struct str id, enum server_order order)
{
	if (order == ORDER_READY) {
		json_object_del(o->by_id, id.s);
		return OK;
	}
	if (json_object_size(o->by_id) >= ORDERS_MAX && !json_object_get(o->by_id, id.s))
		return ERR_FULL;
	if (json_object_set_new(o->by_id, id.s, json_string(server_order_name[order])) != 0)
		return ERR_NOMEM;
	return OK;
}

int orders_set(struct orders *o, const struct conf *c, struct str target, enum server_order order,
               unsigned *ret_count, char *why, size_t why_size)
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
		err = set_one(o, server->id, order);
		*ret_count = err == OK;
	} else {
		pool = conf_pool_find(c, name);
		if (!pool || (rest.s && !str_eq(rest, STR("*")))) {
			snprintf(why, why_size, "there is no %s \"%.*s\"",
			         rest.s ? "server" : "pool", STR_ARG(target));
			return ERR_NOT_FOUND;
		}
		for (uint32_t i = 0; err == OK && i < pool->nservers; i++) {
			err = set_one(o, pool->servers[i].id, order);
			*ret_count += err == OK;
		}
	}
	if (err != OK)
		snprintf(why, why_size, "cannot keep the order: %s", err_text(err));
	return err;
}

int orders_save(const struct orders *o)
{
	json_t *root =
	    json_pack("{s:i, s:s, s:O}", "version", 1, "node",
	              server_order_name[o->node ? ORDER_DRAIN : ORDER_READY], "orders", o->by_id);
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
