/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections through a planned handover (see relay.h): what runs, for how long, and why it ends.
 * Role vrrp, its one thread.
 */
#include "vrrp/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/packet.h"
#include "vrrp/relay_rules.h"
#include "vrrp/silence.h"

#define MAGIC    0x72656c61 /* "rela" */
#define LOOPBACK 1          /* its index in every network namespace */
#define TICK_NS  (1000 * 1000000ULL)
#define LIFE_S   3 /* of the address on the loopback; renewed each tick */

struct relay {
	uint32_t magic;
	struct loop *loop;
	struct netlink *n;
	struct netlink *sockets;
	struct loop_timer tick;
	char name[CONF_MAX_NAME + 1];
	int family;
	unsigned nips;
	struct net_addr ips[VRRP_MAX_ADDRESSES];
	struct {
		struct rules *rules;
		uint32_t link;
		struct net_addr from;
		bool held;      /* `from` is the holder again: nothing is passed on */
		uint64_t until; /* 0: does not run */
	} take;
	struct {
		struct rules *silence; /* IPv4 */
		struct rules *watch;   /* so that what is ours is known should it come back */
		uint64_t until;        /* 0: does not run */
	} keep;
};

static void on_tick(struct loop_timer *t);

static uint32_t full_prefix(const struct relay *r)
{
	return r->family == AF_INET6 ? 128 : 32;
}

int relay_new(struct loop *loop, struct netlink *n, const struct conf_vip *vip, struct relay **ret)
{
	struct relay *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL) {
		return ERR_NOMEM;
	}
	CHECK(vip->naddresses > 0);
	r->magic = MAGIC;
	r->loop = loop;
	r->n = n;
	r->tick.fn = on_tick;
	r->family = vip->addresses[0].ip.sa.sa_family;
	r->nips = MIN(vip->naddresses, VRRP_MAX_ADDRESSES);
	for (unsigned i = 0; i < r->nips; i++) {
		r->ips[i] = vip->addresses[i].ip;
	}
	snprintf(r->name, sizeof(r->name), "%.*s", STR_ARG(vip->name));
	err = netlink_open_sockets(&r->sockets);
	if (err == OK) {
		err = rules_new(&r->take.rules);
	}
	if (err == OK) {
		err = rules_new(&r->keep.silence);
	}
	if (err == OK) {
		err = rules_new(&r->keep.watch);
	}
	if (err != OK) {
		relay_free(r);
		return err;
	}
	*ret = r;
	return OK;
}

/* --- ending --------------------------------------------------------------------------------- */

static void end_take(struct relay *r, const char *why)
{
	if (r->take.until == 0) {
		return;
	}
	r->take.until = 0;
	rules_clear(r->take.rules);
	if (why != NULL) {
		log_info("relay_ended", r->name, "connections are no longer passed on: %s", why);
	}
}

static void end_keep(struct relay *r, const char *why)
{
	if (r->keep.until == 0) {
		return;
	}
	r->keep.until = 0;
	for (unsigned i = 0; i < r->nips; i++) {
		netlink_address_delete(r->n, LOOPBACK, &r->ips[i], full_prefix(r));
	}
	rules_clear(r->keep.watch);
	rules_clear(r->keep.silence);
	if (why != NULL) {
		log_info("relay_ended", r->name, "the address is no longer kept: %s", why);
	}
}

void relay_free(struct relay *r)
{
	if (r == NULL) {
		return;
	}
	CHECK_MAGIC(r, MAGIC);
	end_take(r, NULL);
	end_keep(r, NULL);
	loop_timer_stop(r->loop, &r->tick);
	rules_free(r->take.rules);
	rules_free(r->keep.silence);
	rules_free(r->keep.watch);
	netlink_close(r->sockets);
	r->magic = 0;
	free(r);
}

/* --- beginning ------------------------------------------------------------------------------ */

static void listeners(struct relay *r, struct relay_ports *ret)
{
	ret->n = 0;
	for (unsigned i = 0; i < r->nips; i++) {
		uint16_t ports[RELAY_PORTS];
		unsigned n;

		if (netlink_tcp_listeners(r->sockets, &r->ips[i], ports, RELAY_PORTS, &n) != OK) {
			continue;
		}
		for (unsigned j = 0; j < n; j++) {
			relay_ports_add(ret, ports[j]);
		}
	}
}

/* After a success something runs; the tick looks after it. */
static void begun(struct relay *r)
{
	loop_timer_set(r->loop, &r->tick, TICK_NS);
}

int relay_take(struct relay *r, uint32_t link, const struct net_addr *from, uint64_t ns, char *why,
               size_t why_size)
{
	struct relay_ports ports;
	struct net_link l;
	int err;

	CHECK_MAGIC(r, MAGIC);
	err = netlink_link_by_index(r->n, link, &l);
	if (err != OK) {
		snprintf(why, why_size, "the link: %s", netlink_error(r->n));
		return err;
	}
	listeners(r, &ports);
	r->take.until = 0;
	err = relay_rules_take(r->take.rules, r->name, r->ips, r->nips, &ports, from, l.name, why,
	                       why_size);
	if (err != OK) {
		return err;
	}
	r->take.link = link;
	r->take.from = *from;
	r->take.held = false;
	r->take.until = r->loop->now + ns;
	begun(r);
	return OK;
}

static int renew(struct relay *r)
{
	int err = OK;

	for (unsigned i = 0; i < r->nips && err == OK; i++) {
		err = netlink_address_set(r->n, LOOPBACK, &r->ips[i], full_prefix(r), LIFE_S);
	}
	return err;
}

int relay_keep(struct relay *r, uint32_t link, uint64_t ns, char *why, size_t why_size)
{
	struct relay_ports ports;
	int err = OK;

	CHECK_MAGIC(r, MAGIC);
	r->keep.until = r->loop->now + ns;
	/* Silent before it is there. */
	if (r->family == AF_INET) {
		err = silence_set(r->keep.silence, r->n, r->name, r->ips, r->nips, link, NULL, why,
		                  why_size);
	}
	if (err != OK) {
		end_keep(r, NULL);
		return err;
	}
	err = renew(r);
	if (err != OK) {
		snprintf(why, why_size, "the address on the loopback: %s", netlink_error(r->n));
		end_keep(r, NULL);
		return err;
	}
	listeners(r, &ports);
	if (ports.n > 0) {
		/* Without it, only what comes back to this node within the time is lost. */
		(void)relay_rules_watch(r->keep.watch, r->name, r->ips, r->nips, why, why_size);
	}
	begun(r);
	return OK;
}

void relay_back(struct relay *r)
{
	CHECK_MAGIC(r, MAGIC);
	end_keep(r, "this node is the holder again");
}

void relay_heard(struct relay *r, const struct net_addr *from)
{
	struct relay_ports ports;
	char why[160];

	CHECK_MAGIC(r, MAGIC);
	if (r->take.until == 0 || r->take.held || !net_addr_same_ip(from, &r->take.from)) {
		return;
	}
	listeners(r, &ports);
	if (relay_rules_take(r->take.rules, r->name, r->ips, r->nips, &ports, NULL, NULL, why,
	                     sizeof(why)) != OK) {
		end_take(r, why);
		return;
	}
	r->take.held = true;
	log_debug("relay_ended", r->name,
	          "connections are no longer passed on: the node that had them is the holder");
}

bool relay_active(const struct relay *r)
{
	return r->take.until != 0 || r->keep.until != 0;
}

void relay_state(const struct relay *r, struct relay_state *ret)
{
	/* What was stopped because its holder was heard begins with the next advertisement. */
	*ret = (struct relay_state){ .take_until = r->take.until,
		                     .keep_until = r->keep.until,
		                     .from = r->take.from };
}

void relay_resume(struct relay *r, uint32_t link, const struct relay_state *s)
{
	uint64_t now = r->loop->now;
	char why[160] = "";

	CHECK_MAGIC(r, MAGIC);
	if (s->take_until <= now) {
		end_take(r, NULL);
	} else if (relay_take(r, link, &s->from, s->take_until - now, why, sizeof(why)) != OK) {
		log_warning("relay", r->name, "connections of the former holder will break: %s",
		            why);
	}
	if (s->keep_until <= now) {
		end_keep(r, NULL);
	} else if (relay_keep(r, link, s->keep_until - now, why, sizeof(why)) != OK) {
		log_warning("relay", r->name, "connections through this node will break: %s", why);
	}
}

/* --- while it runs -------------------------------------------------------------------------- */

/* When it cannot be asked, the deadline ends it. */
static bool unused(struct relay *r)
{
	for (unsigned i = 0; i < r->nips; i++) {
		unsigned n;

		if (netlink_tcp_connections(r->sockets, &r->ips[i], &n) != OK || n > 0) {
			return false;
		}
	}
	return true;
}

static void look_keep(struct relay *r)
{
	char why[160];

	if (r->loop->now >= r->keep.until) {
		end_keep(r, "its time is over");
	} else if (unused(r)) {
		end_keep(r, "its last connection has ended");
	} else if (renew(r) != OK) {
		snprintf(why, sizeof(why), "it could not be renewed: %s", netlink_error(r->n));
		end_keep(r, why);
	}
}

/* A node that does not answer has no connections any more: our own reset tells the clients so. */
static void look_take(struct relay *r)
{
	if (r->loop->now >= r->take.until) {
		end_take(r, "their time is over");
	} else if (!r->take.held && netlink_neighbour_failed(r->n, r->take.link, &r->take.from)) {
		end_take(r, "the node that had them does not answer any more");
	}
}

static void on_tick(struct loop_timer *t)
{
	struct relay *r = CONTAINER_OF(t, struct relay, tick);

	CHECK_MAGIC(r, MAGIC);
	if (r->keep.until != 0) {
		look_keep(r);
	}
	if (r->take.until != 0) {
		look_take(r);
	}
	if (relay_active(r)) {
		loop_timer_set(r->loop, &r->tick, TICK_NS);
	}
}

/* --- what an earlier process left ----------------------------------------------------------- */

static void clean_one(void *arg, const struct net_ifaddr *a)
{
	if (a->link == LOOPBACK && a->protocol == NETLINK_PROTO_HOLDFAST) {
		netlink_address_delete(arg, LOOPBACK, &a->ip, a->prefix);
	}
}

void relay_clean(struct netlink *n)
{
	netlink_addresses(n, clean_one, n);
}

int relay_supported(struct netlink *n, char *why, size_t why_size)
{
	struct net_link lo;

	if (netlink_link_by_index(n, LOOPBACK, &lo) != OK || !lo.carrier) {
		snprintf(why, why_size, "the loopback interface is not up");
		return ERR_UNSUPPORTED;
	}
	/* It is up: nothing happens. libnftables itself would write to stderr. */
	if (netlink_link_set(n, LOOPBACK, true) == ERR_DENIED) {
		snprintf(why, why_size, "no right to change the network (CAP_NET_ADMIN)");
		return ERR_DENIED;
	}
	return relay_rules_supported(why, why_size);
}
