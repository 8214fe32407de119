/* SPDX-License-Identifier: Apache-2.0 */
/* What scenarios work with: faults of the lab, orders to nodes, who is active. The drill's process,
 * main thread. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "drill/impl.h"

#define COMMAND_LIMIT (120 * NS_PER_S)

int drill_fail(struct drill *d, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
	for (size_t n = strlen(d->why); n > 0 && d->why[n - 1] == '\n'; n--)
		d->why[n - 1] = '\0';
	return err;
}

static void fault_at(struct drill *d, uint64_t at)
{
	if (d->fault_ns == 0)
		d->fault_ns = at;
}

void drill_fault_now(struct drill *d)
{
	fault_at(d, clock_mono());
}

int drill_fault(struct drill *d, const char *host, const char *fault, const char *key,
                const char *value)
{
	json_t *q = json_pack("{s:s, s:s}", "do", "fault", "fault", fault);
	json_t *answer = NULL;
	int err;

	if (host)
		json_object_set_new(q, "host", json_string(host));
	if (key)
		json_object_set_new(q, key, json_string(value));
	err = lab_ask(d->lab, q, NULL, &answer, d->why, sizeof(d->why));
	if (err == OK)
		fault_at(d, (uint64_t)json_integer_value(json_object_get(answer, "at_ns")));
	json_decref(q);
	json_decref(answer);
	return err;
}

int drill_start(struct drill *d, const char *host, uint64_t limit_ns)
{
	uint64_t until = clock_mono() + limit_ns;
	int err;

	while ((err = drill_fault(d, host, "start", NULL, NULL)) == ERR_REFUSED &&
	       clock_mono() < until)
		drill_sleep(DRILL_POLL_NS);
	for (unsigned i = 0; i < d->nnodes; i++) {
		if (strcmp(d->nodes[i].name, host) == 0)
			d->nodes[i].down = false;
	}
	return err;
}

int drill_order(struct drill *d, unsigned node, const char *const *argv, struct buf *out)
{
	const char *all[16] = { d->binary };
	unsigned n = 1;

	for (; argv[n - 1] && n < ARRAY_LEN(all) - 3; n++)
		all[n] = argv[n - 1];
	all[n++] = "--socket";
	all[n] = d->nodes[node].socket;
	return drill_command(all, COMMAND_LIMIT, out);
}

int drill_active(struct drill *d)
{
	if (d->active < 0)
		drill_fail(d, ERR_UNEXPECTED, "nobody holds the address");
	return d->active;
}

int drill_standby(struct drill *d)
{
	for (unsigned i = 0; i < d->nnodes; i++) {
		const struct conf_node *n = conf_node_find(d->conf, str_from(d->nodes[i].name));

		if ((int)i != d->active && n && d->conf->nvips > 0 &&
		    conf_vip_node(&d->conf->vips[d->vip], (uint32_t)(n - d->conf->nodes)))
			return (int)i;
	}
	return drill_fail(d, -1, "the file has no other node that may hold the address");
}

const char *drill_node_name(const struct drill *d, unsigned node)
{
	return node < d->nnodes ? d->nodes[node].name : "";
}
