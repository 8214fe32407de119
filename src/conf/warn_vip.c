/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings about virtual IPs: what the file may say and what then does not do what it seems to. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "conf/load.h"

/* Where a key stands, else the virtual IP. */
static struct place at(const struct node *n, const char *key)
{
	const struct node *child = node_get(n, key);

	return child ? child->key_at : n->key_at;
}

/* The node that is preferred, or the one after `better`; NULL when there is none. */
static const struct conf_vip_node *preferred(const struct conf_vip *v,
                                             const struct conf_vip_node *better)
{
	const struct conf_vip_node *best = NULL;

	for (uint32_t i = 0; i < v->nnodes; i++) {
		const struct conf_vip_node *o = &v->nodes[i];

		if (o != better && (!best || o->priority > best->priority)) {
			best = o;
		}
	}
	return best;
}

/* A failure that costs a weight moves the address only when the node then loses the election. */
static void warn_weight(struct load *l, const struct conf_vip *v, const struct conf_track *t,
                        const struct node *n)
{
	const struct conf_vip_node *first = preferred(v, NULL), *second = preferred(v, first);
	uint32_t bottom = v->nnodes + 1; /* weights do not lead into the low band */
	uint32_t rest;
	char advice[64] = "";

	if (!t->weight || !second) {
		return;
	}
	if (!v->preempt) {
		problem_warning(
		    l->problems, at(n, "track"),
		    "with \"preempt: false\" a lower priority moves nothing: the weight "
		    "of \"%.*s\" has no effect; without a weight its failure moves the "
		    "address",
		    STR_ARG(t->name));
		return;
	}
	rest = first->priority > t->weight + bottom ? first->priority - t->weight : bottom;
	if (rest < second->priority) {
		return;
	}
	if (second->priority > bottom) {
		snprintf(advice, sizeof(advice), "a weight of at least %u or ",
		         first->priority - second->priority + 1);
	}
	problem_warning(
	    l->problems, at(n, "track"),
	    "%.*s failing takes %u from %.*s's %u, which %s %.*s's %u: the address would not move; "
	    "use %snone",
	    STR_ARG(t->name), t->weight, STR_ARG(first->name), first->priority,
	    rest == second->priority ? "is then equal to" : "stays above", STR_ARG(second->name),
	    second->priority, advice);
}

static void warn_track(struct load *l, const struct conf_vip *v, const struct node *n)
{
	bool proxy = false;

	for (uint32_t i = 0; i < v->ntrack; i++) {
		proxy = proxy || v->track[i].kind == CONDITION_PROXY;
		warn_weight(l, v, &v->track[i], n);
	}
	if (!proxy) {
		problem_warning(l->problems, at(n, "track"),
		                "\"proxy\" is not tracked: a node that cannot answer would keep "
		                "virtual IP \"%.*s\"",
		                STR_ARG(v->name));
	}
}

static void warn_nodes(struct load *l, const struct conf_vip *v, const struct node *n)
{
	if (v->nnodes == 1) {
		problem_warning(l->problems, at(n, "priority"),
		                "virtual IP \"%.*s\" has one node: when it dies nobody takes over",
		                STR_ARG(v->name));
	}
	for (uint32_t i = 1; i < v->nnodes; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (v->nodes[i].priority == v->nodes[k].priority) {
				problem_warning(
				    l->problems, at(n, "priority"),
				    "nodes \"%.*s\" and \"%.*s\" have the same priority: neither "
				    "is preferred, and the larger address decides when both "
				    "claim it",
				    STR_ARG(v->nodes[k].name), STR_ARG(v->nodes[i].name));
			}
		}
	}
}

/* Whether a listening address takes connections to that one. */
static bool covers(const struct net_addr *bind, const struct net_addr *ip)
{
	if (bind->wildcard) {
		return true;
	}
	if (bind->sa.sa_family != ip->sa.sa_family) {
		return false;
	}
	return ip->sa.sa_family == AF_INET
	           ? bind->in.sin_addr.s_addr == INADDR_ANY ||
	                 bind->in.sin_addr.s_addr == ip->in.sin_addr.s_addr
	           : IN6_IS_ADDR_UNSPECIFIED(&bind->in6.sin6_addr) ||
	                 IN6_ARE_ADDR_EQUAL(&bind->in6.sin6_addr, &ip->in6.sin6_addr);
}

static bool is_served(const struct conf *c, const struct net_addr *ip)
{
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		for (uint32_t k = 0; k < c->listeners[i].nbind; k++) {
			if (covers(&c->listeners[i].bind[k], ip)) {
				return true;
			}
		}
	}
	return false;
}

static void warn_addresses(struct load *l, const struct conf_vip *v, const struct node *n)
{
	const char *key = node_get(n, "addresses") ? "addresses" : "address";

	for (uint32_t i = 0; i < v->naddresses; i++) {
		if (!v->addresses[i].derived && !is_served(l->conf, &v->addresses[i].ip)) {
			problem_warning(l->problems, at(n, key),
			                "no listener is bound to %.*s: connections to it would be "
			                "refused; bind one to \"*:PORT\"",
			                STR_ARG(v->addresses[i].text));
		}
	}
}

static void warn_group(struct load *l, const struct conf_vip *v, const struct node *n)
{
	uint32_t members = 0;

	for (uint32_t i = 0; v->group.len && i < l->conf->nvips; i++) {
		members += str_eq(l->conf->vips[i].group, v->group);
	}
	if (members == 1) {
		problem_warning(l->problems, at(n, "sync_group"),
		                "sync group \"%.*s\" has one member: nothing moves with it",
		                STR_ARG(v->group));
	}
}

static void warn_vip(struct load *l, const struct conf_vip *v, const struct node *n)
{
	char text[32];

	warn_nodes(l, v, n);
	warn_track(l, v, n);
	warn_addresses(l, v, n);
	warn_group(l, v, n);
	if (v->password.len) {
		problem_warning(l->problems, at(n, "password"),
		                "the password is no protection: it is sent in clear text to the "
		                "whole network");
	}
	if (v->advertise < 100 * NS_PER_MS) {
		clock_format_conf(3 * v->advertise, text);
		problem_warning(l->problems, at(n, "advertise"),
		                "a node that does not run for %s counts as dead: advertising more "
		                "often than every 100ms asks for real-time priority (CAP_SYS_NICE) "
		                "and a machine that is not overcommitted",
		                text);
	}
}

void verify_vip_warnings(struct load *l)
{
	const struct conf *c = l->conf;

	for (uint32_t i = 0; i < c->nchecks; i++) {
		bool used = false;

		for (uint32_t k = 0; k < c->nvips; k++) {
			for (uint32_t t = 0; t < c->vips[k].ntrack; t++) {
				used = used || (c->vips[k].track[t].kind == CONDITION_CHECK &&
				                c->vips[k].track[t].index == i);
			}
		}
		if (!used) {
			problem_warning(l->problems, l->checks[i]->key_at,
			                "check \"%.*s\" is not tracked by any virtual IP",
			                STR_ARG(c->checks[i].name));
		}
		verify_check_warnings(l, &c->checks[i].check, l->checks[i]);
	}
	for (uint32_t i = 0; i < c->nvips; i++) {
		warn_vip(l, &c->vips[i], l->vips[i]);
	}
}
