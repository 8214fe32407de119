/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exposition for Prometheus (text format 0.0.4), made from the rows of the counters and the
 * objects of the committed configuration, so that what is no longer configured vanishes. A family's
 * samples stand together, as the format asks; the sums are taken once for each object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "control/metrics_impl.h"

static const struct {
	const char *series;
	const char *help;
} counter_rows[STAT_COUNTERS] = {
#define ROW(id, series, help) { series, help },
	STAT_COUNTER_ROWS(ROW)
#undef ROW
};

/* An object: its labels without braces and its sums. */
struct object {
	char *labels;
	struct stat_block sum;
	struct wire_block wire; /* of a listener */
};

struct family_set {
	const char *kind; /* "server" */
	struct object *v;
	uint32_t n;
};

/* --- lines ---------------------------------------------------------------------------------- */

void metrics_label(struct buf *out, const char *name, struct str value)
{
	if (out->len > 0 && out->p[out->len - 1] != '{')
		buf_addc(out, ',');
	buf_printf(out, "%s=\"", name);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.s[i];

		if (c == '\\' || c == '"')
			buf_addc(out, '\\');
		if (c == '\n')
			buf_adds(out, "\\n");
		else
			buf_addc(out, (unsigned char)c < ' ' ? '?' : c);
	}
	buf_addc(out, '"');
}

static void add_u64(struct buf *out, uint64_t n)
{
	char text[24];
	char *p = text + sizeof(text);

	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	buf_add(out, p, (size_t)(text + sizeof(text) - p));
}

void metrics_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_line(struct buf *out, struct str name, const char *labels, uint64_t value)
{
	buf_addstr(out, name);
	if (labels[0] != '\0') {
		buf_addc(out, '{');
		buf_adds(out, labels);
		buf_addc(out, '}');
	}
	buf_addc(out, ' ');
	add_u64(out, value);
	buf_addc(out, '\n');
}

void metrics_single(struct buf *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
	metrics_head(out, name, type, help);
	metrics_line(out, str_from(name), "", value);
}

/* --- traffic -------------------------------------------------------------------------------- */

static void requests(const struct family_set *f, struct buf *out)
{
	char name[64];

	snprintf(name, sizeof(name), "holdfast_%s_requests_total", f->kind);
	metrics_head(out, name, "counter", "finished requests by method and status code");
	for (uint32_t i = 0; i < f->n; i++) {
		for (unsigned k = 0; k < STAT_CODES; k++) {
			uint64_t entry = f->v[i].sum.codes[k];
			unsigned method = (unsigned)(entry >> 60);

			if (entry == 0)
				continue;
			buf_printf(out, "%s{%s,method=\"%s\",code=\"%u\"} ", name, f->v[i].labels,
			           stat_method_name[method < STAT_METHODS ? method : STAT_OTHER],
			           (unsigned)(entry >> 48 & 0xfff));
			add_u64(out, entry & ((1ULL << 48) - 1));
			buf_addc(out, '\n');
		}
	}
}

/* The bounds as text: "0.001" … "10". */
static const char *bound(unsigned bucket)
{
	static char text[STAT_BUCKETS][16];

	if (text[bucket][0] == '\0')
		snprintf(text[bucket], sizeof(text[bucket]), "%g", stat_bucket_us[bucket] / 1e6);
	return text[bucket];
}

static void histogram(struct buf *out, const char *name, const char *labels,
                      const uint64_t latency[STAT_BUCKETS + 1], uint64_t sum_us)
{
	uint64_t total = 0;

	for (unsigned k = 0; k <= STAT_BUCKETS; k++) {
		total += latency[k];
		buf_adds(out, name);
		buf_adds(out, "_bucket{");
		buf_adds(out, labels);
		buf_adds(out, ",le=\"");
		buf_adds(out, k < STAT_BUCKETS ? bound(k) : "+Inf");
		buf_adds(out, "\"} ");
		add_u64(out, total);
		buf_addc(out, '\n');
	}
	buf_printf(out, "%s_sum{%s} %.6f\n%s_count{%s} ", name, labels, (double)sum_us / 1e6, name,
	           labels);
	add_u64(out, total);
	buf_addc(out, '\n');
}

static void durations(const struct family_set *f, struct buf *out)
{
	char name[64];

	snprintf(name, sizeof(name), "holdfast_%s_request_duration_seconds", f->kind);
	metrics_head(out, name, "histogram",
	             "time from a request's first byte to its answer's last");
	for (uint32_t i = 0; i < f->n; i++)
		histogram(out, name, f->v[i].labels, f->v[i].sum.latency,
		          f->v[i].sum.latency_sum_us);
}

static void counters(const struct family_set *f, struct buf *out)
{
	for (unsigned k = 0; k < STAT_COUNTERS; k++) {
		bool gauge = !str_ends(str_from(counter_rows[k].series), STR("_total"));
		char name[96];

		snprintf(name, sizeof(name), "holdfast_%s_%s", f->kind, counter_rows[k].series);
		metrics_head(out, name, gauge ? "gauge" : "counter", counter_rows[k].help);
		for (uint32_t i = 0; i < f->n; i++)
			metrics_line(out, str_from(name), f->v[i].labels, f->v[i].sum.c[k]);
	}
}

/* Adds an object with its labels in *labels, which it empties. */
static void object(struct family_set *f, const struct api *a, enum board_kind kind, uint32_t slot,
                   struct buf *labels)
{
	struct object *o = &f->v[f->n];

	buf_cstr(labels);
	o->labels = buf_take(labels);
	if (o->labels == NULL)
		return;
	board_total(a->board, kind, slot, &o->sum);
	if (kind == BOARD_LISTENER)
		board_wire_total(a->board, slot, &o->wire);
	f->n++;
}

static void put_family(struct family_set *f, struct buf *out)
{
	requests(f, out);
	durations(f, out);
	counters(f, out);
	for (uint32_t i = 0; i < f->n; i++)
		free(f->v[i].labels);
	free(f->v);
}

static bool family_init(struct family_set *f, const char *kind, uint32_t max, struct buf *out)
{
	*f = (struct family_set){ .kind = kind };
	f->v = calloc(max > 0 ? max : 1, sizeof(*f->v));
	if (f->v == NULL)
		out->failed = true;
	return f->v != NULL;
}

/* What the protocols of listeners count. */
static void wires(const struct family_set *listeners, struct buf *out)
{
	static const struct {
		const char *series;
		const char *help;
	} rows[WIRE_COUNTERS] = {
#define ROW(id, series, help) { series, help },
		WIRE_ROWS(ROW)
#undef ROW
	};
	char name[96];

	for (unsigned k = 0; k < WIRE_COUNTERS; k++) {
		snprintf(name, sizeof(name), "holdfast_listener_%s", rows[k].series);
		metrics_head(out, name, "counter", rows[k].help);
		for (uint32_t i = 0; i < listeners->n; i++)
			metrics_line(out, str_from(name), listeners->v[i].labels,
			             listeners->v[i].wire.c[k]);
	}
}

static void traffic(const struct api *a, struct buf *out)
{
	const struct conf *c = a->conf;
	struct buf labels = BUF_INIT;
	struct family_set f;

	if (family_init(&f, "listener", c->nlisteners, out)) {
		for (uint32_t i = 0; i < c->nlisteners; i++) {
			metrics_label(&labels, "listener", c->listeners[i].name);
			object(&f, a, BOARD_LISTENER, c->listeners[i].slot, &labels);
		}
		wires(&f, out);
		put_family(&f, out);
	}
	if (family_init(&f, "route", c->nroutes, out)) {
		for (uint32_t i = 0; i < c->nroutes; i++) {
			metrics_label(&labels, "route", c->routes[i].name);
			object(&f, a, BOARD_ROUTE, c->routes[i].slot, &labels);
		}
		put_family(&f, out);
	}
	if (family_init(&f, "pool", c->npools, out)) {
		for (uint32_t i = 0; i < c->npools; i++) {
			metrics_label(&labels, "pool", c->pools[i].name);
			object(&f, a, BOARD_POOL, c->pools[i].slot, &labels);
		}
		put_family(&f, out);
	}
}

/* --- servers -------------------------------------------------------------------------------- */

static uint32_t count_servers(const struct conf *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->npools; i++)
		n += c->pools[i].nservers;
	return n;
}

/* What a server is for its users. */
static unsigned shown_state(union server_word w)
{
	if (w.order == ORDER_DISABLE)
		return 4;
	if (w.order == ORDER_DRAIN)
		return 3;
	return w.state == SERVER_UP ? 0 : w.state == SERVER_DOWN ? 1 : 2;
}

struct server_row {
	const struct conf_server *conf;
	struct board_server *board;
	const char *labels;
};

static void server_states(const struct server_row *v, uint32_t n, struct buf *out)
{
	static const char *const states[] = { "up", "down", "starting", "draining", "disabled" };

	metrics_head(out, "holdfast_server_up", "gauge", "whether the server takes new requests");
	for (uint32_t i = 0; i < n; i++) {
		union server_word w = board_server_word(v[i].board);

		metrics_line(out, STR("holdfast_server_up"), v[i].labels,
		             w.state == SERVER_UP && w.order == ORDER_READY);
	}
	metrics_head(out, "holdfast_server_state", "gauge",
	             "1 for the state that the server is in");
	for (uint32_t i = 0; i < n; i++) {
		unsigned now = shown_state(board_server_word(v[i].board));

		for (unsigned k = 0; k < ARRAY_LEN(states); k++)
			buf_printf(out, "holdfast_server_state{%s,state=\"%s\"} %u\n", v[i].labels,
			           states[k], k == now);
	}
	metrics_head(out, "holdfast_server_weight", "gauge",
	             "weight in force, slow start included");
	for (uint32_t i = 0; i < n; i++) {
		union server_word w = board_server_word(v[i].board);
		bool takes = w.state == SERVER_UP && w.order == ORDER_READY;

		buf_printf(out, "holdfast_server_weight{%s} %g\n", v[i].labels,
		           takes ? v[i].conf->weight * (double)w.ramp / 100 : 0.0);
	}
}

static void server_checks(const struct server_row *v, uint32_t n, struct buf *out)
{
	metrics_head(out, "holdfast_server_checks_total", "counter",
	             "finished health checks by result");
	for (uint32_t i = 0; i < n; i++) {
		buf_printf(out, "holdfast_server_checks_total{%s,result=\"ok\"} ", v[i].labels);
		add_u64(out, stat_get(&v[i].board->checks_ok));
		buf_printf(out, "\nholdfast_server_checks_total{%s,result=\"failed\"} ",
		           v[i].labels);
		add_u64(out, stat_get(&v[i].board->checks_failed));
		buf_addc(out, '\n');
	}
	metrics_head(out, "holdfast_server_check_duration_seconds", "histogram",
	             "duration of health checks");
	for (uint32_t i = 0; i < n; i++)
		histogram(out, "holdfast_server_check_duration_seconds", v[i].labels,
		          v[i].board->check_latency, stat_get(&v[i].board->check_sum_us));
}

static void servers(const struct api *a, struct buf *out)
{
	const struct conf *c = a->conf;
	uint32_t n = count_servers(c);
	struct server_row *rows = calloc(n > 0 ? n : 1, sizeof(*rows));
	struct buf labels = BUF_INIT;
	struct family_set f;

	if (rows == NULL || !family_init(&f, "server", n, out)) {
		out->failed = true;
		free(rows);
		return;
	}
	for (uint32_t i = 0; i < c->npools; i++) {
		for (uint32_t k = 0; k < c->pools[i].nservers; k++) {
			const struct conf_server *s = &c->pools[i].servers[k];
			uint32_t at = f.n;

			metrics_label(&labels, "pool", c->pools[i].name);
			metrics_label(&labels, "server", s->name);
			object(&f, a, BOARD_SERVER, s->slot, &labels);
			if (f.n > at)
				rows[at] = (struct server_row){ s, board_server(a->board, s->slot),
					                        f.v[at].labels };
		}
	}
	server_states(rows, f.n, out);
	server_checks(rows, f.n, out);
	free(rows);
	put_family(&f, out);
}

/* --- the node ------------------------------------------------------------------------------- */

static void roles(const struct board_node *n, struct buf *out)
{
	struct buf labels[BOARD_ROLES] = { BUF_INIT };

	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		const char *name = n->roles[i].name;

		if (name[0] != '\0')
			metrics_label(&labels[i], "role",
			              str_n(name, strnlen(name, sizeof(n->roles[i].name))));
	}
	metrics_head(out, "holdfast_role_up", "gauge", "whether the role's process is ready");
	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		if (labels[i].len > 0)
			metrics_line(out, STR("holdfast_role_up"), buf_cstr(&labels[i]),
			             n->roles[i].pid > 0 && n->roles[i].ready != 0);
	}
	metrics_head(out, "holdfast_role_restarts_total", "counter",
	             "restarts of the role's process");
	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		if (labels[i].len > 0)
			metrics_line(out, STR("holdfast_role_restarts_total"), buf_cstr(&labels[i]),
			             n->roles[i].restarts);
		buf_free(&labels[i]);
	}
}

static void seconds(struct buf *out, const char *name, const char *help, uint64_t ms)
{
	metrics_head(out, name, "gauge", help);
	buf_printf(out, "%s %.3f\n", name, (double)ms / 1e3);
}

static void node(const struct api *a, struct buf *out)
{
	const struct board_node *n = board_node(a->board);
	struct buf labels = BUF_INIT;
	uint64_t open = 0;

	metrics_label(&labels, "version", str_from(n->version));
	metrics_label(&labels, "node", str_from(n->node));
	metrics_head(out, "holdfast_build_info", "gauge",
	             "always 1; the version and the node as labels");
	metrics_line(out, STR("holdfast_build_info"), buf_cstr(&labels), 1);
	buf_free(&labels);
	seconds(out, "holdfast_start_time_seconds", "when the node was started, Unix time",
	        n->started_wall_ms);
	metrics_head(out, "holdfast_reloads_total", "counter",
	             "reloads of the configuration by result");
	metrics_line(out, STR("holdfast_reloads_total"), "result=\"ok\"", n->reloads_ok);
	metrics_line(out, STR("holdfast_reloads_total"), "result=\"refused\"", n->reloads_refused);
	metrics_single(out, "holdfast_last_reload_successful", "gauge",
	               "whether the last attempt to load the configuration succeeded",
	               n->reload_error[0] == '\0');
	seconds(out, "holdfast_last_reload_success_timestamp_seconds",
	        "when the configuration in force was loaded, Unix time", n->loaded_wall_ms);
	metrics_single(out, "holdfast_configuration_generation", "gauge",
	               "number of the configuration in force", a->conf->generation);
	metrics_single(out, "holdfast_healthy", "gauge", "1 healthy, 0 degraded or unhealthy",
	               view_health(a, NULL) == HEALTH_HEALTHY);
	for (unsigned i = 0; i < BOARD_INSTANCES; i++)
		open += atomic_load_explicit(&board_node(a->board)->connections[i],
		                             memory_order_relaxed);
	metrics_single(out, "holdfast_connections", "gauge", "client connections open now", open);
	metrics_single(out, "holdfast_node_drained", "gauge",
	               "whether the node is taken out by order and holds no virtual IP",
	               n->drained != 0);
	roles(n, out);
}

void metrics_write(const struct api *a, struct buf *out)
{
	node(a, out);
	traffic(a, out);
	servers(a, out);
	metrics_vips(a, out);
	metrics_certs(a, out);
	metrics_acme(a, out);
}
