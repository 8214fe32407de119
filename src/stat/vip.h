/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual IPs on the board: what the role vrrp publishes about each, for status, metrics and its
 * own successor. Written by vrrp only. Text and times are read under `seq`, counters any time.
 */
#ifndef STAT_VIP_H
#define STAT_VIP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_MAX_VIPS       64
#define BOARD_VIP_CONDITIONS 16

enum vip_state {
	VIP_OUT, /* takes no part: starting, interface down, drained (RFC: Initialize) */
	VIP_BACKUP,
	VIP_ACTIVE,
	VIP_STATES
};
extern const char *const vip_state_name[VIP_STATES]; /* "out", "backup", "active" */

/* Why an advertisement was not taken: name of its metric's label, words. */
#define VIP_DROP_ROWS(X) \
	X(TTL, "ttl", "TTL or hop limit is not 255") \
	X(LENGTH, "length", "truncated, or longer than it says") \
	X(VERSION, "version", "another version of VRRP") \
	X(TYPE, "type", "not an advertisement") \
	X(CHECKSUM, "checksum", "wrong checksum") \
	X(VRID, "vrid", "a router id that is not configured on this interface") \
	X(COUNT, "count", "no addresses") \
	X(INTERVAL, "interval", "an interval of 0, or (version 2) another one than ours") \
	X(AUTH, "auth", "wrong kind of authentication or wrong password") \
	X(FAMILY, "family", "addresses of another family") \
	X(PEER, "peer", "not from a node that may send it") \
	X(OWN, "own", "our own packet came back") \
	X(RATE, "rate", "more than a peer can have to say")

enum vip_drop {
#define VIP_DROP_ENUM(name, label, text) VIP_DROP_##name,
	VIP_DROP_ROWS(VIP_DROP_ENUM)
#undef VIP_DROP_ENUM
	    VIP_DROPS
};
extern const char *const vip_drop_label[VIP_DROPS];
extern const char *const vip_drop_text[VIP_DROPS];

/* One counter each: its Prometheus series (holdfast_vrrp_…) and help. */
#define VIP_COUNTER_ROWS(X) \
	X(TRANSITIONS, "transitions_total", "changes of state") \
	X(ACTIVATIONS, "activations_total", "times this node took the address") \
	X(SENT, "advertisements_sent_total", "advertisements sent") \
	X(RECEIVED, "advertisements_received_total", "advertisements taken") \
	X(ZERO_SENT, "priority_zero_sent_total", "advertisements sent that gave the address up") \
	X(ZERO_RECEIVED, "priority_zero_received_total", "such advertisements received") \
	X(CONFLICTS, "conflicts_total", \
	  "times another active node was heard while this one was active") \
	X(DUPLICATES, "duplicate_addresses_total", "times a stranger answered for the address") \
	X(MISMATCHES, "mismatches_total", "advertisements with another address list or interval") \
	X(SEND_ERRORS, "send_errors_total", "advertisements that could not be sent") \
	X(ADDRESS_ERRORS, "address_errors_total", "addresses that could not be added or removed")

enum vip_counter {
#define VIP_COUNTER_ENUM(name, series, help) VIP_COUNT_##name,
	VIP_COUNTER_ROWS(VIP_COUNTER_ENUM)
#undef VIP_COUNTER_ENUM
	    VIP_COUNTERS
};
extern const char *const vip_counter_series[VIP_COUNTERS];
extern const char *const vip_counter_help[VIP_COUNTERS];

struct board_condition {
	char name[72]; /* "pool.web" */
	uint8_t known;
	uint8_t well;
	uint64_t since_wall_ms;
	char reason[104];
};

struct board_vip {
	_Atomic uint32_t used;     /* 0: no such virtual IP on this node */
	_Atomic uint32_t seq;      /* odd while vrrp rewrites what follows */
	_Atomic int32_t pid;       /* the process that acts for it; 0: none did yet */
	_Atomic uint64_t alive_ns; /* monotonic: when that process last looked after it */
	char name[64];
	char addresses[256]; /* "10.77.0.100/24, …" */
	char interface[16];
	uint8_t router_id;
	uint8_t version;
	uint8_t state;         /* enum vip_state */
	uint8_t priority;      /* as advertised now */
	uint8_t base;          /* as configured */
	uint8_t peer_priority; /* of the active node last heard */
	uint8_t drained;       /* taken out by `drain --node` */
	uint8_t yielded;       /* gave it up on purpose: takes it back only when nobody holds it */
	uint8_t appointed;     /* holds it on purpose: above all priorities */
	uint8_t conflict;      /* another active node is heard now */
	uint8_t holding;       /* the addresses are on the interface */
	uint8_t known;         /* another node was heard once, active or standing by */
	uint8_t relaying;      /* connections of an earlier holder are passed on, or ours kept */
	uint32_t active_interval_cs; /* learned from the active node, centiseconds */
	uint64_t since_wall_ms;      /* of the state */
	uint64_t heard_wall_ms;      /* last advertisement of the active node */
	char peer[48];               /* address of the active node last heard; "" none */
	/* What a successor of the process goes on with, see vrrp/relay.h; monotonic, 0: nothing. */
	uint64_t relay_take_until;
	uint64_t relay_keep_until;
	char relay_from[48];
	char reason[160]; /* of the last transition */
	uint32_t nconditions;
	struct board_condition conditions[BOARD_VIP_CONDITIONS];
	uint64_t c[VIP_COUNTERS];
	uint64_t dropped[VIP_DROPS];
} __attribute__((aligned(64)));

/* Begins and ends a rewriting of what lies under seq: vrrp only. */
void board_vip_begin(struct board_vip *v);
void board_vip_end(struct board_vip *v);
/* A copy without tears; false where there is no such virtual IP. */
bool board_vip_read(struct board_vip *v, struct board_vip *ret);

#endif
