/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links, addresses and routes of the kernel by rtnetlink (libmnl). Requests wait for the
 * kernel's answer, which takes microseconds; watching is asynchronous. Every call is about the
 * network namespace in which the socket was opened.
 */
#ifndef NET_NETLINK_H
#define NET_NETLINK_H

#include "net/addr.h"

struct netlink; /* a socket for requests */

/* OK, ERR_NOMEM or ERR_SYSTEM (errno). */
int netlink_open(struct netlink **ret);
void netlink_close(struct netlink *n);
/* The kernel's words for the last request that failed (extended acknowledgement), or strerror.
 * Every request returns OK, or with errno: ERR_NOT_FOUND (no such link, address, route),
 * ERR_EXISTS, ERR_DENIED (no rights), ERR_NOMEM or ERR_SYSTEM. */
const char *netlink_error(const struct netlink *n);

/* --- links ---------------------------------------------------------------------------------- */

struct net_link {
	uint32_t index;
	char name[16];
	uint32_t flags; /* IFF_… */
	uint32_t mtu;
	uint32_t master;
	uint32_t parent; /* the link that a macvlan stands on; a veth's other end */
	uint8_t mac[6];
	bool has_mac;
	bool carrier;  /* IFF_UP and IFF_RUNNING */
	char kind[16]; /* "veth", "bridge", "macvlan"; "" unknown */
};

int netlink_link(struct netlink *n, const char *name, struct net_link *ret);
int netlink_link_by_index(struct netlink *n, uint32_t index, struct net_link *ret);
/* All links: calls fn for each, which may make requests. Repeated by itself, before the first call,
 * when the dump was disturbed. */
int netlink_links(struct netlink *n, void (*fn)(void *arg, const struct net_link *l), void *arg);
int netlink_link_set(struct netlink *n, uint32_t index, bool up);
int netlink_link_delete(struct netlink *n, uint32_t index);
/* A bridge that floods multicast without snooping. */
int netlink_bridge_add(struct netlink *n, const char *name);
/* A pair; the second end is made in another namespace (peer_ns >= 0). */
int netlink_veth_add(struct netlink *n, const char *name, const char *peer, int peer_ns);
int netlink_master_set(struct netlink *n, uint32_t index, uint32_t master);
/* A macvlan in private mode on a link, with that MAC, without a link-local address. */
int netlink_macvlan_add(struct netlink *n, const char *name, uint32_t link, const uint8_t mac[6]);

/* --- addresses ------------------------------------------------------------------------------ */

struct net_ifaddr {
	uint32_t link;
	struct net_addr ip;
	uint32_t prefix;
	uint32_t flags;   /* IFA_F_… */
	uint32_t valid_s; /* UINT32_MAX: for ever */
	uint8_t protocol; /* IFA_PROTO; 0: unknown */
};

#define NETLINK_FOREVER UINT32_MAX
/* IFA_PROTO of addresses that holdfast adds with a lifetime, so that leftovers are known by it. */
#define NETLINK_PROTO_HOLDFAST 0x48

/* Adds or renews (NLM_F_REPLACE) with a lifetime in seconds, as one of holdfast's unless it is
 * for ever. IPv6 without duplicate detection. */
int netlink_address_set(struct netlink *n, uint32_t link, const struct net_addr *ip,
                        uint32_t prefix, uint32_t valid_s);
/* OK also when it was not there. */
int netlink_address_delete(struct netlink *n, uint32_t link, const struct net_addr *ip,
                           uint32_t prefix);
int netlink_addresses(struct netlink *n, void (*fn)(void *arg, const struct net_ifaddr *a),
                      void *arg);

/* --- routes --------------------------------------------------------------------------------- */

/* Route to dst/prefix (NULL: default) via a gateway (NULL: on the link) in the main table. */
int netlink_route_set(struct netlink *n, const struct net_addr *dst, uint32_t prefix,
                      const struct net_addr *gateway, uint32_t link, int family);
/* The default gateway with its link. ERR_NOT_FOUND. */
int netlink_gateway(struct netlink *n, int family, struct net_addr *ret, uint32_t *ret_link);
/* Whether the kernel has asked for the neighbour's MAC in vain. false also when it never asked. */
bool netlink_neighbour_failed(struct netlink *n, uint32_t link, const struct net_addr *ip);

/* --- sockets -------------------------------------------------------------------------------- */

/* A socket for these two requests alone, which need no rights. */
int netlink_open_sockets(struct netlink **ret);
/* How many TCP connections of this host have ip as their local end, those in TIME_WAIT left out. */
int netlink_tcp_connections(struct netlink *sockets, const struct net_addr *ip, unsigned *ret);
/* The ports, each once, on which somebody listens at ip itself (not at all addresses); at most
 * `max` of them. */
int netlink_tcp_listeners(struct netlink *sockets, const struct net_addr *ip, uint16_t *ports,
                          unsigned max, unsigned *ret_n);

/* --- watching ------------------------------------------------------------------------------- */

/* A descriptor that becomes readable when links or addresses change; ERR_SYSTEM. That holdfast adds
 * or renews an address of its own is no change. */
int netlink_watch(void);
/* Empties it. true: something has changed (also when messages were lost: look at everything). */
bool netlink_watched(int fd);

#endif
