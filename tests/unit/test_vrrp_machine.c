/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual router in virtual time: a script of events is run against a machine, and the trace of
 * what it did is compared as text. Words of a script, each with its time in ms:
 *
 *   start@0  resume:active@0  hear:100@50 (priority; ":100/40": interval cs; "+": from a larger
 *   address)  low@1 release@1 weak:30@1 well@1  yield@1 appoint@1 out@1 keep@1 (out, planned)
 *   group:backup@1  wait@9000 (every timer until then)  held@9000 (the same, held by its group)
 *   late@9000 (one TIME, however late)  rules@1 (the second set of rules)
 *
 * The usual node has priority 200, the low band up to 10 (ours there is 2), an interval of 1 s: its
 * skew is 218.75 ms and the master-down time 3218.75 ms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "vrrp/machine.h"

#define BASE 1000000 /* ms: virtual time begins long after 0 */

static const struct vrrp_rules usual = {
	.version = 3,
	.priority = 200,
	.low_priority = 2,
	.low_band = 10,
	.preempt = true,
	.interval_cs = 100,
};

struct run {
	struct vrrp_machine m;
	struct vrrp_rules rules, next_rules;
	struct buf trace;
	uint64_t now;
};

static const char *const action_name[] = { "RELEASE",   "REMOVE",   "RELAY",      "ADD",
	                                   "ADVERTISE", "ANNOUNCE", "TRANSITION", "CONFLICT" };

static void step(struct run *r, struct vrrp_event *e)
{
	unsigned todo;

	e->now = BASE * NS_PER_MS + r->now;
	todo = vrrp_machine_step(&r->m, e);
	if (todo == 0)
		return;
	buf_printf(&r->trace, "%.2f", (double)(int64_t)r->now / NS_PER_MS);
	for (unsigned i = 0; i < ARRAY_LEN(action_name); i++) {
		if (todo & 1U << i && 1U << i != VRRP_DO_TRANSITION)
			buf_printf(&r->trace, " %s", action_name[i]);
	}
	if (todo & VRRP_DO_ADVERTISE)
		buf_printf(&r->trace, " %u", r->m.priority);
	if (todo & VRRP_DO_TRANSITION)
		buf_printf(&r->trace, " -> %s: %s", vip_state_name[r->m.state], r->m.why);
	buf_adds(&r->trace, "\n");
}

static void wait_until(struct run *r, uint64_t end, bool held)
{
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t next = vrrp_machine_next(&r->m);

		if (next == 0 || next > BASE * NS_PER_MS + end)
			break;
		r->now = MAX(r->now, next - BASE * NS_PER_MS);
		step(r, &(struct vrrp_event){ .kind = VRRP_EVENT_TIME, .held = held });
	}
	r->now = end;
}

static struct vrrp_event heard(const char *argument)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_ADVERT, .interval_cs = 100 };
	char *rest;

	e.priority = (uint8_t)strtoul(argument, &rest, 10);
	if (*rest == '/')
		e.interval_cs = (uint32_t)strtoul(rest + 1, &rest, 10);
	e.from_larger = *rest == '+';
	return e;
}

static const struct {
	const char *word;
	struct vrrp_event event;
} words[] = {
	{ "start", { .kind = VRRP_EVENT_START } },
	{ "resume", { .kind = VRRP_EVENT_RESUME } },
	{ "low",
	  { .kind = VRRP_EVENT_HEALTH, .health = { .low = true }, .why = "no server is up" } },
	{ "release",
	  { .kind = VRRP_EVENT_HEALTH,
	    .health = { .release = true },
	    .why = "the proxy is gone" } },
	{ "weak", { .kind = VRRP_EVENT_HEALTH } },
	{ "well", { .kind = VRRP_EVENT_HEALTH } },
	{ "yield", { .kind = VRRP_EVENT_YIELD } },
	{ "appoint", { .kind = VRRP_EVENT_APPOINT } },
	{ "out", { .kind = VRRP_EVENT_OUT, .why = "the interface is down" } },
	{ "keep", { .kind = VRRP_EVENT_OUT, .keep = true, .why = "the node is drained" } },
	{ "group", { .kind = VRRP_EVENT_GROUP, .why = "its group changed" } },
	{ "late", { .kind = VRRP_EVENT_TIME } },
	{ "rules", { .kind = VRRP_EVENT_RULES } },
};

static struct vrrp_event event_of(struct run *r, const char *word, const char *argument)
{
	for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
		struct vrrp_event e = words[i].event;

		if (strcmp(words[i].word, word) != 0)
			continue;
		e.rules = e.kind == VRRP_EVENT_RULES ? &r->next_rules : &r->rules;
		if (e.kind == VRRP_EVENT_HEALTH)
			e.health.weight = (uint32_t)strtoul(argument, NULL, 10);
		for (uint8_t s = 0; s < VIP_STATES; s++) {
			if (strcmp(argument, vip_state_name[s]) == 0)
				e.state = s;
		}
		return e;
	}
	fail_msg("no such word: %s", word);
	return (struct vrrp_event){ .kind = VRRP_EVENT_TIME };
}

static void one(struct run *r, const char *text)
{
	char word[32] = "", argument[32] = "";
	double at;
	struct vrrp_event e;

	if (sscanf(text, "%31[a-z]:%31[^@]@%lf", word, argument, &at) != 3) {
		argument[0] = '\0';
		assert_int_equal(sscanf(text, "%31[a-z]@%lf", word, &at), 2);
	}
	if (strcmp(word, "wait") == 0 || strcmp(word, "held") == 0) {
		wait_until(r, (uint64_t)(int64_t)(at * NS_PER_MS), word[0] == 'h');
		return;
	}
	r->now = (uint64_t)(int64_t)(at * NS_PER_MS);
	e = strcmp(word, "hear") == 0 ? heard(argument) : event_of(r, word, argument);
	step(r, &e);
}

/* Runs the script from where the machine is; the trace since the last call must be `want`. */
static void expect(struct run *r, const char *script, const char *want)
{
	char copy[1024], *save = NULL;

	assert_true(strlen(script) < sizeof(copy));
	memcpy(copy, script, strlen(script) + 1);
	for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		one(r, w);
	buf_add(&r->trace, "", 1);
	assert_string_equal(r->trace.p, want);
	r->trace.len = 0;
}

static struct run run_of(struct vrrp_rules rules)
{
	struct run r = { .rules = rules, .next_rules = rules, .trace = BUF_INIT };

	vrrp_machine_init(&r.m);
	return r;
}

static void check_run(struct vrrp_rules rules, const char *script, const char *want)
{
	struct run r = run_of(rules);

	expect(&r, script, want);
	buf_free(&r.trace);
}

#define STARTED   "0.00 -> backup: started\n"
#define ALONE     "3218.75 ADD ADVERTISE ANNOUNCE 200 -> active: no active node was heard\n"
#define TO_ACTIVE STARTED ALONE

/* --- RFC 9568 section 6.1: timers ------------------------------------------------------------ */

static void test_skew_and_master_down(void **state)
{
	struct vrrp_machine m = { .priority = 200, .rules = usual, .active_interval_cs = 100 };

	assert_int_equal(vrrp_skew_ns(&m), 218750000);
	assert_int_equal(vrrp_master_down_ns(&m), 3218750000);
	m.active_interval_cs = 4; /* learned */
	m.priority = 100;
	assert_int_equal(vrrp_skew_ns(&m), 24375000);
	assert_int_equal(vrrp_master_down_ns(&m), 144375000);
	/* RFC 3768: skew is of a second, and nothing is learned. */
	m.rules.version = 2;
	m.rules.interval_cs = 300;
	assert_int_equal(vrrp_skew_ns(&m), 609375000);
	assert_int_equal(vrrp_master_down_ns(&m), 9609375000);
	m.active_interval_cs = 4095;
	m.rules.version = 3;
	m.priority = 1;
	assert_int_equal(vrrp_master_down_ns(&m), 3 * 40950000000 + 40950000000 * 255 / 256);
}

static void test_alone_becomes_active(void **state)
{
	check_run(usual, "start@0 wait@6000",
	          TO_ACTIVE "4218.75 ADVERTISE 200\n5218.75 ADVERTISE 200\n");
}

static void test_nothing_happens_when_out(void **state)
{
	check_run(usual,
	          "hear:0@0 late@1 low@2 yield@3 appoint@4 group:active@5 out@6 rules@7 wait@8",
	          "");
}

static void test_announces_again_after_five_seconds(void **state)
{
	check_run(usual, "start@0 wait@10000",
	          TO_ACTIVE "4218.75 ADVERTISE 200\n5218.75 ADVERTISE 200\n6218.75 ADVERTISE 200\n"
	                    "7218.75 ADVERTISE 200\n8218.75 ADVERTISE ANNOUNCE 200\n"
	                    "9218.75 ADVERTISE 200\n");
}

/* --- RFC 9568 section 6.4.2: backup ---------------------------------------------------------- */

static void test_backup_hears_higher_or_equal(void **state)
{
	check_run(usual,
	          "start@0 hear:254@1000 wait@3500 hear:200@3500 wait@6000 hear:200+@6000 "
	          "wait@9218",
	          STARTED);
	check_run(usual, "start@0 hear:254@1000 wait@5000",
	          STARTED
	          "4218.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent for "
	          "3.2s\n");
}

static void test_backup_hears_lower_and_preempts(void **state)
{
	/* The timer is left alone: it ends master-down time after the start. */
	check_run(usual, "start@0 hear:100@1000 hear:100@2000 hear:100@3000 wait@3500",
	          STARTED
	          "3218.75 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: preempts priority 100, "
	          "ours is 200\n");
}

static void test_backup_does_not_preempt(void **state)
{
	struct vrrp_rules rules = usual;

	rules.preempt = false;
	check_run(rules, "start@0 hear:100@3000 wait@6000 hear:100@6000 wait@9000", STARTED);
	check_run(rules, "start@0 hear:100@3000 wait@7000",
	          STARTED
	          "6218.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent for "
	          "3.2s\n");
}

static void test_backup_hears_zero(void **state)
{
	check_run(usual, "start@0 hear:254@1000 hear:0@2000 wait@3000",
	          STARTED
	          "2218.75 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: the active node gave it "
	          "up\n");
}

static void test_backup_learns_interval(void **state)
{
	/* 3 x 40 ms + 56/256 of 40 ms = 128.75 ms */
	check_run(usual, "start@0 hear:254/4@1000 wait@2000",
	          STARTED
	          "1128.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent for "
	          "128ms\n");
	/* A discarded one teaches nothing. */
	check_run(usual, "start@0 hear:100/4@1000 wait@3200", STARTED);
	/* The timer of a release counts with what was learned before: 218.75 ms, not 8.75 ms. */
	check_run(usual, "start@0 hear:254/100@1000 hear:0/4@2000 wait@2218", STARTED);
}

static void test_version_2_learns_nothing(void **state)
{
	struct vrrp_rules rules = usual;

	rules.version = 2;
	rules.interval_cs = 200;
	check_run(rules, "start@0 hear:254/4@1000 wait@8000",
	          STARTED
	          "7218.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent for "
	          "6.2s\n");
}

/* --- RFC 9568 section 6.4.3: active ---------------------------------------------------------- */

static void test_active_hears_zero(void **state)
{
	check_run(usual, "start@0 wait@3500 hear:0@3500 wait@4600",
	          TO_ACTIVE "3500.00 ADVERTISE 200\n"
	                    "4500.00 ADVERTISE 200\n");
}

static void test_active_hears_higher(void **state)
{
	check_run(usual, "start@0 wait@3500 hear:201/4@3500 wait@3600 hear:201/4@3620 wait@3740",
	          TO_ACTIVE
	          "3500.00 REMOVE RELAY -> backup: priority 201 was heard, ours was 200\n");
	check_run(usual, "start@0 wait@3500 hear:201/4@3500 wait@3700",
	          TO_ACTIVE
	          "3500.00 REMOVE RELAY -> backup: priority 201 was heard, ours was 200\n"
	          "3628.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent "
	          "for 128ms\n");
}

static void test_active_hears_equal(void **state)
{
	check_run(usual, "start@0 wait@3500 hear:200+@3500",
	          TO_ACTIVE
	          "3500.00 REMOVE RELAY -> backup: priority 200 like ours was heard, from a larger "
	          "address\n");
	check_run(usual, "start@0 wait@5500 hear:200@5500",
	          TO_ACTIVE "4218.75 ADVERTISE 200\n5218.75 ADVERTISE 200\n"
	                    "5500.00 ADVERTISE ANNOUNCE CONFLICT 200\n");
}

static void test_active_hears_lower(void **state)
{
	/* It asserts itself at once; what is to be told of a conflict, once; the addresses are
	 * announced each second while it lasts and when it is over. */
	check_run(usual, "start@0 wait@9000 hear:100@9000 wait@9500 hear:100@9500 wait@13500",
	          TO_ACTIVE
	          "4218.75 ADVERTISE 200\n5218.75 ADVERTISE 200\n6218.75 ADVERTISE 200\n"
	          "7218.75 ADVERTISE 200\n8218.75 ADVERTISE ANNOUNCE 200\n"
	          "9000.00 ADVERTISE ANNOUNCE CONFLICT 200\n"
	          "9500.00 ADVERTISE 200\n"
	          "10000.00 ANNOUNCE\n"
	          "10500.00 ADVERTISE 200\n11500.00 ADVERTISE 200\n12500.00 ADVERTISE 200\n"
	          "12718.75 ANNOUNCE\n"
	          "13500.00 ADVERTISE 200\n");
}

static void test_a_preempted_node_is_no_conflict(void **state)
{
	struct run r = run_of(usual);

	expect(&r, "start@0 hear:100@3000 wait@3300 hear:100@3300",
	       STARTED
	       "3218.75 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: preempts priority 100, ours "
	       "is 200\n"
	       "3300.00 ADVERTISE ANNOUNCE 200\n");
	assert_false(r.m.conflict);
	expect(&r, "hear:100@4250 hear:0@4260",
	       "4250.00 ADVERTISE ANNOUNCE CONFLICT 200\n"
	       "4260.00 ADVERTISE ANNOUNCE 200\n");
	assert_false(r.m.conflict);
	buf_free(&r.trace);
}

static void test_out(void **state)
{
	check_run(usual, "start@0 wait@3500 out@3500 wait@20000 start@20000",
	          TO_ACTIVE "3500.00 RELEASE REMOVE -> out: the interface is down\n"
	                    "20000.00 -> backup: started\n");
	check_run(usual, "start@0 wait@3500 keep@3500 wait@20000",
	          TO_ACTIVE "3500.00 RELEASE REMOVE RELAY -> out: the node is drained\n");
	check_run(usual, "start@0 out@100 out@200 wait@20000",
	          STARTED "100.00 -> out: the interface is down\n");
}

/* --- health ---------------------------------------------------------------------------------- */

static void test_low_band(void **state)
{
	/* It holds the address until someone better takes it. */
	check_run(usual, "start@0 wait@3500 low@3500 wait@4600 hear:100@4600",
	          TO_ACTIVE "3500.00 ADVERTISE 2\n4218.75 ADVERTISE 2\n"
	                    "4600.00 REMOVE RELAY -> backup: priority 100 was heard, ours was 2\n");
	/* And if nobody does, it keeps it. */
	check_run(usual, "start@0 wait@3500 low@3500 wait@5300 well@5300",
	          TO_ACTIVE "3500.00 ADVERTISE 2\n4218.75 ADVERTISE 2\n5218.75 ADVERTISE 2\n"
	                    "5300.00 ADVERTISE 200\n");
	/* The timer of a backup gets the skew of the low band: 3 s + 254/256 s. */
	check_run(usual, "start@0 low@100 wait@4500",
	          STARTED "3992.19 ADD ADVERTISE ANNOUNCE 2 -> active: no active node was heard\n");
	check_run(usual, "start@0 low@100 well@200 wait@3500", TO_ACTIVE);
	/* Its beginning is kept, even where it is due for a moment. */
	check_run(usual, "start@0 low@100 well@3900 low@3901 wait@4000",
	          STARTED "3992.19 ADD ADVERTISE ANNOUNCE 2 -> active: no active node was heard\n");
}

static void test_a_well_backup_takes_over_from_the_low_band(void **state)
{
	struct vrrp_rules rules = usual;
	const char *want = STARTED "3218.75 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: preempts "
	                           "priority 1, ours is 200\n";

	check_run(rules, "start@0 hear:250@2000 hear:1@3000 wait@3500", want);
	rules.preempt = false;
	check_run(rules, "start@0 hear:250@2000 hear:1@3000 wait@3500", want);
	rules.preempt = true;
	rules.preempt_delay = 60 * NS_PER_S;
	check_run(rules, "start@0 hear:250@2000 hear:1@3000 wait@3500", want);
}

static void test_among_unwell_nodes_the_rules_are_as_ever(void **state)
{
	struct vrrp_rules rules = usual;

	check_run(rules, "start@0 low@0 hear:1@1000 hear:1@2000 hear:1@3000 wait@4000",
	          STARTED
	          "3992.19 RELAY ADD ADVERTISE ANNOUNCE 2 -> active: preempts priority 1, ours "
	          "is 2\n");
	rules.preempt = false;
	check_run(rules, "start@0 low@0 hear:1@1000 hear:1@2000 hear:1@3000 wait@6900", STARTED);
}

static void test_weights(void **state)
{
	struct run r = run_of(usual);

	expect(&r, "start@0 weak:30@1", STARTED);
	assert_int_equal(r.m.priority, 170);
	expect(&r, "weak:189@2", "");
	assert_int_equal(r.m.priority, 11); /* never into the band */
	expect(&r, "weak:4294967295@3", "");
	assert_int_equal(r.m.priority, 11);
	expect(&r, "low:30@4", "");
	assert_int_equal(r.m.priority, 2);
	expect(&r, "well@5", "");
	assert_int_equal(r.m.priority, 200);
	buf_free(&r.trace);
}

static void test_release(void **state)
{
	/* Priority 0 at once; where nobody takes it, back after 3 s + 254/256 s. */
	check_run(usual,
	          "start@0 wait@3500 release@3500 wait@8000 release@8000 wait@8500 well@8600",
	          TO_ACTIVE "3500.00 RELEASE REMOVE RELAY -> backup: the proxy is gone\n"
	                    "7492.19 ADD ADVERTISE ANNOUNCE 2 -> active: no active node was heard\n"
	                    "8492.19 ADVERTISE 2\n"
	                    "8600.00 ADVERTISE 200\n");
	check_run(usual,
	          "start@0 wait@3500 release@3500 hear:100@3900 hear:100@4900 well@5000 wait@7000",
	          TO_ACTIVE "3500.00 RELEASE REMOVE RELAY -> backup: the proxy is gone\n");
}

/* --- orders ---------------------------------------------------------------------------------- */

static void test_yield(void **state)
{
	struct run r = run_of(usual);

	expect(&r, "start@0 wait@3500 yield@3500 hear:100@4000 wait@6000 hear:100@6000 wait@9000",
	       TO_ACTIVE "3500.00 RELEASE REMOVE RELAY -> backup: switchover\n");
	assert_true(r.m.yielded);
	/* The other one is not well, or gone: then it is ours again. */
	expect(&r, "hear:1@9000 wait@9500",
	       "9218.75 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: preempts priority 1, ours is "
	       "200\n");
	assert_false(r.m.yielded);
	buf_free(&r.trace);
	check_run(usual, "start@0 wait@3500 yield@3500 hear:100@4000 wait@8000",
	          TO_ACTIVE
	          "3500.00 RELEASE REMOVE RELAY -> backup: switchover\n"
	          "7218.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent "
	          "for 3.2s\n");
	/* Nobody took it. */
	check_run(usual, "start@0 wait@3500 yield@3500 wait@7000",
	          TO_ACTIVE
	          "3500.00 RELEASE REMOVE RELAY -> backup: switchover\n"
	          "6718.75 ADD ADVERTISE ANNOUNCE 200 -> active: no active node was heard\n");
	/* A backup that was told so leaves a lower node in place. */
	check_run(usual, "start@0 yield@100 hear:100@1000 wait@4000", STARTED);
}

static void test_appoint(void **state)
{
	struct vrrp_rules rules = usual;
	struct run r;

	rules.priority = 100;
	r = run_of(rules);
	expect(&r, "start@0 hear:200@1000 appoint@1500 hear:200@1510 wait@2600",
	       STARTED
	       "1500.00 RELAY ADD ADVERTISE ANNOUNCE 254 -> active: switchover to this node\n"
	       "1510.00 ADVERTISE ANNOUNCE 254\n"
	       "2510.00 ADVERTISE 254\n");
	assert_true(r.m.appointed);
	/* It ends in the low band, and the node's own priority counts again afterwards. */
	expect(&r, "low@2700 well@2800", "2700.00 ADVERTISE 2\n2800.00 ADVERTISE 100\n");
	assert_false(r.m.appointed);
	/* Of an active node. */
	expect(&r, "appoint@3000", "3000.00 ADVERTISE 254\n");
	expect(&r, "yield@3100", "3100.00 RELEASE REMOVE RELAY -> backup: switchover\n");
	assert_false(r.m.appointed);
	assert_int_equal(r.m.priority, 100);
	expect(&r, "appoint@3200 out@3300",
	       "3200.00 ADD ADVERTISE ANNOUNCE 254 -> active: switchover to this node\n"
	       "3300.00 RELEASE REMOVE -> out: the interface is down\n");
	assert_false(r.m.appointed);
	/* One that is not well does not take it. */
	expect(&r, "start@4000 low@4001 appoint@4002", "4000.00 -> backup: started\n");
	expect(&r, "well@4003 appoint@4004 hear:254@4005 hear:254+@4006",
	       "4004.00 ADD ADVERTISE ANNOUNCE 254 -> active: switchover to this node\n"
	       "4005.00 ADVERTISE ANNOUNCE 254\n"
	       "4006.00 REMOVE RELAY -> backup: priority 254 like ours was heard, from a larger "
	       "address\n");
	assert_false(r.m.appointed);
	buf_free(&r.trace);
}

/* A release meant for one node alone: the shell gives it as an advertisement, then appoints. */
static void test_appoint_after_a_release(void **state)
{
	check_run(usual, "start@0 hear:254@1000 hear:0@1500 appoint@1500 wait@2000",
	          STARTED
	          "1500.00 RELAY ADD ADVERTISE ANNOUNCE 254 -> active: switchover to this node\n");
	check_run(usual, "start@0 low@0 hear:254@1000 hear:0@1500 appoint@1500 wait@2500",
	          STARTED
	          "2492.19 RELAY ADD ADVERTISE ANNOUNCE 2 -> active: the active node gave it "
	          "up\n");
}

/* --- delayed preemption ---------------------------------------------------------------------- */

static void test_preempts_after_the_delay(void **state)
{
	struct vrrp_rules rules = usual;

	rules.preempt_delay = 5 * NS_PER_S;
	check_run(
	    rules,
	    "start@0 hear:100@1000 hear:100@3000 wait@5000 hear:100@5000 wait@6500 hear:100@6500",
	    STARTED "6000.00 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: preempts priority 100, "
	            "ours is 200\n"
	            "6500.00 ADVERTISE ANNOUNCE 200\n");
	/* The active node dies meanwhile. */
	check_run(rules, "start@0 hear:100@1000 wait@4400",
	          STARTED
	          "4218.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent "
	          "for 3.2s\n");
	/* Or gives it up. */
	check_run(rules, "start@0 hear:100@1000 hear:0@2000 wait@3000",
	          STARTED
	          "2218.75 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: the active node gave "
	          "it up\n");
	/* A higher one in between: it counts from the beginning. */
	check_run(rules,
	          "start@0 hear:100@1000 hear:250@4000 hear:100@5000 hear:100@8000 wait@9900",
	          STARTED);
}

static void test_the_delay_begins_anew_after_unwell(void **state)
{
	struct vrrp_rules rules = usual;

	rules.preempt_delay = 5 * NS_PER_S;
	check_run(
	    rules,
	    "start@0 hear:100@1000 low@2000 hear:100@3000 well@4000 hear:100@5000 hear:100@7000 "
	    "hear:100@9000 wait@10500",
	    STARTED "10000.00 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: preempts priority 100, "
	            "ours is 200\n");
	/* Its priority fell below the active node's while it waited. */
	check_run(rules, "start@0 hear:100@1000 hear:100@4000 weak:150@5000 wait@7000", STARTED);
}

/* --- sleep and the clock --------------------------------------------------------------------- */

static void test_a_frozen_active_node_does_not_fight(void **state)
{
	const char *backup = "9999.00 REMOVE -> backup: this node slept for 5.7s: the others have "
	                     "declared it dead\n";
	struct run r = run_of(usual);

	/* Whatever event wakes it. */
	expect(
	    &r,
	    "start@0 wait@4000 late@9999 hear:100@10000 hear:100@11000 hear:100@12000 wait@13500",
	    TO_ACTIVE
	    "9999.00 REMOVE -> backup: this node slept for 5.7s: the others have declared "
	    "it dead\n"
	    "13217.75 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: preempts priority 100, "
	    "ours is 200\n");
	buf_free(&r.trace);
	r = run_of(usual);
	r.rules.preempt = false;
	expect(&r, "start@0 wait@4000", TO_ACTIVE);
	expect(&r, "hear:100@9999 wait@13000 hear:100@13000 wait@15000", backup);
	buf_free(&r.trace);
	check_run(usual, "start@0 wait@4000 out@9999",
	          TO_ACTIVE "9999.00 REMOVE -> out: the interface is down\n");
	/* Alone it takes the address again. */
	check_run(usual, "start@0 wait@4000 late@9999 wait@14000",
	          TO_ACTIVE
	          "9999.00 REMOVE -> backup: this node slept for 5.7s: the others have "
	          "declared it dead\n"
	          "13217.75 ADD ADVERTISE ANNOUNCE 200 -> active: no active node was heard\n");
	/* Late, but not so late that anybody could have declared it dead. */
	check_run(usual, "start@0 wait@4000 late@6400", TO_ACTIVE "6400.00 ADVERTISE 200\n");
}

static void test_a_frozen_backup_listens_first(void **state)
{
	check_run(usual, "start@0 hear:254@1000 late@20000 hear:254@20100 wait@23000", STARTED);
	check_run(usual, "start@0 hear:254@1000 late@20000 wait@24000",
	          STARTED
	          "23218.75 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent "
	          "for 22.2s\n");
	/* One that is always late takes the address in the end. */
	check_run(usual, "start@0 hear:254@1000 late@20000 late@40000",
	          STARTED
	          "40000.00 ADD ADVERTISE ANNOUNCE 200 -> active: the active node was silent "
	          "for 39.0s\n");
}

static void test_a_clock_that_steps_back(void **state)
{
	struct run r = run_of(usual);

	expect(&r, "start@0 wait@3500", TO_ACTIVE);
	expect(&r, "late@-500000 wait@-499000", "-499000.00 ADVERTISE 200\n");
	expect(&r, "hear:201@-498900 wait@-495700",
	       "-498900.00 REMOVE RELAY -> backup: priority 201 was heard, ours was 200\n");
	buf_free(&r.trace);
}

/* --- rules, restart of the process, groups --------------------------------------------------- */

static void test_new_rules(void **state)
{
	struct run r = run_of(usual);

	/* Not even a longer interval costs the address: it is told at once. */
	r.next_rules.interval_cs = 500;
	r.next_rules.priority = 150;
	expect(&r, "start@0 wait@3500 rules@3500 wait@9000",
	       TO_ACTIVE "3500.00 ADVERTISE 150\n8218.75 ANNOUNCE\n8500.00 ADVERTISE 150\n");
	buf_free(&r.trace);
	/* A backup goes on with what it has learned, and with its new priority's skew. */
	r = run_of(usual);
	r.next_rules.interval_cs = 500;
	r.next_rules.priority = 100;
	expect(&r, "start@0 hear:254@1000 rules@1500 wait@5000",
	       STARTED
	       "4609.38 ADD ADVERTISE ANNOUNCE 100 -> active: the active node was silent for "
	       "3.6s\n");
	buf_free(&r.trace);
	/* Version 2 counts with its own interval: the timer begins anew. */
	r = run_of(usual);
	r.rules.version = r.next_rules.version = 2;
	r.next_rules.interval_cs = 200;
	expect(&r, "start@0 rules@1000 wait@7500",
	       STARTED "7218.75 ADD ADVERTISE ANNOUNCE 200 -> active: no active node was heard\n");
	buf_free(&r.trace);
}

static void test_resume(void **state)
{
	struct run r = run_of(usual);

	expect(&r, "resume:active@0 wait@1500",
	       "0.00 ADD ADVERTISE ANNOUNCE 200\n"
	       "1000.00 ADVERTISE 200\n");
	buf_free(&r.trace);
	r = run_of(usual);
	expect(&r, "resume:backup@0 wait@3500", ALONE);
	buf_free(&r.trace);
	r = run_of(usual);
	expect(&r, "resume:out@0", STARTED);
	buf_free(&r.trace);
}

static unsigned resume_with(struct run *r, struct vrrp_event e)
{
	e.kind = VRRP_EVENT_RESUME;
	e.now = BASE * NS_PER_MS;
	e.rules = &r->rules;
	vrrp_machine_init(&r->m);
	return vrrp_machine_step(&r->m, &e);
}

static void test_resume_keeps_what_it_was(void **state)
{
	struct run r = run_of(usual);

	assert_int_equal(resume_with(&r,
	                             (struct vrrp_event){ .state = VIP_ACTIVE, .appointed = true }),
	                 VRRP_DO_ADD | VRRP_DO_ADVERTISE | VRRP_DO_ANNOUNCE);
	assert_int_equal(r.m.priority, VRRP_PRIORITY_APPOINTED);
	assert_int_equal(resume_with(&r, (struct vrrp_event){ .state = VIP_BACKUP,
	                                                      .yielded = true,
	                                                      .active_interval_cs = 4 }),
	                 0);
	assert_true(r.m.yielded);
	assert_int_equal(vrrp_master_down_ns(&r.m), 128750000);
	/* It was active, but cannot answer now. */
	assert_int_equal(resume_with(&r, (struct vrrp_event){ .state = VIP_ACTIVE,
	                                                      .health = { .release = true } }),
	                 VRRP_DO_RELEASE | VRRP_DO_REMOVE | VRRP_DO_RELAY | VRRP_DO_TRANSITION);
	assert_int_equal(r.m.state, VIP_BACKUP);
}

static void test_group_event(void **state)
{
	check_run(usual,
	          "start@0 hear:254@1000 group:active@1500 group:active@1600 group:backup@1700 "
	          "group:backup@1800 out@1900 group:active@2000",
	          STARTED "1500.00 RELAY ADD ADVERTISE ANNOUNCE 200 -> active: its group changed\n"
	                  "1700.00 RELEASE REMOVE RELAY -> backup: its group changed\n"
	                  "1900.00 -> out: the interface is down\n");
}

static void test_held_by_the_group(void **state)
{
	check_run(usual, "start@0 held@9000 wait@10000",
	          STARTED
	          "9218.75 ADD ADVERTISE ANNOUNCE 200 -> active: no active node was heard\n");
}

static void test_group_follow(void **state)
{
	enum { O = VIP_OUT, B = VIP_BACKUP, A = VIP_ACTIVE, NO = VIP_STATES };
	static const struct {
		uint8_t before, states[3], want; /* the first one has changed */
	} rows[] = {
		{ B, { A, B, B }, A },  { A, { B, A, A }, B },  { A, { O, A, A }, B },
		{ B, { O, B, B }, NO }, { O, { B, O, O }, NO }, { O, { B, B, B }, NO },
		{ O, { B, A, A }, A }, /* it joins */
		{ O, { B, A, O }, B },  { B, { A, B, O }, B },  { B, { A, A, A }, NO },
		{ A, { B, B, B }, NO },
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(vrrp_group_follow(rows[i].states, 3, 0, rows[i].before),
		                 rows[i].want);
}

static void test_group_held(void **state)
{
	struct run a = run_of(usual), b = run_of(usual);
	const struct vrrp_machine *const members[] = { &a.m, &b.m };
	uint64_t at = (BASE + 2000) * NS_PER_MS;

	expect(&a, "start@0", STARTED);
	assert_true(vrrp_group_held(members, 2, 0, at)); /* the other one is out */
	expect(&b, "start@0", STARTED);
	assert_false(vrrp_group_held(members, 2, 0, at));
	expect(&b, "hear:254@1000", "");
	assert_true(vrrp_group_held(members, 2, 0, at));  /* it could not follow */
	assert_false(vrrp_group_held(members, 2, 1, at)); /* nothing holds this one back */
	assert_false(vrrp_group_held(members, 2, 0, at + 2 * NS_PER_S)); /* that node is silent */
	expect(&b, "hear:0@1500", "");
	assert_false(vrrp_group_held(members, 2, 0, at));
	expect(&b, "hear:100@1600", ""); /* would be preempted */
	assert_false(vrrp_group_held(members, 2, 0, at));
	buf_free(&a.trace);
	buf_free(&b.trace);
}

static void test_group_health(void **state)
{
	const struct vrrp_health members[] = { { .weight = 20 },
		                               { .low = true },
		                               { .weight = 50 } };
	struct vrrp_health worst = vrrp_group_health(members, 3);

	assert_true(worst.low);
	assert_false(worst.release);
	assert_int_equal(worst.weight, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skew_and_master_down),
		cmocka_unit_test(test_alone_becomes_active),
		cmocka_unit_test(test_nothing_happens_when_out),
		cmocka_unit_test(test_announces_again_after_five_seconds),
		cmocka_unit_test(test_backup_hears_higher_or_equal),
		cmocka_unit_test(test_backup_hears_lower_and_preempts),
		cmocka_unit_test(test_backup_does_not_preempt),
		cmocka_unit_test(test_backup_hears_zero),
		cmocka_unit_test(test_backup_learns_interval),
		cmocka_unit_test(test_version_2_learns_nothing),
		cmocka_unit_test(test_active_hears_zero),
		cmocka_unit_test(test_active_hears_higher),
		cmocka_unit_test(test_active_hears_equal),
		cmocka_unit_test(test_active_hears_lower),
		cmocka_unit_test(test_a_preempted_node_is_no_conflict),
		cmocka_unit_test(test_out),
		cmocka_unit_test(test_low_band),
		cmocka_unit_test(test_a_well_backup_takes_over_from_the_low_band),
		cmocka_unit_test(test_among_unwell_nodes_the_rules_are_as_ever),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_yield),
		cmocka_unit_test(test_appoint),
		cmocka_unit_test(test_appoint_after_a_release),
		cmocka_unit_test(test_preempts_after_the_delay),
		cmocka_unit_test(test_the_delay_begins_anew_after_unwell),
		cmocka_unit_test(test_a_frozen_active_node_does_not_fight),
		cmocka_unit_test(test_a_frozen_backup_listens_first),
		cmocka_unit_test(test_a_clock_that_steps_back),
		cmocka_unit_test(test_new_rules),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_resume_keeps_what_it_was),
		cmocka_unit_test(test_group_event),
		cmocka_unit_test(test_held_by_the_group),
		cmocka_unit_test(test_group_follow),
		cmocka_unit_test(test_group_held),
		cmocka_unit_test(test_group_health),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
