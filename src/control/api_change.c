/* SPDX-License-Identifier: Apache-2.0 */
/* The API's resources that change something: what may be asked, and the parent's answer. Role
 * control. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "control/api_impl.h"
#include "control/jw.h"

int api_ask_parent(const struct api *a, struct api_answer *ans, struct api_change *change,
                   enum ipc_type type)
{
	if (a->orphan) {
		api_error(ans, 503,
		          "the parent process has gone: start it again with \"holdfast run\", it "
		          "adopts what still serves");
		return OK;
	}
	change->type = type;
	return ERR_AGAIN;
}

int api_post_reload(const struct api *a, const struct api_request *q, struct api_answer *ans,
                    struct api_change *change)
{
	(void)q;
	return api_ask_parent(a, ans, change, IPC_RELOAD);
}

int api_post_upgrade(const struct api *a, const struct api_request *q, struct api_answer *ans,
                     struct api_change *change)
{
	(void)q;
	return api_ask_parent(a, ans, change, IPC_UPGRADE);
}

static int order_of(const char *name)
{
	for (int i = 0; name != NULL && i < ORDER_COUNT; i++) {
		if (strcmp(server_order_name[i], name) == 0)
			return i;
	}
	return -1;
}

static bool target_exists(const struct conf *c, struct str target)
{
	const struct conf_pool *pool;

	if (str_ends(target, STR("/*")))
		target.len -= 2;
	return conf_pool_find(c, target) != NULL || conf_server_find(c, target, &pool) != NULL;
}

/* The time of an order, from now. False: it is none, or not of such an order. */
static bool time_is_fine(const json_t *after, const char *target, int order)
{
	return after == NULL || (order == ORDER_DRAIN && strcmp(target, IPC_NODE_TARGET) != 0 &&
	                         json_is_integer(after) && json_integer_value(after) >= 0 &&
	                         (uint64_t)json_integer_value(after) <= IPC_END_MAX_MS);
}

/* Whether the order may be given; else its refusal in *ans. */
static bool order_is_fine(const struct conf *c, const char *target, int order, const json_t *after,
                          struct api_answer *ans)
{
	if (target == NULL || order < 0) {
		api_error(ans, 400,
		          "an order is {\"target\": \"POOL/SERVER\", \"POOL\" or \"" IPC_NODE_TARGET
		          "\", \"order\": \"ready\", \"drain\" or \"disable\"}; "
		          "\"drain\" of servers may have \"kill_after_ms\"");
		return false;
	}
	if (!time_is_fine(after, target, order)) {
		api_error(ans, 400,
		          "kill_after_ms goes with \"drain\" of a server or pool: milliseconds, at "
		          "most %llu (7d)",
		          IPC_END_MAX_MS);
		return false;
	}
	if (strcmp(target, IPC_NODE_TARGET) == 0) {
		if (order == ORDER_DISABLE)
			api_error(ans, 400,
			          "the node itself can be drained or ready, not disabled");
		return order != ORDER_DISABLE;
	}
	if (strlen(target) >= sizeof(((struct ipc_order *)0)->target) ||
	    !target_exists(c, str_from(target))) {
		api_error(ans, 404, "there is no server or pool \"%.200s\"", target);
		return false;
	}
	return true;
}

static json_t *body_of(const struct api_request *q)
{
	return json_loadb(q->body.s != NULL ? q->body.s : "", q->body.len, JSON_REJECT_DUPLICATES,
	                  NULL);
}

int api_post_order(const struct api *a, const struct api_request *q, struct api_answer *ans,
                   struct api_change *change)
{
	json_t *json = body_of(q);
	const char *target = json_string_value(json_object_get(json, "target"));
	int order = order_of(json_string_value(json_object_get(json, "order")));
	const json_t *after = json_object_get(json, "kill_after_ms");
	int ret = OK;

	if (order_is_fine(a->conf, target, order, after, ans)) {
		change->order.order = (uint32_t)order;
		strcpy(change->order.target, target);
		if (after != NULL)
			change->order.end_wall_ms =
			    clock_wall_ms() + (uint64_t)json_integer_value(after);
		ret = api_ask_parent(a, ans, change, IPC_ORDER);
	}
	json_decref(json);
	return ret;
}

static bool may_hold(const struct conf *c, const struct conf_vip *v, struct str name)
{
	for (uint32_t i = 0; i < v->nnodes; i++) {
		if (str_eq(c->nodes[v->nodes[i].node].name, name))
			return true;
	}
	return false;
}

static void not_a_holder(const struct conf *c, const struct conf_vip *v, const char *name,
                         struct api_answer *ans)
{
	struct buf names = BUF_INIT;

	for (uint32_t i = 0; i < v->nnodes; i++)
		buf_printf(&names, "%s%.*s", i > 0 ? ", " : "",
		           STR_ARG(c->nodes[v->nodes[i].node].name));
	api_error(ans, 404, "\"%.60s\" is no node that may hold %.*s; there are %s", name,
	          STR_ARG(v->name), buf_cstr(&names));
	buf_free(&names);
}

/* Whether the switchover may be asked for; else its refusal in *ans. */
static bool switchover_is_fine(const struct conf *c, const char *vip, const json_t *to,
                               struct api_answer *ans)
{
	const struct conf_vip *v = vip != NULL ? conf_vip_find(c, str_from(vip)) : NULL;
	const char *node = json_string_value(to);

	if (vip == NULL || (to != NULL && !json_is_null(to) && node == NULL))
		api_error(ans, 400,
		          "a switchover is {\"vip\": NAME, \"to\": NODE}; without \"to\" "
		          "the best other node takes it");
	else if (v == NULL)
		api_error(ans, 404, "there is no virtual IP \"%.60s\"", vip);
	else if (node != NULL && !may_hold(c, v, str_from(node)))
		not_a_holder(c, v, node, ans);
	else
		return true;
	return false;
}

int api_post_switchover(const struct api *a, const struct api_request *q, struct api_answer *ans,
                        struct api_change *change)
{
	json_t *json = body_of(q);
	const char *vip = json_string_value(json_object_get(json, "vip"));
	const json_t *to = json_object_get(json, "to");
	int ret = OK;

	if (switchover_is_fine(a->conf, vip, to, ans)) {
		const char *node = json_string_value(to);

		/* Both are names of the configuration: they fit. */
		snprintf(change->switchover.vip, sizeof(change->switchover.vip), "%s", vip);
		snprintf(change->switchover.to, sizeof(change->switchover.to), "%s",
		         node != NULL ? node : "");
		ret = api_ask_parent(a, ans, change, IPC_SWITCHOVER);
	}
	json_decref(json);
	return ret;
}

void api_result(const struct api_change *change, const struct ipc_result *r, struct api_answer *ans)
{
	struct jw w;

	/* Refused is the state's fault or the file's, not the request's: 409. */
	*ans = (struct api_answer){ .status = r->err == OK ? 200 : 409, .type = API_JSON };
	w = JW(&ans->body);
	jw_open(&w, NULL, '{');
	jw_bool(&w, "ok", r->err == OK);
	if (r->err == OK) {
		jw_text(&w, "text", r->text);
		if (change->type == IPC_ORDER)
			jw_u64(&w, "servers", r->count);
		if (change->type == IPC_ORDER && change->order.end_wall_ms != 0)
			jw_time(&w, "end_at", change->order.end_wall_ms);
	} else {
		jw_text(&w, "error", r->text[0] != '\0' ? r->text : err_text(r->err));
	}
	jw_close(&w, '}');
	buf_addc(&ans->body, '\n');
}
