/* SPDX-License-Identifier: Apache-2.0 */
/* What the API says about states, roles and counters. Role control. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "control/api.h"
#include "control/jw.h"

uint64_t view_requests(const struct stat_block *sum, uint64_t *ret_errors)
{
	uint64_t requests = 0;

	*ret_errors = 0;
	for (unsigned i = 0; i < STAT_CODES; i++) {
		uint64_t count = sum->codes[i] & ((1ULL << 48) - 1);

		requests += count;
		if ((sum->codes[i] >> 48 & 0xfff) >= 500)
			*ret_errors += count;
	}
	return requests;
}

uint32_t view_active(struct board *b, uint32_t slot)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < BOARD_INSTANCES; i++)
		n += atomic_load_explicit(&board_live(b, i, slot)->active, memory_order_relaxed);
	return n;
}

/* --- the node ------------------------------------------------------------------------------- */

static void put_roles(const struct api *a, struct jw *w, const char *key)
{
	const struct board_node *n = board_node(a->board);

	jw_open(w, key, '[');
	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		const struct board_role *r = &n->roles[i];

		if (r->name[0] == '\0')
			continue;
		jw_open(w, NULL, '{');
		jw_str(w, "name", str_n(r->name, strnlen(r->name, sizeof(r->name))));
		jw_u64(w, "pid", r->pid > 0 ? (uint64_t)r->pid : 0);
		jw_bool(w, "ready", r->ready != 0);
		jw_u64(w, "restarts", r->restarts);
		jw_time(w, "since", r->since_wall_ms);
		jw_str(w, "reason", str_n(r->reason, strnlen(r->reason, sizeof(r->reason))));
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

void view_roles(const struct api *a, struct buf *out)
{
	struct jw w = JW(out);

	put_roles(a, &w, NULL);
	buf_addc(out, '\n');
}

static void put_node(const struct api *a, struct jw *w)
{
	const struct board_node *n = board_node(a->board);
	uint64_t now = clock_wall_ms();

	jw_text(w, "node", n->node);
	jw_str(w, "cluster", a->conf->cluster);
	jw_text(w, "version", n->version);
	jw_time(w, "time", now);
	jw_time(w, "started", n->started_wall_ms);
	jw_u64(w, "uptime_ms", now > n->started_wall_ms ? now - n->started_wall_ms : 0);
	jw_text(w, "health", health_name[view_health(a, NULL)]);
	jw_bool(w, "draining", n->draining != 0);
	jw_bool(w, "drained", n->drained != 0);
	jw_bool(w, "orphan", a->orphan);
	jw_text(w, "file", n->conf_path);
	jw_u64(w, "generation", a->conf->generation);
	jw_time(w, "loaded", n->loaded_wall_ms);
	jw_open(w, "reloads", '{');
	jw_u64(w, "ok", n->reloads_ok);
	jw_u64(w, "refused", n->reloads_refused);
	jw_time(w, "last", n->reload_wall_ms);
	jw_text(w, "error", n->reload_error);
	jw_close(w, '}');
}

/* --- objects -------------------------------------------------------------------------------- */

static void put_counts(const struct api *a, struct jw *w, enum board_kind kind, uint32_t slot)
{
	struct stat_block sum = { 0 };
	uint64_t errors;

	board_total(a->board, kind, slot, &sum);
	jw_u64(w, "requests", view_requests(&sum, &errors));
	jw_u64(w, "errors", errors);
	jw_u64(w, "open", sum.c[STAT_OPEN]);
	if (kind != BOARD_SERVER)
		jw_u64(w, "active", sum.c[STAT_ACTIVE]);
}

static void put_listeners(const struct api *a, struct jw *w)
{
	jw_open(w, "listeners", '[');
	for (uint32_t i = 0; i < a->conf->nlisteners; i++) {
		const struct conf_listener *l = &a->conf->listeners[i];

		jw_open(w, NULL, '{');
		jw_str(w, "name", l->name);
		jw_text(w, "protocol",
		        l->protocol == PROTOCOL_TCP   ? "tcp"
		        : l->protocol == PROTOCOL_UDP ? "udp"
		                                      : "http");
		if (l->to.len > 0)
			jw_str(w, "to", l->to);
		jw_open(w, "bind", '[');
		for (uint32_t k = 0; k < l->nbind; k++)
			jw_str(w, NULL, l->bind_text[k]);
		jw_close(w, ']');
		put_counts(a, w, BOARD_LISTENER, l->slot);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static void put_routes(const struct api *a, struct jw *w)
{
	jw_open(w, "routes", '[');
	for (uint32_t i = 0; i < a->conf->nroutes; i++) {
		const struct conf_route *r = &a->conf->routes[i];

		jw_open(w, NULL, '{');
		jw_str(w, "name", r->name);
		jw_open(w, "host", '[');
		for (uint32_t k = 0; k < r->hosts.n; k++)
			jw_str(w, NULL, r->hosts.v[k]);
		jw_close(w, ']');
		jw_str(w, "path", r->path);
		jw_str(w, "to", r->to);
		put_counts(a, w, BOARD_ROUTE, r->slot);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static const char *balance_name(uint32_t balance)
{
	static const char *const names[] = { "round_robin", "least_conn", "random_two",
		                             "source_hash", "header_hash" };

	return balance < ARRAY_LEN(names) ? names[balance] : "";
}

static void put_pools(const struct api *a, struct jw *w)
{
	jw_open(w, "pools", '[');
	for (uint32_t i = 0; i < a->conf->npools; i++) {
		const struct conf_pool *p = &a->conf->pools[i];
		uint32_t up = 0;

		for (uint32_t k = 0; k < p->nservers; k++) {
			union server_word word =
			    board_server_word(board_server(a->board, p->servers[k].slot));

			up += word.state == SERVER_UP && word.order == ORDER_READY;
		}
		jw_open(w, NULL, '{');
		jw_str(w, "name", p->name);
		jw_text(w, "balance", balance_name(p->balance));
		jw_u64(w, "up", up);
		jw_u64(w, "servers", p->nservers);
		put_counts(a, w, BOARD_POOL, p->slot);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

void view_probed(struct jw *w, const struct board_server *s)
{
	union server_word word = { .word = s->word };

	jw_text(w, "state", server_state_name[word.state < SERVER_STATES ? word.state : 0]);
	jw_text(w, "reason", s->reason);
	jw_time(w, "since", s->since_wall_ms);
	jw_time(w, "checked", s->checked_wall_ms);
	jw_u64(w, "check_us", s->last_us);
	jw_u64(w, "checks_ok", s->checks_ok);
	jw_u64(w, "checks_failed", s->checks_failed);
}

static void put_server(const struct api *a, struct jw *w, const struct conf_pool *p,
                       const struct conf_server *s)
{
	struct board_server d = board_server_read(board_server(a->board, s->slot));
	union server_word word = board_server_word(&d);

	jw_open(w, NULL, '{');
	jw_str(w, "id", s->id);
	jw_str(w, "pool", p->name);
	jw_str(w, "name", s->name);
	jw_str(w, "address", s->address_text);
	view_probed(w, &d);
	jw_text(w, "order", server_order_name[word.order < ORDER_COUNT ? word.order : 0]);
	jw_time(w, "end_at", d.end_wall_ms);
	jw_u64(w, "ended", d.ended);
	jw_bool(w, "ejected", word.ejected != 0);
	jw_u64(w, "ramp", word.ramp);
	jw_u64(w, "weight", s->weight);
	jw_bool(w, "backup", s->backup);
	put_counts(a, w, BOARD_SERVER, s->slot);
	jw_u64(w, "active", view_active(a->board, s->slot));
	jw_close(w, '}');
}

void view_status(const struct api *a, struct buf *out)
{
	struct jw w = JW(out);

	jw_open(&w, NULL, '{');
	put_node(a, &w);
	put_roles(a, &w, "roles");
	view_vips(a, &w);
	view_checks(a, &w);
	view_certificates(a, &w);
	view_acme(a, &w);
	put_listeners(a, &w);
	put_routes(a, &w);
	put_pools(a, &w);
	jw_open(&w, "servers", '[');
	for (uint32_t i = 0; i < a->conf->npools; i++) {
		const struct conf_pool *p = &a->conf->pools[i];

		for (uint32_t k = 0; k < p->nservers; k++)
			put_server(a, &w, p, &p->servers[k]);
	}
	jw_close(&w, ']');
	jw_close(&w, '}');
	buf_addc(out, '\n');
}

/* --- counters ------------------------------------------------------------------------------- */

static void put_stat(const struct api *a, struct jw *w, enum board_kind kind, uint32_t slot,
                     struct str name)
{
	static const char *const counter_names[STAT_COUNTERS] = {
#define NAME(id, series, help) series,
		STAT_COUNTER_ROWS(NAME)
#undef NAME
	};
	struct stat_block sum = { 0 };
	uint64_t errors;

	board_total(a->board, kind, slot, &sum);
	jw_open(w, NULL, '{');
	jw_str(w, "name", name);
	jw_u64(w, "requests", view_requests(&sum, &errors));
	jw_u64(w, "errors", errors);
	jw_open(w, "latency", '[');
	for (unsigned i = 0; i <= STAT_BUCKETS; i++)
		jw_u64(w, NULL, sum.latency[i]);
	jw_close(w, ']');
	jw_u64(w, "latency_sum_us", sum.latency_sum_us);
	for (unsigned i = 0; i < STAT_COUNTERS; i++)
		jw_u64(w, counter_names[i], sum.c[i]);
	jw_close(w, '}');
}

void view_stats(const struct api *a, struct buf *out)
{
	const struct conf *c = a->conf;
	struct jw w = JW(out);

	jw_open(&w, NULL, '{');
	jw_text(&w, "node", board_node(a->board)->node);
	jw_text(&w, "health", health_name[view_health(a, NULL)]);
	jw_u64(&w, "at_us", clock_mono() / NS_PER_US);
	view_vips_brief(a, &w);
	jw_open(&w, "listeners", '[');
	for (uint32_t i = 0; i < c->nlisteners; i++)
		put_stat(a, &w, BOARD_LISTENER, c->listeners[i].slot, c->listeners[i].name);
	jw_close(&w, ']');
	jw_open(&w, "routes", '[');
	for (uint32_t i = 0; i < c->nroutes; i++)
		put_stat(a, &w, BOARD_ROUTE, c->routes[i].slot, c->routes[i].name);
	jw_close(&w, ']');
	jw_open(&w, "pools", '[');
	for (uint32_t i = 0; i < c->npools; i++)
		put_stat(a, &w, BOARD_POOL, c->pools[i].slot, c->pools[i].name);
	jw_close(&w, ']');
	jw_open(&w, "servers", '[');
	for (uint32_t i = 0; i < c->npools; i++) {
		for (uint32_t k = 0; k < c->pools[i].nservers; k++) {
			const struct conf_server *s = &c->pools[i].servers[k];

			put_stat(a, &w, BOARD_SERVER, s->slot, s->id);
		}
	}
	jw_close(&w, ']');
	jw_close(&w, '}');
	buf_addc(out, '\n');
}

/* --- events --------------------------------------------------------------------------------- */

void view_events(const struct api *a, uint64_t since, uint64_t limit, struct buf *out)
{
	static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };
	uint64_t end = board_events(a->board);
	uint64_t oldest = end > BOARD_EVENTS ? end - BOARD_EVENTS : 0;
	uint64_t n = MAX(since, oldest);
	struct jw w = JW(out);

	jw_open(&w, NULL, '{');
	jw_u64(&w, "first", MIN(n, end));
	jw_open(&w, "events", '[');
	for (; n < end && limit > 0; n++) {
		struct board_event e;

		if (!board_event(a->board, n, &e)) {
			/* Being written just now: the next call gets it. Lost if overwritten. */
			if (end - n < 8)
				break;
			continue;
		}
		limit--;
		jw_open(&w, NULL, '{');
		jw_u64(&w, "number", n);
		jw_time(&w, "time", e.wall_ms);
		jw_text(&w, "level", levels[MIN(e.level, ARRAY_LEN(levels) - 1)]);
		jw_str(&w, "area", str_n(e.area, strnlen(e.area, sizeof(e.area))));
		jw_str(&w, "event", str_n(e.event, strnlen(e.event, sizeof(e.event))));
		jw_str(&w, "object", str_n(e.object, strnlen(e.object, sizeof(e.object))));
		jw_str(&w, "text", str_n(e.text, strnlen(e.text, sizeof(e.text))));
		jw_close(&w, '}');
	}
	jw_close(&w, ']');
	jw_u64(&w, "next", MIN(n, end));
	jw_close(&w, '}');
	buf_addc(out, '\n');
}
