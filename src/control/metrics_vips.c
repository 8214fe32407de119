/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual IPs and named checks in the exposition. A virtual IP has series on the nodes that may
 * hold it, once the role vrrp has published it. Role control.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "control/metrics_impl.h"

struct vip_row {
	char *labels; /* vip="web" */
	struct board_vip b;
};

struct vip_rows {
	struct vip_row *v;
	uint32_t n;
};

/* --- states --------------------------------------------------------------------------------- */

/* Each a field of one byte. */
static const struct {
	const char *series;
	const char *help;
	size_t at;
} gauges[] = {
	{ "holdfast_vrrp_priority", "priority as advertised now, or as it would be",
	  offsetof(struct board_vip, priority) },
	{ "holdfast_vrrp_base_priority", "priority as configured",
	  offsetof(struct board_vip, base) },
	{ "holdfast_vrrp_holding", "whether the addresses are on the interface",
	  offsetof(struct board_vip, holding) },
	{ "holdfast_vrrp_conflict", "whether another active node is heard while this one is active",
	  offsetof(struct board_vip, conflict) },
	{ "holdfast_vrrp_relaying",
	  "whether connections from before a planned handover are passed on or kept",
	  offsetof(struct board_vip, relaying) },
};

static void states(const struct vip_rows *r, struct buf *out)
{
	metrics_head(out, "holdfast_vrrp_state", "gauge",
	             "1 for the state that the virtual IP is in on this node");
	for (uint32_t i = 0; i < r->n; i++) {
		for (unsigned k = 0; k < VIP_STATES; k++)
			buf_printf(out, "holdfast_vrrp_state{%s,state=\"%s\"} %u\n", r->v[i].labels,
			           vip_state_name[k], k == r->v[i].b.state);
	}
	for (unsigned k = 0; k < ARRAY_LEN(gauges); k++) {
		metrics_head(out, gauges[k].series, "gauge", gauges[k].help);
		for (uint32_t i = 0; i < r->n; i++)
			metrics_line(out, str_from(gauges[k].series), r->v[i].labels,
			             ((const uint8_t *)&r->v[i].b)[gauges[k].at]);
	}
}

/* --- counters ------------------------------------------------------------------------------- */

static void counters(const struct vip_rows *r, struct buf *out)
{
	char name[96];

	for (unsigned k = 0; k < VIP_COUNTERS; k++) {
		snprintf(name, sizeof(name), "holdfast_vrrp_%s", vip_counter_series[k]);
		metrics_head(out, name, "counter", vip_counter_help[k]);
		for (uint32_t i = 0; i < r->n; i++)
			metrics_line(out, str_from(name), r->v[i].labels, r->v[i].b.c[k]);
	}
	metrics_head(out, "holdfast_vrrp_dropped_total", "counter",
	             "advertisements that were not taken, by reason");
	for (uint32_t i = 0; i < r->n; i++) {
		for (unsigned k = 0; k < VIP_DROPS; k++)
			buf_printf(out, "holdfast_vrrp_dropped_total{%s,reason=\"%s\"} %llu\n",
			           r->v[i].labels, vip_drop_label[k],
			           (unsigned long long)r->v[i].b.dropped[k]);
	}
}

/* --- conditions and checks ------------------------------------------------------------------ */

static void conditions(const struct vip_rows *r, struct buf *out)
{
	metrics_head(out, "holdfast_condition_well", "gauge",
	             "whether a condition of the virtual IP is well on this node");
	for (uint32_t i = 0; i < r->n; i++) {
		const struct board_vip *b = &r->v[i].b;

		for (uint32_t k = 0; k < b->nconditions; k++) {
			struct buf labels = BUF_INIT;
			const char *name = b->conditions[k].name;

			buf_adds(&labels, r->v[i].labels);
			metrics_label(&labels, "condition",
			              str_n(name, strnlen(name, sizeof(b->conditions[k].name))));
			metrics_line(out, STR("holdfast_condition_well"), buf_cstr(&labels),
			             b->conditions[k].well != 0);
			buf_free(&labels);
		}
	}
}

static void checks(const struct api *a, struct buf *out)
{
	metrics_head(out, "holdfast_check_up", "gauge", "whether the named check is up");
	for (uint32_t i = 0; i < a->conf->nchecks; i++) {
		const struct conf_pool *c = &a->conf->checks[i];
		struct buf labels = BUF_INIT;

		metrics_label(&labels, "check", c->name);
		metrics_line(out, STR("holdfast_check_up"), buf_cstr(&labels),
		             board_server_word(board_server(a->board, c->servers[0].slot)).state ==
		                 SERVER_UP);
		buf_free(&labels);
	}
}

static void gather(const struct api *a, struct vip_rows *r, struct buf *out)
{
	for (uint32_t i = 0; i < a->conf->nvips && r->v != NULL; i++) {
		struct buf labels = BUF_INIT;
		struct vip_row *row = &r->v[r->n];

		if (!view_vip(a, &a->conf->vips[i], &row->b))
			continue;
		metrics_label(&labels, "vip", a->conf->vips[i].name);
		buf_cstr(&labels);
		row->labels = buf_take(&labels);
		r->n += row->labels != NULL;
		out->failed |= row->labels == NULL;
	}
}

void metrics_vips(const struct api *a, struct buf *out)
{
	struct vip_rows rows = { .v = calloc(a->conf->nvips + 1, sizeof(*rows.v)) };

	out->failed |= rows.v == NULL;
	gather(a, &rows, out);
	if (a->conf->nvips > 0) {
		states(&rows, out);
		counters(&rows, out);
		conditions(&rows, out);
	}
	if (a->conf->nchecks > 0)
		checks(a, out);
	for (uint32_t i = 0; i < rows.n; i++)
		free(rows.v[i].labels);
	free(rows.v);
}
