/* SPDX-License-Identifier: Apache-2.0 */
/* What the observers and the nodes say: who holds an address, and whether all is well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "drill/impl.h"

#define ASK_MS 2000

/* --- observers ------------------------------------------------------------------------------ */

static void address_list(const struct drill *d, struct buf *out)
{
	char text[NET_ADDR_TEXT];

	for (uint32_t i = 0; i < d->conf->nvips; i++) {
		const struct conf_vip *v = &d->conf->vips[i];
		uint32_t k = 0;

		while (k + 1 < v->naddresses && v->addresses[k].derived)
			k++;
		buf_printf(out, "%s%s", i ? "," : "", net_addr_host(&v->addresses[k].ip, text));
	}
}

int drill_observe(struct drill *d)
{
	struct buf list = BUF_INIT;
	int err = OK;

	if (!d->in_lab || d->conf->nvips == 0)
		return OK;
	address_list(d, &list);
	for (unsigned i = 0; i < d->nnodes && err == OK; i++) {
		const char *argv[] = { d->binary, "drill-watch", buf_cstr(&list), NULL };

		err = drill_proc_start(&d->nodes[i].watch, d->lab, d->nodes[i].name, argv);
	}
	buf_free(&list);
	return err == OK ? OK : drill_fail(d, err, "the observers could not be started");
}

void drill_observe_end(struct drill *d)
{
	for (unsigned i = 0; i < d->nnodes; i++)
		drill_proc_free(&d->nodes[i].watch);
	free(d->extra);
}

void drill_event_down(struct drill *d, unsigned node, uint64_t at)
{
	uint32_t n = d->conf->nvips;
	struct drill_event *v = realloc(d->extra, (d->nextra + n + 1) * sizeof(*v));

	if (!v)
		return;
	d->extra = v;
	for (uint32_t i = 0; i < n; i++)
		v[d->nextra++] =
		    (struct drill_event){ .at_ns = at, .node = (uint16_t)node, .vip = (uint16_t)i };
}

static int by_time(const void *a, const void *b)
{
	const struct drill_event *x = a, *y = b;

	return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

struct drill_event *drill_events(struct drill *d, size_t *ret_n)
{
	struct buf b = BUF_INIT;
	size_t n;

	for (unsigned i = 0; i < d->nnodes; i++) {
		size_t from = b.len / sizeof(struct drill_event);

		if (d->nodes[i].watch.out >= 0)
			drill_proc_read(&d->nodes[i].watch, &b);
		b.len -= b.len % sizeof(struct drill_event);
		n = b.len / sizeof(struct drill_event);
		for (size_t k = from; k < n; k++)
			((struct drill_event *)(void *)b.p)[k].node = (uint16_t)i;
	}
	buf_add(&b, d->extra, d->nextra * sizeof(struct drill_event));
	n = b.len / sizeof(struct drill_event);
	if (n > 0)
		qsort(b.p, n, sizeof(struct drill_event), by_time);
	*ret_n = n;
	return (struct drill_event *)(void *)buf_take(&b);
}

/* Bit n: node n holds the address. */
static uint64_t held_by(struct drill *d, uint32_t vip)
{
	size_t n;
	struct drill_event *e = drill_events(d, &n);
	uint64_t held = 0;

	for (size_t i = 0; e && i < n; i++) {
		if (e[i].vip != vip)
			continue;
		if (e[i].held)
			held |= 1ULL << e[i].node;
		else
			held &= ~(1ULL << e[i].node);
	}
	free(e);
	return held;
}

int drill_holder(struct drill *d)
{
	uint64_t held;

	if (d->conf->nvips == 0 || !d->in_lab)
		return d->nnodes > 0 ? 0 : -1;
	held = held_by(d, d->vip);
	return __builtin_popcountll(held) == 1 ? __builtin_ctzll(held) : -1;
}

/* --- nodes ---------------------------------------------------------------------------------- */

static bool roles_ready(struct drill *d, const struct drill_node *n, const json_t *status)
{
	const json_t *r;
	size_t i;

	json_array_foreach (json_object_get(status, "roles"), i, r) {
		if (!json_is_true(json_object_get(r, "ready"))) {
			drill_fail(d, OK, "%s: the role %s is not ready", n->name,
			           json_string_value(json_object_get(r, "name")));
			return false;
		}
	}
	return true;
}

/* How many servers the node has up. */
static unsigned count_up(const json_t *status)
{
	const json_t *s;
	unsigned up = 0;
	size_t i;

	json_array_foreach (json_object_get(status, "servers"), i, s) {
		const char *state = json_string_value(json_object_get(s, "state"));

		up += state && strcmp(state, "up") == 0;
	}
	return up;
}

static bool node_well(struct drill *d, const struct drill_node *n)
{
	json_t *status = NULL;
	bool well = false;
	unsigned up;

	if (lab_node_get(n->socket, "/api/v1/status", ASK_MS, &status) != OK) {
		drill_fail(d, OK, "%s does not answer on its control socket", n->name);
		return false;
	}
	up = count_up(status);
	if (json_is_true(json_object_get(status, "draining")))
		drill_fail(d, OK, "%s is draining", n->name);
	else if (up < d->up)
		drill_fail(d, OK, "%s has %u of %u servers up", n->name, up, d->up);
	else
		well = roles_ready(d, n, status);
	json_decref(status);
	return well;
}

bool drill_well(struct drill *d)
{
	for (unsigned i = 0; i < d->nnodes; i++) {
		if (!node_well(d, &d->nodes[i]))
			return false;
	}
	for (unsigned i = 0; i < d->nnodes; i++) {
		if (d->nodes[i].watch.started && atomic_load(&d->nodes[i].watch.done)) {
			drill_fail(d, OK, "the observer of %s has ended: %s", d->nodes[i].name,
			           d->nodes[i].watch.why);
			return false;
		}
	}
	for (uint32_t i = 0; d->in_lab && i < d->conf->nvips; i++) {
		int n = __builtin_popcountll(held_by(d, i));

		if (n != 1) {
			drill_fail(d, OK, "%d nodes hold the virtual IP %.*s", n,
			           STR_ARG(d->conf->vips[i].name));
			return false;
		}
	}
	return !d->scenario || !d->scenario->well || d->scenario->well(d);
}
