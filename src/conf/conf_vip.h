/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a configuration about virtual IPs: addresses, nodes, conditions, who is told. */
#ifndef CONF_CONF_VIP_H
#define CONF_CONF_VIP_H

#include "conf/conf_list.h"
#include "net/addr.h"

/* What must be well for a node to be preferred. */
enum conf_condition {
	CONDITION_PROXY,     /* "proxy": the role accepts and answers */
	CONDITION_POOL,      /* "pool.NAME": at least `min` of its servers are in service */
	CONDITION_CHECK,     /* "check.NAME": a check of the map `checks` */
	CONDITION_INTERFACE, /* "interface.NAME": there, up, with a carrier */
	CONDITION_GATEWAY,   /* "gateway": the default gateway answers */
};

struct conf_track {
	struct str name;   /* as configured: "pool.web" */
	uint32_t kind;     /* enum conf_condition */
	struct str object; /* "web" of "pool.web"; "" for proxy and gateway */
	uint32_t index;    /* in conf->pools or conf->checks */
	uint32_t min;      /* pools: 1 */
	uint32_t weight;   /* taken from the priority on failure; 0: the low band instead */
};

struct conf_vip_address {
	struct str text;    /* "10.77.0.100/24" */
	struct net_addr ip; /* port 0 */
	uint32_t prefix;    /* length; without "/": 32 or 128 */
	bool derived;       /* the link-local one that IPv6 needs first and the file did not give */
};

struct conf_vip_node {
	struct str name;
	uint32_t node;     /* index in conf->nodes */
	uint32_t priority; /* 1 … 254 */
};

struct conf_notify { /* told of each transition, in order */
	struct conf_list exec;
	struct str user;    /* of exec; "": the roles' user */
	uint64_t timeout;   /* of one call, 10s */
	struct str webhook; /* URL; "": none */
};

struct conf_vip {
	struct str name;
	const struct conf_vip_address *addresses; /* all of one family */
	uint32_t naddresses;
	struct str interface;
	uint32_t router_id;                /* 1 … 255 */
	uint32_t version;                  /* 2 or 3 */
	uint64_t advertise;                /* whole centiseconds; whole seconds with version 2 */
	const struct conf_vip_node *nodes; /* by name */
	uint32_t nnodes;
	bool preempt;
	uint64_t preempt_delay; /* with preempt: so long a well node waits before it takes over */
	bool unicast_peers;     /* to the addresses of the other nodes, instead of multicast */
	bool plain_checksum;    /* version 3, IPv4: without the pseudo-header, as RFC 9568 says */
	bool virtual_mac;       /* addresses on a macvlan with the MAC of the RFC */
	struct str password;    /* version 2; at most 8 characters; "": none */
	struct str group;       /* sync group; "": none */
	uint64_t
	    handover; /* established connections are kept so long after a planned one; 0: not */
	const struct conf_track *track;
	uint32_t ntrack;
	struct conf_notify notify;
};

#endif
