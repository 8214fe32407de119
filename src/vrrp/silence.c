/* SPDX-License-Identifier: Apache-2.0 */
/* ARP for addresses that another one speaks for (see silence.h). Role vrrp, its one thread. */
#include "vrrp/silence.h"

#include <stdio.h>

#include "base/err.h"
#include "conf/conf.h"

struct own { /* looks for the link's own address */
	uint32_t link;
	struct net_addr ip;
};

static void look_own(void *arg, const struct net_ifaddr *a)
{
	struct own *o = arg;

	if (a->link == o->link && a->ip.sa.sa_family == AF_INET && o->ip.len == 0 &&
	    a->protocol != NETLINK_PROTO_HOLDFAST) {
		o->ip = a->ip;
	}
}

/* 0.0.0.0, as in a probe of RFC 5227, where the link has none: it is answered as well, but by
 * hosts that look at the sender. */
static void sender(struct netlink *n, uint32_t link, char out[NET_ADDR_TEXT])
{
	struct own o = { .link = link };

	if (netlink_addresses(n, look_own, &o) != OK || o.ip.len == 0) {
		o.ip = (struct net_addr){ .in.sin_family = AF_INET, .len = sizeof(o.ip.in) };
	}
	net_addr_host(&o.ip, out);
}

static void but(struct buf *b, const char *direction, const char *speaker)
{
	if (speaker != NULL) {
		buf_printf(b, "%s != \"%s\" ", direction, speaker);
	}
}

int silence_set(struct rules *rules, struct netlink *n, const char *name,
                const struct net_addr *ips, unsigned nips, uint32_t link, const char *speaker,
                char *why, size_t why_size)
{
	struct buf body = BUF_INIT;
	char from[NET_ADDR_TEXT], table[CONF_MAX_NAME + 16];
	int err;

	sender(n, link, from);
	buf_adds(&body, "\tchain in {\n\t\ttype filter hook input priority 0\n\t\t");
	but(&body, "iifname", speaker);
	buf_adds(&body, "arp daddr ip ");
	rules_addresses(&body, ips, nips);
	buf_adds(&body, " drop\n\t}\n\tchain out {\n\t\ttype filter hook output priority 0\n\t\t");
	but(&body, "oifname", speaker);
	buf_adds(&body, "arp saddr ip ");
	rules_addresses(&body, ips, nips);
	buf_printf(&body, " arp saddr ip set %s\n\t}\n", from);
	/* Both may be wanted at once: each has its own. */
	snprintf(table, sizeof(table), "%s%s", name, speaker != NULL ? "_mac" : "");
	err = rules_set(rules, "arp", table, buf_cstr(&body), why, why_size);
	buf_free(&body);
	return err;
}
