/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs drills: for each, all is well; the client begins; the fault; it is taken back; all is well
 * again; the client ends; what it saw is measured and judged. The drill's process, main thread.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/err.h"
#include "drill/impl.h"

#define BEFORE_NS     (1500 * NS_PER_MS) /* the client asks so long before the fault */
#define AFTER_NS      (500 * NS_PER_MS)  /* and so long after all is well */
#define SETTLE_NS     (1500 * NS_PER_MS) /* all must stay well so long: a node may come back late */
#define WATCH_NS      (3 * NS_PER_S)
#define WELL_LIMIT    (60 * NS_PER_S)
#define READY_LIMIT   (30 * NS_PER_S)
#define STREAM_LIMIT  (40 * NS_PER_S)
#define COMMAND_LIMIT (120 * NS_PER_S)
#define POLL_NS       (50 * NS_PER_MS)

/* --- for scenarios -------------------------------------------------------------------------- */

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
		drill_sleep(POLL_NS);
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

/* --- waiting -------------------------------------------------------------------------------- */

/* Until all has been well for so long. When that began; 0 when it did not in time, with d->why. */
static uint64_t wait_well(struct drill *d, uint64_t settle, uint64_t limit)
{
	uint64_t until = clock_mono() + limit, since = 0;

	for (;;) {
		uint64_t now = clock_mono();

		if (!drill_well(d))
			since = 0;
		else if (since == 0)
			since = now;
		if (since != 0 && now - since >= settle)
			return since;
		if (since == 0 && now >= until)
			return 0;
		drill_sleep(POLL_NS);
	}
}

/* A node that takes over late, on purpose, is waited for. */
static uint64_t settle_time(const struct drill *d)
{
	uint64_t delay = 0;

	for (uint32_t i = 0; i < d->conf->nvips; i++) {
		const struct conf_vip *v = &d->conf->vips[i];

		delay = MAX(delay, (v->preempt ? v->preempt_delay : 0) + 8 * v->advertise);
	}
	return MAX(SETTLE_NS, delay);
}

/* --- the client ----------------------------------------------------------------------------- */

static int client_start(struct drill *d)
{
	const struct drill_client_options *o = &d->client;
	char to[NET_ADDR_TEXT], every[24], kept[24], kept_every[24], limit[24], download[24];
	const char *argv[] = { d->binary,    "drill-client", net_addr_format(&o->to, to),
		               "--host",     d->host,        "--path",
		               d->path,      "--every",      every,
		               "--kept",     kept,           "--kept-every",
		               kept_every,   "--limit",      limit,
		               "--download", download,       o->tls ? "--tls" : NULL,
		               NULL };
	int err;

	snprintf(every, sizeof(every), "%llu", (unsigned long long)(o->every_ns / NS_PER_US));
	snprintf(kept, sizeof(kept), "%u", o->kept);
	snprintf(kept_every, sizeof(kept_every), "%llu",
	         (unsigned long long)(o->kept_every_ns / NS_PER_US));
	snprintf(limit, sizeof(limit), "%llu", (unsigned long long)(o->limit_ns / NS_PER_US));
	/* Streams that nobody judges need not be waited for. */
	snprintf(download, sizeof(download), "%llu",
	         (unsigned long long)(o->download_ns / NS_PER_US));
	err = drill_proc_start(&d->client_proc, d->lab, d->client_host, argv);
	return err == OK ? OK : drill_fail(d, err, "the client could not be started");
}

static struct drill_record *records(struct drill *d, size_t *ret_n)
{
	struct buf b = BUF_INIT;

	drill_proc_read(&d->client_proc, &b);
	*ret_n = b.len / sizeof(struct drill_record);
	return (struct drill_record *)(void *)buf_take(&b);
}

static bool client_has_ended(struct drill *d)
{
	if (!atomic_load(&d->client_proc.done))
		return false;
	drill_fail(d, ERR_UNEXPECTED, "the client has ended (exit status %d) %s",
	           d->client_proc.status, d->client_proc.why);
	return true;
}

/* Until good answers come, and for some time more. */
static int client_warm(struct drill *d)
{
	uint64_t until = clock_mono() + READY_LIMIT;
	const struct drill_window none = { 0 };
	bool good = false;

	while (!good) {
		size_t n;
		struct drill_record *r = records(d, &n);

		for (size_t i = 0; r && i < n && !good; i++)
			good =
			    r[i].sample.kind == DRILL_NEW && drill_sample_good(&r[i].sample, &none);
		free(r);
		if (client_has_ended(d))
			return ERR_UNEXPECTED;
		if (!good && clock_mono() >= until)
			return drill_fail(d, ERR_TIMEOUT, "%s gives no good answer", d->target);
		drill_sleep(POLL_NS);
	}
	drill_sleep(BEFORE_NS);
	return OK;
}

/* The download ends by itself, well or not. */
static void wait_download(struct drill *d)
{
	uint64_t until = clock_mono() + d->client.download_ns + STREAM_LIMIT;
	bool done = false;

	while (!done && clock_mono() < until && !atomic_load(&d->client_proc.done)) {
		size_t n;
		struct drill_record *r = records(d, &n);

		for (size_t i = n; r && i > 0 && !done; i--)
			done = r[i - 1].sample.kind == DRILL_DOWNLOAD;
		free(r);
		drill_sleep(POLL_NS);
	}
}

static int collect(struct drill *d)
{
	struct drill_result *r = d->r;
	struct drill_record *v;
	size_t n;

	if (!drill_proc_stop(&d->client_proc, d->client.limit_ns * 3 + 5 * NS_PER_S))
		return drill_fail(d, ERR_TIMEOUT, "the client does not end");
	v = records(d, &n);
	r->samples = calloc(n + 1, sizeof(*r->samples));
	r->names = calloc(257, sizeof(*r->names));
	for (size_t i = 0; v && r->samples && r->names && i < n; i++) {
		if (v[i].sample.kind != DRILL_NAME)
			r->samples[r->nsamples++] = v[i].sample;
		else if (v[i].sample.who < 256)
			memcpy(r->names[v[i].sample.who], v[i].name, sizeof(v[i].name));
	}
	r->nnames = r->names ? 256 : 0;
	free(v);
	r->events = drill_events(d, &r->nevents);
	r->vip = (uint16_t)d->vip;
	return OK;
}

/* --- one drill ------------------------------------------------------------------------------ */

static void say(struct drill *d, bool last, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void say(struct drill *d, bool last, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (d->o->say)
		d->o->say(d->o->arg, text, last);
}

/* From the fault to the end: the fault stays for a while, is taken back, all is well again. */
static int watch(struct drill *d)
{
	const struct drill_scenario *s = d->scenario;
	struct drill_window *w = &d->r->window;
	uint64_t until = d->fault_ns + (s->watch_ns ? s->watch_ns : WATCH_NS);
	uint64_t now = clock_mono();
	int err = OK, holder;

	if (!s->mend) { /* it heals by itself: since when? */
		say(d, false, "%s: waiting until all is well", s->name);
		w->well_ns = wait_well(d, settle_time(d), WELL_LIMIT);
		now = clock_mono();
	}
	if (until > now)
		drill_sleep(until - now);
	holder = drill_holder(d);
	snprintf(d->r->active_after, sizeof(d->r->active_after), "%s",
	         holder >= 0 ? drill_node_name(d, (unsigned)holder) : "");
	if (s->mend) {
		say(d, false, "%s: taking the fault back", s->name);
		d->mend_ns = clock_mono();
		err = s->mend(d);
		/* For one that must wait (a node that stops in order), from when it was done. */
		w->mend_ns = err == OK && s->keeps_streams ? clock_mono() : d->mend_ns;
	}
	if (err != OK)
		return err;
	if (s->mend || (w->well_ns != 0 && !drill_well(d))) {
		say(d, false, "%s: waiting until all is well", s->name);
		w->well_ns = wait_well(d, settle_time(d), WELL_LIMIT);
	}
	if (s->keeps_streams && d->client.download_ns > 0)
		wait_download(d);
	drill_sleep(AFTER_NS);
	return OK;
}

static int perform(struct drill *d)
{
	struct drill_result *r = d->r;
	int err = client_start(d);

	if (err == OK)
		err = client_warm(d);
	if (err != OK)
		return err;
	d->active = drill_holder(d);
	snprintf(r->active, sizeof(r->active), "%s",
	         d->active >= 0 ? drill_node_name(d, (unsigned)d->active) : "");
	say(d, false, "%s: breaking it", r->scenario->name);
	err = r->scenario->inject(d);
	if (err == OK && client_has_ended(d))
		err = ERR_UNEXPECTED;
	r->window.fault_ns = d->fault_ns ? d->fault_ns : clock_mono();
	if (err == OK)
		err = watch(d);
	r->window.end_ns = clock_mono();
	return err;
}

/* Whatever a drill has left behind. */
static void restore(struct drill *d)
{
	char why[512];

	memcpy(why, d->why, sizeof(why)); /* the reason of a failure that came before stays */
	if (d->in_lab) {
		drill_fault(d, NULL, "pass-all", NULL, NULL);
		for (unsigned i = 0; i < d->nnodes; i++) {
			if (d->nodes[i].down)
				drill_start(d, d->nodes[i].name, 5 * NS_PER_S);
			d->nodes[i].down = false;
		}
		for (unsigned i = 0; i < d->nservers; i++) {
			if (d->servers[i].down)
				drill_start(d, d->servers[i].host, 5 * NS_PER_S);
			d->servers[i].down = false;
		}
	}
	memcpy(d->why, why, sizeof(why));
}

/* Not before all is well, which includes the address's return to its first holder. */
static int prepare(struct drill *d)
{
	say(d, false, "%s: waiting until all is well", d->scenario->name);
	if (wait_well(d, 300 * NS_PER_MS, WELL_LIMIT) != 0)
		return OK;
	memmove(d->why + 34, d->why, sizeof(d->why) - 34);
	memcpy(d->why, "it was not well before the drill: ", 34);
	d->why[sizeof(d->why) - 1] = '\0';
	return ERR_TIMEOUT;
}

static void run_one(struct drill *d, const struct drill_scenario *s, struct drill_result *r)
{
	int err;

	d->scenario = r->scenario = s;
	d->r = r;
	d->fault_ns = d->mend_ns = 0;
	d->active = -1;
	d->victim = 0;
	d->why[0] = '\0';
	d->client_proc = (struct drill_proc){ .in = -1, .out = -1 };
	drill_limits(d->conf, s, &r->limits);
	r->window.expected_status = s->expected_status;
	err = prepare(d);
	r->window.begin_ns = clock_mono();
	if (err == OK)
		err = perform(d);
	if (err == OK)
		err = collect(d);
	if (err == OK) {
		drill_measure(r->samples, r->nsamples, r->events, r->nevents, &r->window,
		              &r->measure);
		drill_judge(r);
		if (r->window.well_ns == 0) {
			size_t len = strlen(r->why);

			snprintf(r->why + len, sizeof(r->why) - len, " (%s)", d->why);
		}
	} else {
		r->verdict = err == ERR_UNSUPPORTED ? DRILL_VERDICT_SKIPPED : DRILL_VERDICT_BROKEN;
		snprintf(r->why, sizeof(r->why), "%s", d->why);
	}
	drill_proc_free(&d->client_proc);
	restore(d);
	say(d, true, "%s: %s%s%s", s->name, drill_verdict_text[r->verdict], r->why[0] ? ": " : "",
	    r->why);
	d->scenario = NULL;
}

/* --- all ------------------------------------------------------------------------------------ */

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
static int learn_up(struct drill *d)
{
	uint64_t until = clock_mono() + READY_LIMIT;
	unsigned all = 0;

	for (uint32_t i = 0; i < d->conf->npools; i++)
		all += d->conf->pools[i].nservers;
	say(d, false, "waiting until all is well");
	for (d->up = all; d->up > 0 && !drill_well(d); drill_sleep(POLL_NS)) {
		if (clock_mono() >= until)
			d->up--; /* some are down before anything is broken: so be it */
	}
	return OK;
}

static void run_all(struct drill *d, const struct drill_scenario *const *v, unsigned n,
                    struct drill_run *ret)
{
	for (unsigned i = 0; i < n; i++) {
		for (unsigned k = 0; k < MAX(d->o->repeat, 1U); k++) {
			struct drill_result *r = &ret->results[ret->n++];

			if (!may_run(d, v[i], r)) {
				say(d, true, "%s: %s: %s", v[i]->name,
				    drill_verdict_text[r->verdict], r->why);
				break;
			}
			run_one(d, v[i], r);
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
	if (err == OK)
		err = learn_up(d);
	if (err == OK) {
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
