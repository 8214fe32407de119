/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Families of what listeners, routes, pools and servers count, made from the rows of the counters,
 * and of how servers are. The sums are taken once for each object.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "control/metrics_impl.h"

struct counter_row {
	const char *series;
	const char *help;
};

static const struct counter_row counter_rows[STAT_COUNTERS] = {
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
			buf_addu(out, entry & ((1ULL << 48) - 1));
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
		buf_addu(out, total);
		buf_addc(out, '\n');
	}
	buf_printf(out, "%s_sum{%s} %.6f\n%s_count{%s} ", name, labels, (double)sum_us / 1e6, name,
	           labels);
	buf_addu(out, total);
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
	static const struct counter_row rows[WIRE_COUNTERS] = {
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

void metrics_traffic(const struct api *a, struct buf *out)
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
		buf_addu(out, stat_get(&v[i].board->checks_ok));
		buf_printf(out, "\nholdfast_server_checks_total{%s,result=\"failed\"} ",
		           v[i].labels);
		buf_addu(out, stat_get(&v[i].board->checks_failed));
		buf_addc(out, '\n');
	}
	metrics_head(out, "holdfast_server_check_duration_seconds", "histogram",
	             "duration of health checks");
	for (uint32_t i = 0; i < n; i++)
		histogram(out, "holdfast_server_check_duration_seconds", v[i].labels,
		          v[i].board->check_latency, stat_get(&v[i].board->check_sum_us));
}

void metrics_servers(const struct api *a, struct buf *out)
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
