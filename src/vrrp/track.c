/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of all conditions of a configuration: each is looked at when something told us to, when
 * its kind asked for it, and once a second; whoever has it is told when its verdict changed. What a
 * condition is made of stands in the files of the kinds. Role vrrp, its one thread.
 */
#include "vrrp/track.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/track_impl.h"

struct track {
	struct track_set *set;
	char vip[64];
	uint32_t n;
	struct {
		struct track_cond *cond;
		uint32_t weight;
	} of[CONF_MAX_TRACK];
};

struct track_set {
	struct track_env env;
	const struct conf *conf;
	void (*changed)(void *arg, struct track *t);
	void *arg;
	bool made; /* from now on changes are told and logged */
	struct loop_timer timer;
	struct track *tracks;
	uint32_t ntracks;
	struct track_cond *conds;
	uint32_t nconds;
};

static const struct track_kind *const kinds[] = {
	[CONDITION_PROXY] = &track_proxy,     [CONDITION_POOL] = &track_pool,
	[CONDITION_CHECK] = &track_check,     [CONDITION_INTERFACE] = &track_interface,
	[CONDITION_GATEWAY] = &track_gateway,
};

const struct track_env *track_env_of(const struct track_cond *c)
{
	return &c->set->env;
}

const struct conf *track_conf_of(const struct track_cond *c)
{
	return c->set->conf;
}

/* --- verdicts ------------------------------------------------------------------------------- */

/* A node that starts finds nothing well at first. */
static void log_verdict(const struct track_cond *c, bool was_known)
{
	if (c->well)
		log_notice("condition_well", c->name, "well again%s%s",
		           c->reason[0] != '\0' ? ": " : "", c->reason);
	else
		log_write(c->set->made || was_known ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
		          "condition_failed", c->name, "failed: %s", c->reason);
}

void track_verdict(struct track_cond *c, bool known, bool well, const char *fmt, ...)
{
	char reason[sizeof(c->reason)];
	bool turned = c->well != well;
	bool was_known = c->known;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (!turned && c->known == known && strcmp(c->reason, reason) == 0)
		return;
	c->known = known;
	c->well = well;
	memcpy(c->reason, reason, sizeof(reason));
	c->fresh = true;
	if (!turned && c->since_wall_ms != 0)
		return;
	c->since_wall_ms = clock_wall_ms();
	if (turned)
		log_verdict(c, was_known);
}

static void look(struct track_cond *c)
{
	c->due = c->kind->look(c, c->set->env.loop->now);
}

static bool is_concerned(const struct track *t)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (t->of[i].cond->fresh)
			return true;
	}
	return false;
}

/* Tells of what has changed, and arms the timer for the next look. */
static void settle(struct track_set *s)
{
	uint64_t now = s->env.loop->now;
	uint64_t due = now + TRACK_EVERY;

	for (uint32_t i = 0; s->made && i < s->ntracks; i++) {
		if (is_concerned(&s->tracks[i]))
			s->changed(s->arg, &s->tracks[i]);
	}
	for (uint32_t i = 0; i < s->nconds; i++) {
		s->conds[i].fresh = false;
		due = MIN(due, s->conds[i].due);
	}
	if (s->nconds > 0)
		loop_timer_set(s->env.loop, &s->timer, due > now ? due - now : 0);
}

void track_look_at(struct track_cond *c)
{
	look(c);
	settle(c->set);
}

void track_set_look(struct track_set *s)
{
	for (uint32_t i = 0; i < s->nconds; i++)
		look(&s->conds[i]);
	settle(s);
}

static void on_timer(struct loop_timer *t)
{
	struct track_set *s = CONTAINER_OF(t, struct track_set, timer);

	for (uint32_t i = 0; i < s->nconds; i++) {
		if (s->conds[i].due <= s->env.loop->now)
			look(&s->conds[i]);
	}
	settle(s);
}

/* --- making --------------------------------------------------------------------------------- */

static int family_of(const struct conf_vip *v)
{
	return v->naddresses > 0 ? v->addresses[0].ip.sa.sa_family : AF_INET;
}

/* The condition as it would be looked for: what makes it the same as another one. */
static struct track_cond wanted(struct track_set *s, const struct conf_vip *v,
                                const struct conf_track *t)
{
	struct track_cond c = {
		.kind = kinds[t->kind],
		.set = s,
		.conf = t,
		.family = t->kind == CONDITION_GATEWAY ? family_of(v) : 0,
		.min = t->kind == CONDITION_POOL ? t->min : 0,
		.well = true,
	};

	snprintf(c.name, sizeof(c.name), "%.*s", STR_ARG(t->name));
	return c;
}

static struct track_cond *find_cond(const struct track_set *s, const struct track_cond *like)
{
	for (uint32_t i = 0; s != NULL && i < s->nconds; i++) {
		struct track_cond *c = &s->conds[i];

		if (c->kind == like->kind && c->family == like->family && c->min == like->min &&
		    strcmp(c->name, like->name) == 0)
			return c;
	}
	return NULL;
}

static void take_verdict(struct track_cond *c, bool known, bool well, uint64_t since_wall_ms,
                         const char *reason)
{
	c->known = known;
	c->well = well;
	c->since_wall_ms = since_wall_ms;
	snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

/* The first set of a process: what the process before it has published is not forgotten. */
static void take_published(struct track_cond *c, const struct conf_vip *v)
{
	struct board_vip b;

	for (unsigned i = 0; i < BOARD_MAX_VIPS; i++) {
		if (!board_vip_read(board_vip(c->set->env.board, i), &b) ||
		    !str_eq(str_from(b.name), v->name))
			continue;
		for (uint32_t k = 0; k < b.nconditions; k++) {
			struct board_condition *p = &b.conditions[k];

			p->reason[sizeof(p->reason) - 1] = '\0';
			if (p->known && strncmp(p->name, c->name, sizeof(p->name) - 1) == 0)
				take_verdict(c, true, p->well, p->since_wall_ms, p->reason);
		}
	}
}

static int add_cond(struct track_set *s, const struct track_set *prev, const struct conf_vip *v,
                    const struct track_cond *like, struct track_cond **ret)
{
	const struct track_cond *old = find_cond(prev, like);
	struct track_cond *c = find_cond(s, like);

	*ret = c;
	if (c != NULL)
		return OK;
	c = &s->conds[s->nconds];
	*c = *like;
	if (old != NULL)
		take_verdict(c, old->known, old->well, old->since_wall_ms, old->reason);
	else if (prev == NULL)
		take_published(c, v);
	*ret = c;
	if (c->kind->open != NULL && c->kind->open(c, old) != OK)
		return ERR_NOMEM;
	s->nconds++;
	return OK;
}

static int add_track(struct track_set *s, const struct track_set *prev, const struct conf_vip *v)
{
	struct track *t = &s->tracks[s->ntracks++];

	t->set = s;
	snprintf(t->vip, sizeof(t->vip), "%.*s", STR_ARG(v->name));
	for (uint32_t i = 0; i < v->ntrack && i < CONF_MAX_TRACK; i++) {
		struct track_cond like = wanted(s, v, &v->track[i]);

		if (add_cond(s, prev, v, &like, &t->of[t->n].cond) != OK)
			return ERR_NOMEM;
		t->of[t->n++].weight = v->track[i].weight;
	}
	return OK;
}

/* Nobody asks about the health of what this node may not hold. */
static bool is_ours(const struct conf *c, const struct conf_vip *v)
{
	return conf_vip_node(v, c->self) != NULL;
}

int track_set_new(const struct track_env *env, const struct conf *conf,
                  const struct track_set *prev, void (*changed)(void *arg, struct track *t),
                  void *arg, struct track_set **ret)
{
	struct track_set *s = calloc(1, sizeof(*s));
	uint32_t conds = 0;

	for (uint32_t i = 0; i < conf->nvips; i++)
		conds += MIN(conf->vips[i].ntrack, CONF_MAX_TRACK);
	if (s == NULL)
		return ERR_NOMEM;
	*s = (struct track_set){ .env = *env, .conf = conf, .changed = changed, .arg = arg };
	s->timer.fn = on_timer;
	s->tracks = calloc(conf->nvips + 1, sizeof(*s->tracks));
	s->conds = calloc(conds + 1, sizeof(*s->conds)); /* not moved: callbacks point into it */
	if (s->tracks == NULL || s->conds == NULL) {
		track_set_free(s);
		return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < conf->nvips; i++) {
		if (is_ours(conf, &conf->vips[i]) && add_track(s, prev, &conf->vips[i]) != OK) {
			track_set_free(s);
			return ERR_NOMEM;
		}
	}
	track_set_look(s);
	s->made = true;
	*ret = s;
	return OK;
}

void track_set_free(struct track_set *s)
{
	if (s == NULL)
		return;
	loop_timer_stop(s->env.loop, &s->timer);
	for (uint32_t i = 0; i < s->nconds; i++) {
		if (s->conds[i].kind->close != NULL)
			s->conds[i].kind->close(&s->conds[i]);
	}
	free(s->conds);
	free(s->tracks);
	free(s);
}

/* --- reading -------------------------------------------------------------------------------- */

struct track *track_find(struct track_set *s, struct str vip)
{
	for (uint32_t i = 0; i < s->ntracks; i++) {
		if (str_eq(str_from(s->tracks[i].vip), vip))
			return &s->tracks[i];
	}
	return NULL;
}

void track_health(const struct track *t, struct vrrp_health *ret, char why[VRRP_WHY])
{
	size_t len = 0;

	*ret = (struct vrrp_health){ 0 };
	why[0] = '\0';
	for (uint32_t i = 0; i < t->n; i++) {
		const struct track_cond *c = t->of[i].cond;

		if (c->well)
			continue;
		ret->release |= c->kind->release;
		ret->low |= t->of[i].weight == 0;
		ret->weight += t->of[i].weight;
		if (len < VRRP_WHY)
			len += (size_t)snprintf(why + len, VRRP_WHY - len, "%s%s: %s",
			                        len > 0 ? "; " : "", c->name, c->reason);
	}
}

void track_publish(const struct track *t, struct board_vip *v)
{
	v->nconditions = MIN(t->n, BOARD_VIP_CONDITIONS);
	for (uint32_t i = 0; i < v->nconditions; i++) {
		const struct track_cond *c = t->of[i].cond;
		struct board_condition *b = &v->conditions[i];

		snprintf(b->name, sizeof(b->name), "%.*s", (int)sizeof(b->name) - 1, c->name);
		b->known = c->known;
		b->well = c->well;
		b->since_wall_ms = c->since_wall_ms;
		memcpy(b->reason, c->reason, sizeof(b->reason));
	}
}
