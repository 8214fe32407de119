/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a planned handover as nftables reads them (see relay_rules.h). Role vrrp, its one
 * thread.
 *
 * A packet belongs to this node when it begins a connection, or when a socket knows it. The lookup
 * finds a listener as well when no connection fits: one that is bound to all addresses is known by
 * that (`wildcard 1`). One that is bound to the address itself looks like a connection; on such
 * ports the kernel's connection tracking decides, which costs every packet of the host something
 * and is used only there.
 */
#include "vrrp/relay_rules.h"

#include <stdio.h>

#include "base/check.h"
#include "base/err.h"

void relay_ports_add(struct relay_ports *p, uint16_t port)
{
	for (unsigned i = 0; i < p->n; i++) {
		if (p->v[i] == port) {
			return;
		}
	}
	if (p->n < RELAY_PORTS) {
		p->v[p->n++] = port;
	}
}

static const char *family_of(const struct net_addr *ip)
{
	return ip->sa.sa_family == AF_INET6 ? "ip6" : "ip";
}

static void put_ports(struct buf *b, const struct relay_ports *ports)
{
	buf_adds(b, "tcp dport");
	for (unsigned i = 0; i < ports->n; i++) {
		buf_printf(b, "%s %u", i == 0 ? " {" : ",", ports->v[i]);
	}
	buf_adds(b, " } ");
}

static void put_send(struct buf *b, const struct net_addr *from, const char *link)
{
	char to[NET_ADDR_TEXT];

	buf_adds(b, "\tchain send {\n\t\tcounter ");
	if (from != NULL) {
		buf_printf(b, "dup to %s device \"%s\" ", net_addr_host(from, to), link);
	}
	buf_adds(b, "drop\n\t}\n");
}

static void put_decide(struct buf *b, const struct relay_ports *ports)
{
	buf_adds(b, "\tchain decide {\n"
	            "\t\ttcp flags & (syn | ack) == syn accept\n");
	if (ports->n > 0) {
		buf_adds(b, "\t\t");
		put_ports(b, ports);
		buf_adds(b, "ct state != established goto send\n");
	}
	buf_adds(b, "\t\tsocket wildcard 1 goto send\n"
	            "\t\tsocket transparent 0 accept\n"
	            "\t\tsocket transparent 1 accept\n"
	            "\t\tgoto send\n"
	            "\t}\n");
}

static void put_hook(struct buf *b, const struct net_addr *ips, unsigned nips, const char *then)
{
	buf_printf(b,
	           "\tchain in {\n"
	           "\t\ttype filter hook prerouting priority mangle\n"
	           "\t\t%s daddr ",
	           family_of(&ips[0]));
	rules_addresses(b, ips, nips);
	buf_printf(b, " meta l4proto tcp %s\n\t}\n", then);
}

static int set(struct rules *r, const struct net_addr *ips, const char *name, struct buf *b,
               char *why, size_t why_size)
{
	int err = rules_set(r, family_of(&ips[0]), name, buf_cstr(b), why, why_size);

	buf_free(b);
	return err;
}

int relay_rules_take(struct rules *r, const char *name, const struct net_addr *ips, unsigned nips,
                     const struct relay_ports *ports, const struct net_addr *from, const char *link,
                     char *why, size_t why_size)
{
	struct buf b = BUF_INIT;

	put_send(&b, from, link);
	put_decide(&b, ports);
	put_hook(&b, ips, nips, "goto decide");
	return set(r, ips, name, &b, why, why_size);
}

int relay_rules_watch(struct rules *r, const char *name, const struct net_addr *ips, unsigned nips,
                      char *why, size_t why_size)
{
	struct buf b = BUF_INIT;
	char full[96];

	put_hook(&b, ips, nips, "ct state established accept");
	/* Beside the table of relay_rules_take. */
	snprintf(full, sizeof(full), "%s_kept", name);
	return set(r, ips, full, &b, why, why_size);
}

/* --- what the kernel has -------------------------------------------------------------------- */

/* In their order: each needs what stands before it. No chain has a hook: no packet comes by. */
static const struct part {
	const char *family;
	const char *body;
	const char *what;
} parts[] = {
	{ "ip", "", "nftables tables with an owner (Linux 5.12 and later)" },
	{ "ip", "chain c {\n socket wildcard 1 accept\n socket transparent 0 accept\n}\n",
	  "nftables' socket expression (kernel module nft_socket)" },
	{ "ip", "chain c {\n counter dup to 127.0.0.1 device \"lo\"\n}\n",
	  "nftables' dup statement (kernel module nft_dup_ipv4)" },
	{ "ip6", "chain c {\n counter dup to ::1 device \"lo\"\n}\n",
	  "nftables' dup statement for IPv6 (kernel module nft_dup_ipv6)" },
	{ "arp", "chain c {\n arp daddr ip 127.0.0.1 arp saddr ip set 0.0.0.0\n}\n",
	  "nftables for ARP (CONFIG_NF_TABLES_ARP)" },
};

int relay_rules_supported(char *why, size_t why_size)
{
	struct rules *r;
	char words[128];
	int err = rules_new(&r);

	if (err != OK) {
		snprintf(why, why_size, "%s", err_text(err));
		return err;
	}
	for (size_t i = 0; i < ARRAY_LEN(parts) && err == OK; i++) {
		const struct part *p = &parts[i];

		err = rules_set(r, p->family, "probe", p->body, words, sizeof(words));
		if (err != OK) {
			snprintf(why, why_size, "the kernel has no %s: %s", p->what, words);
		}
	}
	rules_free(r);
	return err == OK ? OK : ERR_UNSUPPORTED;
}
