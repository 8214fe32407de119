/* SPDX-License-Identifier: Apache-2.0 */
/* Runs drills: chooses the scenarios, performs each, reports on all. The drill's process, main
 * thread. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "drill/impl.h"

#define READY_LIMIT (30 * NS_PER_S)

void drill_say(struct drill *d, bool last, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (d->o->say)
		d->o->say(d->o->arg, text, last);
}

static const struct drill_scenario *find(const char *name)
{
	for (unsigned i = 0; drill_scenarios[i]; i++) {
		if (strcmp(drill_scenarios[i]->name, name) == 0)
			return drill_scenarios[i];
	}
	return NULL;
}

/* Those that were asked for, in the table's order for all. OK, or ERR_INVALID with why. */
static int choose(const struct drill_options *o, const struct drill_scenario **v, unsigned *n,
                  char *why, size_t why_size)
{
	*n = 0;
	for (unsigned i = 0; o->all && drill_scenarios[i]; i++)
		v[(*n)++] = drill_scenarios[i];
	for (unsigned i = 0; !o->all && o->scenarios && o->scenarios[i]; i++) {
		const struct drill_scenario *s = find(o->scenarios[i]);

		if (!s) {
			snprintf(why, why_size,
			         "there is no scenario \"%s\"; \"holdfast drill --list\" has them",
			         o->scenarios[i]);
			return ERR_INVALID;
		}
		v[(*n)++] = s;
	}
	if (*n > 0)
		return OK;
	snprintf(why, why_size, "name a scenario, or --all; \"holdfast drill --list\" has them");
	return ERR_INVALID;
}

/* Whether it may run here; if not, the result says why. */
static bool may_run(const struct drill *d, const struct drill_scenario *s, struct drill_result *r)
{
	if (d->in_lab || (!s->lab_only && (s->harmless || d->o->i_know)))
		return true;
	r->scenario = s;
	r->verdict = d->o->all ? DRILL_VERDICT_SKIPPED : DRILL_VERDICT_BROKEN;
	snprintf(r->why, sizeof(r->why), "%s",
	         s->lab_only ? "in a lab only: it breaks what a drill could not mend in production"
	                     : "it may be noticed by users in production: say --i-know");
	return false;
}

/* How many servers are up when all is as well as it gets. */
static void learn_up(struct drill *d)
{
	uint64_t until = clock_mono() + READY_LIMIT;
	unsigned all = 0;

	for (uint32_t i = 0; i < d->conf->npools; i++)
		all += d->conf->pools[i].nservers;
	drill_say(d, false, "waiting until all is well");
	for (d->up = all; d->up > 0 && !drill_well(d); drill_sleep(DRILL_POLL_NS)) {
		if (clock_mono() >= until)
			d->up--; /* some are down before anything is broken: so be it */
	}
}

static void run_all(struct drill *d, const struct drill_scenario *const *v, unsigned n,
                    struct drill_run *ret)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < MAX(d->o->repeat, 1U); k++) {
			struct drill_result *r = &ret->results[ret->n++];

			if (!may_run(d, v[i], r)) {
				drill_say(d, true, "%s: %s: %s", v[i]->name,
				          drill_verdict_text[r->verdict], r->why);
				break;
			}
			drill_perform(d, v[i], r);
		}
	}
}

static void finish(struct drill *d, struct drill_run *ret, uint64_t wall_ms)
{
	const char *nodes[CONF_MAX_NODES], *vips[CONF_MAX_VIPS];
	struct drill_report about = {
		.cluster = d->conf->cluster.len > 0 ? d->conf->cluster.s : "",
		.target = d->target,
		.lab = d->in_lab,
		.wall_ms = wall_ms,
		.nodes = nodes,
		.nnodes = d->nnodes,
		.vips = vips,
		.nvips = d->conf->nvips,
		.every_ns = d->client.every_ns,
	};
	json_t *list = json_array();
	unsigned missed = 0;

	for (unsigned i = 0; i < d->nnodes; i++)
		nodes[i] = d->nodes[i].name;
	for (uint32_t i = 0; i < d->conf->nvips; i++)
		vips[i] = d->conf->vips[i].name.s;
	for (size_t i = 0; i < ret->n; i++) {
		missed += ret->results[i].verdict == DRILL_VERDICT_MISSED ||
		          ret->results[i].verdict == DRILL_VERDICT_BROKEN;
		json_array_append_new(list, drill_result_json(&ret->results[i]));
	}
	ret->json = json_pack("{s:s, s:s, s:b, s:i, s:o}", "cluster", about.cluster, "target",
	                      d->target, "lab", d->in_lab, "missed", missed, "results", list);
	drill_report_html(&about, ret->results, ret->n, &ret->html);
}

int drill_run(const struct drill_options *o, struct drill_run *ret)
{
	const struct drill_scenario *v[64];
	struct drill *d = calloc(1, sizeof(*d));
	uint64_t wall_ms = clock_wall_ms();
	unsigned n;
	int err;

	*ret = (struct drill_run){ 0 };
	if (!d || choose(o, v, &n, ret->why, sizeof(ret->why)) != OK) {
		free(d);
		return 2;
	}
	d->o = o;
	ret->results = calloc((size_t)n * MAX(o->repeat, 1U), sizeof(*ret->results));
	err = ret->results ? drill_target(d) : ERR_NOMEM;
	if (err == OK)
		err = drill_observe(d);
	if (err == OK) {
		learn_up(d);
		run_all(d, v, n, ret);
		finish(d, ret, wall_ms);
	} else {
		snprintf(ret->why, sizeof(ret->why), "%s", d->why);
	}
	drill_observe_end(d);
	drill_target_close(d);
	free(d);
	if (err != OK)
		return err == ERR_NOT_FOUND || err == ERR_CLOSED ? 3 : 1;
	return json_integer_value(json_object_get(ret->json, "missed")) > 0;
}

void drill_run_free(struct drill_run *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->results[i].samples);
		free(r->results[i].events);
		free(r->results[i].names);
	}
	free(r->results);
	json_decref(r->json);
	buf_free(&r->html);
	*r = (struct drill_run){ 0 };
}
