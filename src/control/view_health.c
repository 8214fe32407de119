/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The health of the node, for people, load balancers and monitors: unhealthy (503) when it cannot
 * serve, degraded when it serves with less than it should, else healthy; each part with its reason.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "control/api.h"
#include "control/jw.h"

const char *const health_name[] = { "healthy", "degraded", "unhealthy" };

struct verdict {
	struct jw *w; /* NULL: only the outcome is wanted */
	enum health worst;
};

static void part(struct verdict *v, enum health h, struct str kind, struct str name,
                 const char *reason)
{
	v->worst = MAX(v->worst, h);
	if (v->w == NULL)
		return;
	jw_open(v->w, NULL, '{');
	jw_str(v->w, "kind", kind);
	jw_str(v->w, "name", name);
	jw_text(v->w, "state", health_name[h]);
	jw_text(v->w, "reason", reason);
	jw_close(v->w, '}');
}

/* --- parts ---------------------------------------------------------------------------------- */

const struct board_role *view_role(const struct api *a, const char *name)
{
	const struct board_node *n = board_node(a->board);

	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		if (strncmp(n->roles[i].name, name, sizeof(n->roles[i].name)) == 0)
			return &n->roles[i];
	}
	return NULL;
}

static void role_part(struct verdict *v, const struct api *a, const char *name, enum health if_not)
{
	const struct board_role *r = view_role(a, name);
	char why[192] = "";
	enum health h = HEALTH_HEALTHY;

	if (r == NULL || r->pid <= 0) {
		h = if_not;
		snprintf(why, sizeof(why), "not running%s%.*s",
		         r != NULL && r->reason[0] != '\0' ? ": " : "",
		         (int)(r != NULL ? sizeof(r->reason) : 0), r != NULL ? r->reason : "");
	} else if (r->ready == 0) {
		h = if_not;
		snprintf(why, sizeof(why), "starting");
	}
	part(v, h, STR("role"), str_from(name), why);
}

struct pool_counts {
	uint32_t up;
	uint32_t starting;
	uint32_t down;
	uint32_t ordered; /* out of service by a person */
};

static struct pool_counts count_pool(const struct api *a, const struct conf_pool *p)
{
	struct pool_counts n = { 0 };

	for (uint32_t i = 0; i < p->nservers; i++) {
		union server_word w = board_server_word(board_server(a->board, p->servers[i].slot));

		if (w.order != ORDER_READY)
			n.ordered++;
		else if (w.state == SERVER_UP)
			n.up++;
		else if (w.state == SERVER_DOWN)
			n.down++;
		else
			n.starting++;
	}
	return n;
}

static enum health pool_part(struct verdict *v, const struct api *a, const struct conf_pool *p)
{
	struct pool_counts n = count_pool(a, p);
	enum health h = HEALTH_HEALTHY;
	struct buf why = BUF_INIT;

	if (n.up == 0)
		h = HEALTH_UNHEALTHY;
	else if (n.down > 0 || n.starting > 0)
		h = HEALTH_DEGRADED;
	buf_printf(&why, "%u of %u servers up", n.up, p->nservers);
	if (n.down > 0)
		buf_printf(&why, ", %u down", n.down);
	if (n.starting > 0)
		buf_printf(&why, ", %u starting", n.starting);
	if (n.ordered > 0)
		buf_printf(&why, ", %u out of service by order", n.ordered);
	part(v, h, STR("pool"), p->name, buf_cstr(&why));
	buf_free(&why);
	return h;
}

/* One dead pool among others makes the node degraded; no pool at all that works, unhealthy. */
static void pool_parts(struct verdict *v, const struct api *a)
{
	struct verdict pools = { .w = v->w };
	uint32_t dead = 0;

	for (uint32_t i = 0; i < a->conf->npools; i++)
		dead += pool_part(&pools, a, &a->conf->pools[i]) == HEALTH_UNHEALTHY;
	if (dead > 0 && dead < a->conf->npools)
		pools.worst = HEALTH_DEGRADED;
	v->worst = MAX(v->worst, pools.worst);
}

/* --- virtual IPs ---------------------------------------------------------------------------- */

static void add_why(struct buf *why, const char *name, const char *text)
{
	buf_printf(why, "%s%s%s%s", why->len > 0 ? "; " : "", name, *text != '\0' ? ": " : "",
	           text);
}

static void vip_part(struct verdict *v, const struct conf_vip *vip, const struct board_vip *b,
                     bool drained)
{
	struct buf why = BUF_INIT;

	for (uint32_t i = 0; i < b->nconditions; i++) {
		if (!b->conditions[i].well)
			add_why(&why, b->conditions[i].name, b->conditions[i].reason);
	}
	if (b->conflict)
		add_why(&why, "another node is active as well", b->peer);
	if (b->state == VIP_OUT && !drained && !b->drained)
		add_why(&why, "takes no part", b->reason);
	part(v, why.len > 0 ? HEALTH_DEGRADED : HEALTH_HEALTHY, STR("virtual_ip"), vip->name,
	     buf_cstr(&why));
	buf_free(&why);
}

static void vip_parts(struct verdict *v, const struct api *a)
{
	bool drained = board_node(a->board)->drained != 0;

	if (drained)
		part(v, HEALTH_HEALTHY, STR("node"), STR("drained"),
		     "holds no virtual IP, by order: \"holdfast ready --node\" takes it back");
	if (view_role(a, "vrrp") != NULL)
		role_part(v, a, "vrrp", HEALTH_DEGRADED);
	for (uint32_t i = 0; i < a->conf->nvips; i++) {
		struct board_vip b;

		if (view_vip_is_ours(a, &a->conf->vips[i]) && view_vip(a, &a->conf->vips[i], &b))
			vip_part(v, &a->conf->vips[i], &b, drained);
	}
}

/* --- certificates --------------------------------------------------------------------------- */

static void cert_part(void *arg, const char *origin, const char *why)
{
	part(arg, HEALTH_DEGRADED, STR("certificate"), str_from(origin), why);
}

static void cert_parts(struct verdict *v, const struct api *a)
{
	uint32_t more = view_certs_ill(a, cert_part, v);
	char text[64];

	snprintf(text, sizeof(text), "%u more certificates are not well", more);
	if (more > 0)
		part(v, HEALTH_DEGRADED, STR("certificate"), STR("others"), text);
}

enum health view_health(const struct api *a, struct buf *out)
{
	const struct board_node *n = board_node(a->board);
	struct buf parts = BUF_INIT;
	struct jw w = JW(&parts);
	struct verdict v = { .w = out != NULL ? &w : NULL };

	if (n->draining != 0)
		part(&v, HEALTH_UNHEALTHY, STR("node"), STR("node"), "about to end");
	if (a->orphan)
		part(&v, HEALTH_DEGRADED, STR("role"), STR("parent"),
		     "not running: roles are not restarted until \"holdfast run\" adopts them");
	role_part(&v, a, "proxy", HEALTH_UNHEALTHY);
	role_part(&v, a, "check", HEALTH_DEGRADED);
	part(&v, HEALTH_HEALTHY, STR("role"), STR("control"), "");
	if (n->reload_error[0] != '\0')
		part(&v, HEALTH_DEGRADED, STR("configuration"), STR("reload"),
		     "the last reload was refused; the configuration before it is in force");
	pool_parts(&v, a);
	vip_parts(&v, a);
	cert_parts(&v, a);
	if (out != NULL) {
		buf_printf(out, "{\"state\":\"%s\",\"node\":", health_name[v.worst]);
		buf_json(out, str_from(n->node));
		buf_adds(out, ",\"parts\":[");
		buf_addstr(out, buf_str(&parts));
		buf_adds(out, "]}\n");
	}
	buf_free(&parts);
	return v.worst;
}
