/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One drill: all is well; the client begins; the fault; it is taken back; all is well again; the
 * client ends; what it saw is measured and judged. The drill's process, main thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "drill/impl.h"

#define AFTER_NS   (500 * NS_PER_MS)  /* the client asks so long after all is well */
#define SETTLE_NS  (1500 * NS_PER_MS) /* all must stay well so long: a node may come back late */
#define WATCH_NS   (3 * NS_PER_S)
#define WELL_LIMIT (60 * NS_PER_S)

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
		drill_sleep(DRILL_POLL_NS);
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

/* From the fault to the end: the fault stays for a while, is taken back, all is well again. */
static int watch(struct drill *d)
{
	const struct drill_scenario *s = d->scenario;
	struct drill_window *w = &d->r->window;
	uint64_t until = d->fault_ns + (s->watch_ns ? s->watch_ns : WATCH_NS);
	uint64_t now = clock_mono();
	int err = OK, holder;

	if (!s->mend) { /* it heals by itself: since when? */
		drill_say(d, false, "%s: waiting until all is well", s->name);
		w->well_ns = wait_well(d, settle_time(d), WELL_LIMIT);
		now = clock_mono();
	}
	if (until > now)
		drill_sleep(until - now);
	holder = drill_holder(d);
	snprintf(d->r->active_after, sizeof(d->r->active_after), "%s",
	         holder >= 0 ? drill_node_name(d, (unsigned)holder) : "");
	if (s->mend) {
		drill_say(d, false, "%s: taking the fault back", s->name);
		d->mend_ns = clock_mono();
		err = s->mend(d);
		/* For one that must wait (a node that stops in order), from when it was done. */
		w->mend_ns = err == OK && s->keeps_streams ? clock_mono() : d->mend_ns;
	}
	if (err != OK)
		return err;
	if (s->mend || (w->well_ns != 0 && !drill_well(d))) {
		drill_say(d, false, "%s: waiting until all is well", s->name);
		w->well_ns = wait_well(d, settle_time(d), WELL_LIMIT);
	}
	if (s->keeps_streams && d->client.download_ns > 0)
		drill_client_wait_download(d);
	drill_sleep(AFTER_NS);
	return OK;
}

static int perform(struct drill *d)
{
	struct drill_result *r = d->r;
	int err = drill_client_start(d);

	if (err == OK)
		err = drill_client_warm(d);
	if (err != OK)
		return err;
	d->active = drill_holder(d);
	snprintf(r->active, sizeof(r->active), "%s",
	         d->active >= 0 ? drill_node_name(d, (unsigned)d->active) : "");
	drill_say(d, false, "%s: breaking it", r->scenario->name);
	err = r->scenario->inject(d);
	if (err == OK && drill_client_has_ended(d))
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
	drill_say(d, false, "%s: waiting until all is well", d->scenario->name);
	if (wait_well(d, 300 * NS_PER_MS, WELL_LIMIT) != 0)
		return OK;
	memmove(d->why + 34, d->why, sizeof(d->why) - 34);
	memcpy(d->why, "it was not well before the drill: ", 34);
	d->why[sizeof(d->why) - 1] = '\0';
	return ERR_TIMEOUT;
}

void drill_perform(struct drill *d, const struct drill_scenario *s, struct drill_result *r)
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
		err = drill_client_collect(d);
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
	drill_say(d, true, "%s: %s%s%s", s->name, drill_verdict_text[r->verdict],
	          r->why[0] ? ": " : "", r->why);
	d->scenario = NULL;
}
