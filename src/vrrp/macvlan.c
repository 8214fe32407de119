/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual router's own MAC (see macvlan.h). Role vrrp, its one thread. */
#include "vrrp/macvlan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "vrrp/packet.h"
#include "vrrp/silence.h"

#define PREFIX "hf" /* of its name: "hf4-51-2", family, VRID and parent */

struct macvlan {
	struct netlink *n;
	struct rules *silence; /* while it is up, IPv4 */
	uint32_t parent;
	uint32_t link;
	char name[16];
	char vip[CONF_MAX_NAME + 1];
	int family;
	unsigned nips;
	struct net_addr ips[VRRP_MAX_ADDRESSES];
};

struct setting {
	const char *key;
	const char *value;
};

/* rp_filter: packets come by it whose way back is the interface's. 2 (any link) also where `all` is
 * stricter: the kernel takes the larger number. */
static const struct setting settings_ipv4[] = {
	{ "rp_filter", "2" },
	{ "arp_ignore", "1" },
};

/* No addresses from router advertisements: other nodes have the same MAC. */
static const struct setting settings_ipv6[] = {
	{ "accept_ra", "0" },
	{ "autoconf", "0" },
};

static int set_one(const struct macvlan *m, const struct setting *s, char *why, size_t why_size)
{
	char path[128];
	int fd, saved;
	ssize_t done = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv%d/conf/%s/%s",
	         m->family == AF_INET6 ? 6 : 4, m->name, s->key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		done = write(fd, s->value, strlen(s->value));
	}
	saved = errno;
	if (fd >= 0) {
		close(fd);
	}
	if (done < 0) {
		snprintf(why, why_size, "%s: %s", path, strerror(saved));
		return ERR_DENIED;
	}
	return OK;
}

static int set_all(const struct macvlan *m, char *why, size_t why_size)
{
	bool six = m->family == AF_INET6;
	const struct setting *s = six ? settings_ipv6 : settings_ipv4;
	size_t n = six ? ARRAY_LEN(settings_ipv6) : ARRAY_LEN(settings_ipv4);
	int err = OK;

	for (size_t i = 0; i < n && err == OK; i++) {
		err = set_one(m, &s[i], why, why_size);
	}
	return err;
}

static int make(struct macvlan *m, const struct conf_vip *vip, char *why, size_t why_size)
{
	uint8_t mac[6] = {
		0x00, 0x00, 0x5e, 0x00, m->family == AF_INET6 ? 0x02 : 0x01, (uint8_t)vip->router_id
	};
	struct net_link l;
	int err;

	/* One of ours that was left behind: its addresses and settings are unknown. */
	if (netlink_link(m->n, m->name, &l) == OK) {
		netlink_link_delete(m->n, l.index);
	}
	err = netlink_macvlan_add(m->n, m->name, m->parent, mac);
	if (err == OK) {
		err = netlink_link(m->n, m->name, &l);
	}
	if (err != OK) {
		snprintf(why, why_size, "a macvlan on %.*s: %s", STR_ARG(vip->interface),
		         netlink_error(m->n));
		return err;
	}
	m->link = l.index;
	return set_all(m, why, why_size);
}

int macvlan_new(struct netlink *n, const struct conf_vip *vip, uint32_t parent,
                struct macvlan **ret, char *why, size_t why_size)
{
	struct macvlan *m = calloc(1, sizeof(*m));
	int err;

	if (m == NULL) {
		snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	m->n = n;
	m->parent = parent;
	m->family = vip->addresses[0].ip.sa.sa_family;
	m->nips = MIN(vip->naddresses, VRRP_MAX_ADDRESSES);
	for (unsigned i = 0; i < m->nips; i++) {
		m->ips[i] = vip->addresses[i].ip;
	}
	snprintf(m->vip, sizeof(m->vip), "%.*s", STR_ARG(vip->name));
	snprintf(m->name, sizeof(m->name), PREFIX "%d-%u-%u", m->family == AF_INET6 ? 6 : 4,
	         vip->router_id & 0xff, parent % 10000000);
	err = rules_new(&m->silence);
	if (err == OK) {
		err = make(m, vip, why, why_size);
	} else {
		snprintf(why, why_size, "%s", err_text(err));
	}
	if (err != OK) {
		macvlan_free(m);
		return err;
	}
	*ret = m;
	return OK;
}

void macvlan_free(struct macvlan *m)
{
	if (m == NULL) {
		return;
	}
	if (m->link != 0) {
		netlink_link_delete(m->n, m->link);
	}
	rules_free(m->silence);
	free(m);
}

uint32_t macvlan_link(const struct macvlan *m)
{
	struct net_link l;

	return netlink_link_by_index(m->n, m->link, &l) == OK ? m->link : 0;
}

int macvlan_up(struct macvlan *m, char *why, size_t why_size)
{
	int err = OK;

	if (m->family == AF_INET) {
		err = silence_set(m->silence, m->n, m->vip, m->ips, m->nips, m->parent, m->name,
		                  why, why_size);
	}
	if (err != OK) {
		return err;
	}
	err = netlink_link_set(m->n, m->link, true);
	if (err != OK) {
		snprintf(why, why_size, "%s: %s", m->name, netlink_error(m->n));
		macvlan_down(m);
	}
	return err;
}

void macvlan_down(struct macvlan *m)
{
	netlink_link_set(m->n, m->link, false);
	rules_clear(m->silence);
}

static void clean_one(void *arg, const struct net_link *l)
{
	static const uint8_t start[4] = { 0x00, 0x00, 0x5e, 0x00 };

	if (strcmp(l->kind, "macvlan") == 0 && strncmp(l->name, PREFIX, strlen(PREFIX)) == 0 &&
	    l->has_mac && memcmp(l->mac, start, sizeof(start)) == 0) {
		netlink_link_delete(arg, l->index);
	}
}

void macvlan_clean(struct netlink *n)
{
	netlink_links(n, clean_one, n);
}
