/* SPDX-License-Identifier: Apache-2.0 */
/* The API's list of connections that last. Role control. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/api_impl.h"
#include "control/jw.h"

/* A target, "POOL" or "POOL/SERVER", into the query. False: no such thing. */
static bool set_target(const struct conf *c, const char *target, struct ipc_list *q)
{
	const struct conf_pool *pool = NULL;
	struct str name = str_from(target);

	if (str_ends(name, STR("/*")))
		name.len -= 2;
	if ((pool = conf_pool_find(c, name)) != NULL) {
		snprintf(q->pool, sizeof(q->pool), "%.*s", STR_ARG(name));
		return true;
	}
	if (conf_server_find(c, name, &pool) == NULL || name.len >= sizeof(q->server))
		return false;
	snprintf(q->server, sizeof(q->server), "%.*s", STR_ARG(name));
	return true;
}

static bool has_listener(const struct conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (str_eq(c->listeners[i].name, str_from(name)))
			return true;
	}
	return false;
}

int api_get_connections(const struct api *a, const struct api_request *q, struct api_answer *ans,
                        struct api_change *change)
{
	char pool[256], older[32];
	struct ipc_list *l = &change->list;
	int has_pool = api_query(q->query, "pool", pool, sizeof(pool));
	int has_listener_key = api_query(q->query, "listener", l->listener, sizeof(l->listener));
	int has_older = api_query(q->query, "older", older, sizeof(older));
	uint64_t ms = 0;

	if ((has_pool != OK && has_pool != ERR_NOT_FOUND) ||
	    (has_listener_key != OK && has_listener_key != ERR_NOT_FOUND) ||
	    (has_older == OK && str_to_u64(str_from(older), UINT64_MAX / NS_PER_MS, &ms) != OK)) {
		api_error(ans, 400,
		          "connections may take pool=POOL or POOL/SERVER, listener=NAME and "
		          "older=MILLISECONDS");
	} else if (has_pool == OK && !set_target(a->conf, pool, l)) {
		api_error(ans, 404, "there is no server or pool \"%.200s\"", pool);
	} else if (has_listener_key == OK && !has_listener(a->conf, l->listener)) {
		api_error(ans, 404, "there is no listener \"%.60s\"", l->listener);
	} else {
		l->older_ns = ms * NS_PER_MS;
		return api_ask_parent(a, ans, change, IPC_LIST);
	}
	return OK;
}

/* Appends what a memory file holds. */
static bool add_file(int fd, struct buf *out)
{
	char bytes[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, bytes, sizeof(bytes), at)) > 0) {
		buf_add(out, bytes, (size_t)n);
		at += n;
	}
	return n == 0;
}

void api_listed(const struct api_change *change, const struct ipc_listed *n, const int *files,
                int nfiles, struct api_answer *ans)
{
	struct jw w;

	*ans = (struct api_answer){ .status = 200, .type = API_JSON };
	if (n->silent > 0 && n->found == 0) {
		api_error(ans, 503, "the proxy does not answer; try again");
		return;
	}
	w = JW(&ans->body);
	jw_open(&w, NULL, '{');
	jw_u64(&w, "found", n->found);
	jw_bool(&w, "complete", n->rows == n->found && n->silent == 0);
	jw_open(&w, "connections", '[');
	for (int i = 0; i < nfiles; i++) {
		if (i > 0)
			buf_addc(&ans->body, ',');
		if (!add_file(files[i], &ans->body)) {
			api_error(ans, 500, "cannot read the list of a proxy");
			return;
		}
	}
	jw_close(&w, ']');
	jw_close(&w, '}');
	buf_addc(&ans->body, '\n');
}
