/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of one virtual router. Numbers in brackets are the steps of RFC 9568 section 6.4.
 * Each change of state is one of four functions: promote, step_down, go_backup, go_out. Role vrrp;
 * pure.
 */
#include "vrrp/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#define ANNOUNCE_AGAIN (5 * NS_PER_S) /* after the first one */
#define ANNOUNCE_CLASH NS_PER_S       /* while another active node is heard */
#define LIVING         3              /* intervals for which one that was heard counts as alive */

static void set_why(struct vrrp_machine *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void set_why(struct vrrp_machine *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(m->why, sizeof(m->why), fmt, ap);
	va_end(ap);
}

static uint64_t own_interval(const struct vrrp_machine *m)
{
	return m->rules.interval_cs * NS_PER_CS;
}

/* Only version 3 learns (RFC 9568 section 6.1); version 2 counts with its own. */
static uint64_t active_interval(const struct vrrp_machine *m)
{
	return m->rules.version == 2 ? own_interval(m) : m->active_interval_cs * NS_PER_CS;
}

uint64_t vrrp_skew_ns(const struct vrrp_machine *m)
{
	/* RFC 3768 section 6.1: of a second, whatever the interval. */
	uint64_t of = m->rules.version == 2 ? NS_PER_S : active_interval(m);

	return (256 - (uint64_t)m->priority) * of / 256;
}

uint64_t vrrp_master_down_ns(const struct vrrp_machine *m)
{
	return 3 * active_interval(m) + vrrp_skew_ns(m);
}

static bool in_band(const struct vrrp_machine *m, unsigned priority)
{
	return priority <= m->rules.low_band;
}

/* Whether the node that was heard as active, since this one is backup, may be taken for alive. */
static bool peer_lives(const struct vrrp_machine *m, uint64_t now)
{
	return m->heard_at >= m->since &&
	       now - m->heard_at < LIVING * m->heard_interval_cs * NS_PER_CS;
}

/*
 * Whether a backup leaves an active node of that priority in place. Preemption off and `yielded`
 * protect only one that is well: they must not keep the address where nothing answers.
 */
static bool leaves_in_place(const struct vrrp_machine *m, unsigned priority)
{
	if (priority >= m->priority)
		return true;
	if (in_band(m, priority) && !in_band(m, m->priority))
		return false;
	return !m->rules.preempt || m->yielded;
}

bool vrrp_machine_content(const struct vrrp_machine *m, uint64_t now)
{
	return m->state == VIP_BACKUP && m->heard_priority != VRRP_PRIORITY_RELEASE &&
	       peer_lives(m, now) && leaves_in_place(m, m->heard_priority);
}

/* Weights never lead into the low band: there a node is for what it does not do at all. */
static uint8_t effective_priority(const struct vrrp_machine *m)
{
	unsigned least = MIN(m->rules.priority, m->rules.low_band + 1U);

	if (m->appointed)
		return VRRP_PRIORITY_APPOINTED;
	if (m->health.low || m->health.release)
		return m->rules.low_priority;
	if (m->health.weight + least >= m->rules.priority || m->health.weight > UINT8_MAX)
		return (uint8_t)MAX(least, 1U);
	return (uint8_t)(m->rules.priority - m->health.weight);
}

/* A running Active_Down_Timer keeps its beginning and gets the skew of the new priority; it may be
 * due thereby. */
static bool update_priority(struct vrrp_machine *m)
{
	uint64_t skew = vrrp_skew_ns(m);
	uint8_t before = m->priority;

	m->priority = effective_priority(m);
	if (m->priority == before)
		return false;
	if (m->down_at != 0)
		m->down_at += vrrp_skew_ns(m) - skew;
	if (in_band(m, before))
		m->preempt_at = 0; /* it waits anew after it was not well */
	return true;
}

/* --- changes of state ------------------------------------------------------------------------ */

static void stop_timers(struct vrrp_machine *m)
{
	m->down_at = m->adver_at = m->announce_at = m->preempt_at = m->conflict_until = 0;
	m->conflict = false;
}

static void enter(struct vrrp_machine *m, enum vip_state state, uint64_t now)
{
	stop_timers(m);
	m->state = (uint8_t)state;
	m->since = now;
	m->slept = false;
	m->appointed = false;
	m->yielded = false;
	m->priority = effective_priority(m);
}

/* (150 … 200, 380 … 435) The caller has set the reason. */
static unsigned promote(struct vrrp_machine *m, uint64_t now, bool appointed)
{
	unsigned relay = peer_lives(m, now) ? VRRP_DO_RELAY : 0;

	enter(m, VIP_ACTIVE, now);
	m->appointed = appointed;
	m->priority = effective_priority(m);
	m->active_interval_cs = m->rules.interval_cs;
	m->adver_at = now + own_interval(m);
	m->announce_at = now + ANNOUNCE_AGAIN;
	return relay | VRRP_DO_ADD | VRRP_DO_ADVERTISE | VRRP_DO_ANNOUNCE | VRRP_DO_TRANSITION;
}

/* From OUT or ACTIVE, with a fresh Active_Down_Timer. */
static void go_backup(struct vrrp_machine *m, uint64_t now)
{
	enter(m, VIP_BACKUP, now);
	m->down_at = now + vrrp_master_down_ns(m);
}

/* Gives the address up on purpose: the next one promotes within its skew time (630 … 645). Where
 * nobody does, this node takes it back after the master-down time. */
static unsigned step_down(struct vrrp_machine *m, uint64_t now)
{
	go_backup(m, now);
	return VRRP_DO_RELEASE | VRRP_DO_REMOVE | VRRP_DO_RELAY | VRRP_DO_TRANSITION;
}

static unsigned go_out(struct vrrp_machine *m, const struct vrrp_event *e)
{
	bool active = m->state == VIP_ACTIVE;

	if (m->state == VIP_OUT)
		return 0;
	enter(m, VIP_OUT, e->now);
	set_why(m, "%s", e->why != NULL ? e->why : "taken out");
	return VRRP_DO_TRANSITION | (active ? VRRP_DO_RELEASE | VRRP_DO_REMOVE : 0) |
	       (active && e->keep ? VRRP_DO_RELAY : 0);
}

/* --- START, RESUME --------------------------------------------------------------------------- */

static void take_rules(struct vrrp_machine *m, const struct vrrp_event *e)
{
	m->rules = *e->rules;
	m->health = e->health;
	m->active_interval_cs = m->rules.interval_cs;
	m->heard_at = 0;
}

static unsigned start(struct vrrp_machine *m, const struct vrrp_event *e)
{
	if (m->state != VIP_OUT)
		return 0;
	take_rules(m, e);
	go_backup(m, e->now); /* (205 … 230) */
	set_why(m, "started");
	return VRRP_DO_TRANSITION;
}

static unsigned resume(struct vrrp_machine *m, const struct vrrp_event *e)
{
	if (m->state != VIP_OUT || e->state == VIP_OUT)
		return start(m, e);
	take_rules(m, e);
	set_why(m, "goes on after a restart of the process");
	if (e->state == VIP_ACTIVE && !m->health.release)
		return promote(m, e->now, e->appointed && !m->health.low) & ~VRRP_DO_TRANSITION;
	if (e->state == VIP_ACTIVE) {
		set_why(m, "%s", e->why != NULL ? e->why : "it cannot answer");
		return step_down(m, e->now);
	}
	if (e->active_interval_cs != 0)
		m->active_interval_cs = e->active_interval_cs;
	go_backup(m, e->now);
	m->yielded = e->yielded;
	return 0;
}

/* --- advertisements -------------------------------------------------------------------------- */

static void remember(struct vrrp_machine *m, const struct vrrp_event *e)
{
	m->heard_at = e->now;
	m->heard_priority = e->priority;
	m->heard_interval_cs = m->rules.version == 2 ? m->rules.interval_cs : e->interval_cs;
}

/* (470 … 490, 755 … 770) */
static void follow(struct vrrp_machine *m, const struct vrrp_event *e)
{
	if (m->rules.version != 2)
		m->active_interval_cs = e->interval_cs;
	m->down_at = e->now + vrrp_master_down_ns(m);
}

/* Whether a lower active node is left in place for now, because preemption is delayed. */
static bool waits(struct vrrp_machine *m, const struct vrrp_event *e)
{
	if (m->rules.preempt_delay == 0 || (in_band(m, e->priority) && !in_band(m, m->priority)))
		return false;
	if (m->preempt_at == 0)
		m->preempt_at = e->now + m->rules.preempt_delay;
	return e->now < m->preempt_at;
}

/* (440 … 500) */
static unsigned backup_hears(struct vrrp_machine *m, const struct vrrp_event *e)
{
	m->slept = false;
	if (e->priority == VRRP_PRIORITY_RELEASE) {
		m->preempt_at = 0;
		m->down_at = e->now + vrrp_skew_ns(m);
	} else if (leaves_in_place(m, e->priority)) {
		m->preempt_at = 0;
		follow(m, e);
	} else if (waits(m, e)) {
		follow(m, e);
	} else if (in_band(m, e->priority) && !in_band(m, m->priority)) {
		m->down_at = MIN(m->down_at, e->now + vrrp_skew_ns(m));
	} /* else (500): it is discarded, and the timer runs out */
	return 0;
}

static unsigned end_conflict(struct vrrp_machine *m, uint64_t now)
{
	m->conflict = false;
	m->conflict_until = 0;
	m->announce_at = now + ANNOUNCE_AGAIN;
	return VRRP_DO_ANNOUNCE;
}

/*
 * (775 … 785) Another active node that has to give way. One that we have preempted may have spoken
 * before it heard us: that is no conflict.
 */
static unsigned assert_active(struct vrrp_machine *m, const struct vrrp_event *e)
{
	uint64_t interval = MAX(own_interval(m), m->heard_interval_cs * NS_PER_CS);
	unsigned todo = VRRP_DO_ADVERTISE;

	m->adver_at = e->now + own_interval(m);
	if (e->now - m->since < own_interval(m))
		return todo | VRRP_DO_ANNOUNCE;
	if (!m->conflict)
		todo |= VRRP_DO_CONFLICT | VRRP_DO_ANNOUNCE;
	m->conflict = true;
	m->conflict_until = e->now + LIVING * interval + vrrp_skew_ns(m);
	/* Again each second while it lasts, not with each of its advertisements. */
	if (m->announce_at == 0 || m->announce_at > e->now + ANNOUNCE_CLASH)
		m->announce_at = e->now + ANNOUNCE_CLASH;
	return todo;
}

/* (700 … 785) */
static unsigned active_hears(struct vrrp_machine *m, const struct vrrp_event *e)
{
	unsigned own = m->priority;

	if (e->priority == VRRP_PRIORITY_RELEASE) {
		m->adver_at = e->now + own_interval(m);
		return VRRP_DO_ADVERTISE | (m->conflict ? end_conflict(m, e->now) : 0);
	}
	if (e->priority < own || (e->priority == own && !e->from_larger))
		return assert_active(m, e);
	go_backup(m, e->now);
	follow(m, e);
	if (e->priority == own)
		set_why(m, "priority %u like ours was heard, from a larger address", own);
	else
		set_why(m, "priority %u was heard, ours was %u", e->priority, own);
	return VRRP_DO_REMOVE | VRRP_DO_RELAY | VRRP_DO_TRANSITION;
}

static unsigned advert(struct vrrp_machine *m, const struct vrrp_event *e)
{
	if (m->state == VIP_OUT || e->interval_cs == 0)
		return 0;
	remember(m, e);
	return m->state == VIP_ACTIVE ? active_hears(m, e) : backup_hears(m, e);
}

/* --- time ------------------------------------------------------------------------------------ */

static void why_promoted(struct vrrp_machine *m, uint64_t now)
{
	char span[32];

	clock_format_span(now - m->heard_at, span);
	if (m->heard_at < m->since)
		set_why(m, "no active node was heard");
	else if (!peer_lives(m, now))
		set_why(m, "the active node was silent for %s", span);
	else if (m->heard_priority == VRRP_PRIORITY_RELEASE)
		set_why(m, "the active node gave it up");
	else
		set_why(m, "preempts priority %u, ours is %u", m->heard_priority, m->priority);
}

static unsigned backup_time(struct vrrp_machine *m, const struct vrrp_event *e)
{
	bool preempts = m->preempt_at != 0 && e->now >= m->preempt_at;

	if (preempts && leaves_in_place(m, m->heard_priority)) {
		m->preempt_at = 0; /* our priority fell meanwhile */
		preempts = false;
	}
	if (!preempts && e->now < m->down_at)
		return 0;
	if (e->held) {
		m->preempt_at = 0;
		m->down_at = e->now + own_interval(m);
		return 0;
	}
	why_promoted(m, e->now);
	return promote(m, e->now, false);
}

static unsigned active_time(struct vrrp_machine *m, uint64_t now)
{
	unsigned todo = 0;

	if (now >= m->adver_at) { /* (660 … 675) */
		m->adver_at += own_interval(m);
		if (m->adver_at <= now)
			m->adver_at = now + own_interval(m);
		todo |= VRRP_DO_ADVERTISE;
	}
	if (m->announce_at != 0 && now >= m->announce_at) {
		m->announce_at = 0;
		todo |= VRRP_DO_ANNOUNCE;
	}
	if (m->conflict && now >= m->conflict_until)
		todo |= end_conflict(m, now);
	return todo;
}

/* Time never runs backwards for the timers: they go with the clock. */
static void follow_clock(struct vrrp_machine *m, uint64_t now)
{
	uint64_t *const points[] = { &m->down_at,    &m->adver_at, &m->announce_at,
		                     &m->preempt_at, &m->heard_at, &m->conflict_until,
		                     &m->since };
	uint64_t back = m->clock - now;

	if (m->clock > now) {
		for (size_t i = 0; i < ARRAY_LEN(points); i++) {
			if (*points[i] != 0)
				*points[i] = *points[i] > back ? *points[i] - back : 1;
		}
	}
	m->clock = now;
}

/*
 * After such a sleep the others have declared an active node dead, and a backup has not listened:
 * both begin again. A backup does so only once until it hears something or its timer is in time, so
 * that a machine that is always late takes the address in the end.
 */
static unsigned wake(struct vrrp_machine *m, uint64_t now)
{
	uint64_t due = m->state == VIP_ACTIVE ? m->adver_at : m->down_at;
	uint64_t late = vrrp_master_down_ns(m) - active_interval(m);
	bool slept = m->state != VIP_OUT && now > due + late;
	char span[32];

	if (!slept || m->slept) {
		m->slept = m->slept && slept;
		return 0;
	}
	if (m->state == VIP_BACKUP) {
		m->down_at = now + vrrp_master_down_ns(m);
		m->preempt_at = 0;
		m->slept = true;
		return 0;
	}
	clock_format_span(now - due, span);
	go_backup(m, now);
	m->slept = true;
	set_why(m, "this node slept for %s: the others have declared it dead", span);
	return VRRP_DO_REMOVE | VRRP_DO_TRANSITION;
}

/* --- rules, health, orders ------------------------------------------------------------------- */

static unsigned new_rules(struct vrrp_machine *m, const struct vrrp_event *e)
{
	struct vrrp_rules before = m->rules;

	m->rules = *e->rules;
	if (m->rules.preempt_delay != before.preempt_delay)
		m->preempt_at = 0;
	if (m->state == VIP_OUT)
		return 0;
	(void)update_priority(m);
	if (m->state == VIP_ACTIVE) {
		/* At once: the others must learn a longer interval before the old one ends. */
		m->active_interval_cs = m->rules.interval_cs;
		m->adver_at = e->now + own_interval(m);
		return VRRP_DO_ADVERTISE;
	}
	if (m->rules.version != before.version ||
	    (m->rules.version == 2 && m->rules.interval_cs != before.interval_cs))
		m->down_at = e->now + vrrp_master_down_ns(m);
	return 0;
}

static unsigned new_health(struct vrrp_machine *m, const struct vrrp_event *e)
{
	bool released = e->health.release && !m->health.release;

	m->health = e->health;
	if (m->state == VIP_OUT)
		return 0;
	if (m->health.low || m->health.release)
		m->appointed = false;
	if (released && m->state == VIP_ACTIVE) {
		set_why(m, "%s", e->why != NULL ? e->why : "it cannot answer");
		return step_down(m, e->now);
	}
	return update_priority(m) && m->state == VIP_ACTIVE ? VRRP_DO_ADVERTISE : 0;
}

/* A backup is told too: another member of its group may have taken it along already. */
static unsigned yield(struct vrrp_machine *m, const struct vrrp_event *e)
{
	unsigned todo = 0;

	if (m->state == VIP_OUT)
		return 0;
	if (m->state == VIP_ACTIVE) {
		set_why(m, "%s", e->why != NULL ? e->why : "switchover");
		todo = step_down(m, e->now);
	}
	m->yielded = true;
	return todo;
}

static unsigned appoint(struct vrrp_machine *m, const struct vrrp_event *e)
{
	if (m->state == VIP_OUT || m->health.low || m->health.release)
		return 0;
	if (m->state == VIP_BACKUP) {
		set_why(m, "%s", e->why != NULL ? e->why : "switchover to this node");
		return promote(m, e->now, true);
	}
	m->appointed = true;
	m->priority = effective_priority(m);
	m->adver_at = e->now + own_interval(m);
	return VRRP_DO_ADVERTISE;
}

static unsigned group(struct vrrp_machine *m, const struct vrrp_event *e)
{
	if (m->state == VIP_OUT || e->state == m->state || e->state == VIP_OUT)
		return 0;
	set_why(m, "%s", e->why != NULL ? e->why : "its group");
	return e->state == VIP_ACTIVE ? promote(m, e->now, false) : step_down(m, e->now);
}

/* --- the step -------------------------------------------------------------------------------- */

void vrrp_machine_init(struct vrrp_machine *m)
{
	*m = (struct vrrp_machine){ .state = VIP_OUT };
}

static unsigned handle(struct vrrp_machine *m, const struct vrrp_event *e)
{
	switch (e->kind) {
	case VRRP_EVENT_START:
		return start(m, e);
	case VRRP_EVENT_OUT:
		return go_out(m, e);
	case VRRP_EVENT_ADVERT:
		return advert(m, e);
	case VRRP_EVENT_TIME:
		if (m->state == VIP_OUT)
			return 0;
		return m->state == VIP_ACTIVE ? active_time(m, e->now) : backup_time(m, e);
	case VRRP_EVENT_RULES:
		return new_rules(m, e);
	case VRRP_EVENT_HEALTH:
		return new_health(m, e);
	case VRRP_EVENT_YIELD:
		return yield(m, e);
	case VRRP_EVENT_APPOINT:
		return appoint(m, e);
	case VRRP_EVENT_GROUP:
		return group(m, e);
	case VRRP_EVENT_RESUME:
		return resume(m, e);
	}
	return 0;
}

unsigned vrrp_machine_step(struct vrrp_machine *m, const struct vrrp_event *e)
{
	unsigned woke;

	follow_clock(m, e->now);
	woke = wake(m, e->now);
	return woke | handle(m, e);
}

uint64_t vrrp_machine_next(const struct vrrp_machine *m)
{
	const uint64_t points[] = { m->down_at, m->adver_at, m->announce_at, m->preempt_at,
		                    m->conflict_until };
	uint64_t next = 0;

	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		if (points[i] != 0 && (next == 0 || points[i] < next))
			next = points[i];
	}
	return next;
}
