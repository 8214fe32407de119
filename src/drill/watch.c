/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The observer of one node: says when the addresses come to an interface of its network namespace
 * and when they go. The kernel's notifications wake it, so that it is late by microseconds only. An
 * address on the loopback does not count: there a former holder keeps it for connections that it
 * still serves, and answers nobody who asks for it. A process of its own.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "drill/drill.h"
#include "net/netlink.h"

#define LOOK_MS 1000 /* also without a notification */

struct watch {
	struct netlink *n;
	int fd;
	uint32_t loopback;
	struct net_addr ip[CONF_MAX_VIPS];
	bool held[CONF_MAX_VIPS], seen[CONF_MAX_VIPS];
	unsigned nip;
};

static bool same_ip(const struct net_addr *a, const struct net_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
}

static void see(void *arg, const struct net_ifaddr *a)
{
	struct watch *w = arg;

	for (unsigned i = 0; i < w->nip; i++) {
		if (a->link != w->loopback && same_ip(&a->ip, &w->ip[i]))
			w->seen[i] = true;
	}
}

/* Writes down what has changed; everything the first time. */
static int look(struct watch *w, bool first)
{
	uint64_t now = clock_mono();
	int err;

	memset(w->seen, 0, sizeof(w->seen));
	err = netlink_addresses(w->n, see, w);
	if (err != OK)
		return err;
	for (unsigned i = 0; i < w->nip; i++) {
		struct drill_event e = { .at_ns = now, .vip = (uint16_t)i, .held = w->seen[i] };

		if (!first && w->seen[i] == w->held[i])
			continue;
		w->held[i] = w->seen[i];
		if (write(STDOUT_FILENO, &e, sizeof(e)) != (ssize_t)sizeof(e))
			return ERR_CLOSED;
	}
	return OK;
}

static int parse(struct watch *w, const char *addresses)
{
	struct str rest = str_from(addresses);

	while (rest.len > 0) {
		struct str one = str_split(rest, ',', &rest);
		char text[NET_ADDR_TEXT];
		bool v6 = memchr(one.s, ':', one.len) != NULL;

		snprintf(text, sizeof(text), "%s%.*s%s:1", v6 ? "[" : "", STR_ARG(one),
		         v6 ? "]" : "");
		if (w->nip == CONF_MAX_VIPS ||
		    net_addr_parse(str_from(text), &w->ip[w->nip++], NULL) != OK)
			return ERR_INVALID;
	}
	return w->nip > 0 ? OK : ERR_INVALID;
}

static int run(struct watch *w)
{
	struct pollfd p[2] = { { .fd = w->fd, .events = POLLIN },
		               { .fd = STDIN_FILENO, .events = POLLIN } };
	int err = look(w, true);

	while (err == OK) {
		char junk[64];

		if (poll(p, 2, LOOK_MS) < 0 && errno != EINTR)
			return ERR_SYSTEM;
		/* Whatever it was: what is there now counts. */
		netlink_watched(w->fd);
		err = look(w, false);
		if (p[1].revents != 0 && read(STDIN_FILENO, junk, sizeof(junk)) <= 0)
			return OK;
	}
	return err;
}

int drill_watch(const char *addresses)
{
	static struct watch w;
	struct net_link lo;
	int err = parse(&w, addresses);

	if (err == OK)
		err = netlink_open(&w.n);
	if (err == OK) {
		w.fd = netlink_watch();
		err = w.fd < 0 ? ERR_SYSTEM : OK;
	}
	if (err == OK && netlink_link(w.n, "lo", &lo) == OK)
		w.loopback = lo.index;
	/* The sockets stay where they were opened; the process moves on, so that what befalls all
	 * processes of the node does not befall its observer. */
	if (err == OK && unshare(CLONE_NEWNET) != 0)
		err = ERR_SYSTEM;
	if (err == OK)
		err = run(&w);
	netlink_close(w.n);
	if (err == OK)
		return 0;
	fprintf(stderr, "holdfast drill-watch: %s\n",
	        err == ERR_SYSTEM ? strerror(errno) : err_text(err));
	return 1;
}
