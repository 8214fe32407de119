/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the role vrrp share: the role, its virtual routers, and their sockets. One
 * thread. The pure parts (machine, packet, frame) know nothing of it.
 */
#ifndef VRRP_IMPL_H
#define VRRP_IMPL_H

#include <sys/queue.h>

#include "base/clock.h"
#include "core/role.h"
#include "net/netlink.h"
#include "net/raw.h"
#include "vrrp/frame.h"
#include "vrrp/machine.h"
#include "vrrp/packet.h"
#include "vrrp/relay.h"
#include "vrrp/track.h"
#include "vrrp/vrrp.h"

#define VRRP_SOURCES 16 /* speakers of one virtual router that are told apart */
/* Types of packets. Those beyond the standard's only one are said to one node alone, which knows
 * them or, as RFC 9568 section 7.1 demands, discards them. */
enum vrrp_type {
	VRRP_TYPE_ADVERT = 1,
	VRRP_TYPE_STANDBY = 2, /* to the active node: "I stand by" */
	VRRP_TYPE_WAS_ACTIVE =
	    3, /* to the one we gave way to: "I was active too until I heard you" */
};

struct macvlan;
struct vrrp_addresses;
struct vrrp;
struct vrrp_instance;

/* A raw socket: all multicast instances of one link and family, or all unicast ones of a family. */
struct vrrp_channel {
	LIST_ENTRY(vrrp_channel) link;
	struct vrrp *vrrp;
	struct loop_io io;
	int family;
	uint32_t ifindex; /* 0: unicast */
	unsigned users;
	struct loop_task gone;
};
LIST_HEAD(vrrp_channels, vrrp_channel);

/* The interface of an instance as it is now. */
struct vrrp_port {
	uint32_t index; /* 0: not there */
	uint8_t mac[6];
	bool up;                /* with a carrier */
	struct net_addr source; /* of advertisements; family 0: none */
};

struct vrrp_source { /* how much one speaker has said lately */
	struct net_addr addr;
	uint64_t at;
	uint32_t tokens;
};

struct vrrp_refusals { /* packets not taken, for the log */
	uint64_t said_at;
	uint64_t since; /* then */
};

struct vrrp_held { /* an address that is on an interface by us */
	struct net_addr ip;
	uint32_t prefix;
	uint32_t ifindex;
	bool failed; /* it could not be added, which was said */
};

enum vrrp_ask_kind { VRRP_ASK_NONE, VRRP_ASK_AWAY, VRRP_ASK_SEND, VRRP_ASK_HERE };

struct vrrp_ask { /* a switchover that waits for its end */
	enum vrrp_ask_kind kind;
	uint32_t id;
	uint64_t since;
	uint64_t until;
	char to[64];
};

struct vrrp_watch { /* for strangers that claim our addresses */
	struct loop_io io;
	struct loop_timer probe; /* asks who else has them */
	struct loop_timer judge; /* a claim is judged after a moment */
	uint8_t mac[6];          /* the claimant */
	struct net_addr ip;
	uint64_t said_at;
	uint64_t was_at; /* a conflict that was told afterwards */
};

/* One virtual router. */
struct vrrp_instance {
	struct vrrp *vrrp;
	const struct conf_vip *conf; /* of the committed configuration */
	uint32_t self;               /* priority's place of this node in it */
	char name[64];
	struct board_vip *board;
	struct vrrp_machine m;
	struct loop_timer timer;
	struct vrrp_wire wire;
	char password[9];
	struct net_addr said[VRRP_MAX_ADDRESSES]; /* as advertised */
	unsigned nsaid;
	struct net_addr peers[CONF_MAX_NODES]; /* of the other nodes, of its family */
	unsigned npeers;
	struct vrrp_port port;
	struct vrrp_channel *channel;
	struct relay *relay;
	char out_why[VRRP_WHY]; /* why it takes no part */
	char health_why[VRRP_WHY];
	uint64_t since_wall_ms;
	char reason[VRRP_WHY]; /* of the last transition */

	struct net_addr peer;   /* the active node last heard; family 0: none */
	uint64_t heard_wall_ms; /* when */
	uint64_t heard_at;      /* last advertisement of a node that is active; 0: never */
	bool known;             /* another node was heard once, or is one of the unicast peers */
	uint64_t standby_at;    /* the next word to the active node that we stand by */
	uint64_t standby_gap;   /* ns between the last two */
	uint64_t handed_at;     /* gave it up by order; 0: not */
	uint64_t handed_until;  /* so long is waited for another one */
	struct vrrp_ask ask;

	struct vrrp_held held[VRRP_MAX_ADDRESSES];
	unsigned nheld;
	struct macvlan *macvlan; /* virtual_mac */
	uint32_t held_on;        /* the link of the addresses: the interface, or its macvlan */
	uint8_t held_mac[6];
	struct loop_timer announce;
	unsigned announced; /* rounds */
	struct vrrp_watch watch;

	struct vrrp_source sources[VRRP_SOURCES];
	struct vrrp_refusals refusals[VIP_DROPS];
	struct vrrp_refusals mismatch;
	uint64_t send_failed_at;
};

#define VRRP_HOOKS 64

struct vrrp_hooks { /* that wait for a parent, oldest first */
	struct ipc_hook v[VRRP_HOOKS];
	unsigned n;
};

/* The role. */
struct vrrp {
	struct role *role;
	struct loop *loop;
	struct netlink *netlink;
	const struct conf *conf; /* committed */
	struct vrrp_instance *v[CONF_MAX_VIPS];
	unsigned n;
	struct vrrp_channels channels;
	int frames;        /* sends frames on any link */
	const char *lacks; /* rights, in words; NULL: none */
	struct loop_io watch_io;
	struct loop_io states_io;
	struct track_set *track;
	struct track_set *next_track; /* of the configuration being prepared */
	struct loop_timer renew;
	struct loop_task look; /* at the interfaces */
	bool acting;           /* no earlier process lives */
	struct loop_io former; /* pidfd of the one that does */
	bool drained;          /* the node, by order */
	bool ending;           /* the node is about to end */
	uint32_t ending_id;
	bool ending_asked;
	uint32_t node_id;
	bool node_asked;
	struct loop_timer orders; /* looks at what is waited for */
	struct vrrp_hooks hooks;
	struct loop_timer hook_timer;
};

/* --- set.c, takeover.c ---------------------------------------------------------------------- */

/* Whether this node may hold it. */
bool vrrp_wanted_here(const struct conf *c, const struct conf_vip *v);
struct vrrp_instance *vrrp_instance_of(const struct vrrp *v, struct str name);
/* Makes those of the configuration; they are silent. */
void vrrp_add_all(struct vrrp *v);
/* Ends one, in order, and forgets it. */
void vrrp_remove_at(struct vrrp *v, unsigned at, const char *why);
/* Before the next configuration counts: what ends or begins again ends by the one that it knows. */
void vrrp_end_old(struct vrrp *v, const struct conf *next);
/* Those that stay get the values of the configuration that counts now, then the new ones begin. */
void vrrp_begin_new(struct vrrp *v);

#define VRRP_RENEW NS_PER_S

/* Makes all virtual routers with their sockets; acts at once, or when the process that does has
 * ended. */
void vrrp_wait_or_act(struct vrrp *v);
/* While an earlier process acts: all that takes time, so that its end is not noticed. */
void vrrp_get_ready(struct vrrp *v);
/* One that was made begins to act, where an earlier process stopped or afresh. */
void vrrp_begin(struct vrrp *v, struct vrrp_instance *i, const struct vrrp_addresses *all);

/* --- instance.c ----------------------------------------------------------------------------- */

/* A new virtual router of the committed configuration, in state OUT, silent. NULL: no memory. */
struct vrrp_instance *vrrp_instance_new(struct vrrp *v, const struct conf_vip *conf);
void vrrp_instance_free(struct vrrp_instance *i);
/* Takes over the values of a configuration: rules, addresses, peers. */
void vrrp_instance_configure(struct vrrp_instance *i, const struct conf_vip *conf);
/* Whether it may go on with that configuration, or has to begin again. */
bool vrrp_instance_same(const struct vrrp_instance *i, const struct conf_vip *conf);
/* Whether the addresses are those. */
bool vrrp_instance_same_addresses(const struct vrrp_instance *i, const struct conf_vip *conf);
/* Starts or stops it by what is known of its interface, the node and the rest. */
void vrrp_instance_look(struct vrrp_instance *i);
/* Goes on where the earlier process of this node stopped. */
void vrrp_instance_resume(struct vrrp_instance *i, const struct vrrp_event *as);
void vrrp_instance_rules(const struct vrrp_instance *i, struct vrrp_rules *ret);
/* The addresses are removed, the sockets given back; says nothing to anybody. */
void vrrp_instance_detach(struct vrrp_instance *i);

/* --- instance_step.c ------------------------------------------------------------------------ */

/* Gives the machine an event (its time is set here) and does what comes out. */
void vrrp_instance_step(struct vrrp_instance *i, struct vrrp_event *e);
/* Fires what is overdue. */
void vrrp_instance_hurry(struct vrrp_instance *i);
/* Events for it and all others of its sync group. */
void vrrp_group_step(struct vrrp_instance *i, const struct vrrp_event *e);
/* Its timer. */
void vrrp_instance_timer(struct loop_timer *t);
struct vrrp_health vrrp_instance_health(struct vrrp_instance *i);
/* The conditions have changed. */
void vrrp_instance_feel(struct vrrp_instance *i);

static inline bool vrrp_ipv6(const struct vrrp_instance *i)
{
	return i->wire.ipv6;
}

/* --- port.c --------------------------------------------------------------------------------- */

struct vrrp_addresses { /* all of this machine */
	struct net_ifaddr *v;
	unsigned n, room;
	bool failed;
};
void vrrp_addresses_read(struct vrrp *v, struct vrrp_addresses *ret);
void vrrp_addresses_free(struct vrrp_addresses *a);
/* Whether an address is one of a virtual IP's, or was added by holdfast. */
bool vrrp_address_ours(const struct vrrp *v, const struct net_ifaddr *a);
/* How the interface of an instance is now. */
void vrrp_port_read(const struct vrrp_instance *i, const struct vrrp_addresses *all,
                    struct vrrp_port *ret);
/* What hinders an instance from taking part, in words; NULL: nothing. */
const char *vrrp_port_why(const struct vrrp_instance *i, const struct vrrp_port *p, char *why,
                          size_t size);
/* Looks at all interfaces and tells the instances. */
void vrrp_ports_look(struct vrrp *v);

/* --- socket.c ------------------------------------------------------------------------------- */

/* The channel of an instance, opened where needed; ERR_SYSTEM with errno. */
int vrrp_channel_get(struct vrrp_instance *i);
void vrrp_channel_put(struct vrrp_instance *i);
/* Begins to listen: all channels, what came before is dropped. */
void vrrp_channels_start(struct vrrp *v);
/* Reads what is there, up to a limit. */
void vrrp_channel_drain(struct vrrp_channel *c);
/* Sends an advertisement of that priority to all others. */
void vrrp_send(struct vrrp_instance *i, unsigned priority);
/* To one node alone: a release means "it is yours". */
void vrrp_send_to(struct vrrp_instance *i, unsigned priority, const struct net_addr *to);
/* Tells the active node, now and then, that this one stands by. */
void vrrp_send_standby(struct vrrp_instance *i, uint64_t now);
/* Tells the active node that this one held the address as well. */
void vrrp_send_was_active(struct vrrp_instance *i);

/* --- hear.c --------------------------------------------------------------------------------- */

/* A packet that came in on a channel. */
void vrrp_hear(struct vrrp_channel *c, const struct net_raw_packet *p);

/* --- address.c ------------------------------------------------------------------------------ */

void vrrp_hold(struct vrrp_instance *i);
void vrrp_release(struct vrrp_instance *i);
/* Renews what is held; adds what should be and is not. */
void vrrp_renew(struct vrrp_instance *i);
/* Looks whether what is held is still there. */
void vrrp_held_look(struct vrrp_instance *i, const struct vrrp_addresses *all);
/* After a reload: adds and removes what the configuration has changed. */
void vrrp_held_adapt(struct vrrp_instance *i);
/* Removes what an earlier process left, but for the addresses of instances that are active. */
void vrrp_leftovers(struct vrrp *v);

/* --- announce.c, conflict.c ----------------------------------------------------------------- */

/* Announces the held addresses now and a few times more. */
void vrrp_announce(struct vrrp_instance *i);
void vrrp_announce_stop(struct vrrp_instance *i);
void vrrp_announce_frames(struct vrrp_instance *i, enum vrrp_frame kind);

void vrrp_watch_start(struct vrrp_instance *i);
void vrrp_watch_stop(struct vrrp_instance *i);
/* Another active node was heard while this one is active. */
void vrrp_conflict(struct vrrp_instance *i);
/* The same, told afterwards by the one that gave way. */
void vrrp_conflict_was(struct vrrp_instance *i, const struct net_addr *from, unsigned priority);

/* --- publish.c ------------------------------------------------------------------------------ */

/* A place on the board for a name: the one it has, or a free one; NULL: none is free. */
struct board_vip *vrrp_board_find(struct vrrp *v, const char *name);
void vrrp_board_free(struct vrrp_instance *i);
/* Writes what is known to the board. */
void vrrp_publish(struct vrrp_instance *i);
/* THE function for a change of state: board, counters, event, hook. */
void vrrp_publish_transition(struct vrrp_instance *i, uint8_t old);
void vrrp_count(struct vrrp_instance *i, enum vip_counter c);
/* Counts and says, not too often, that a packet was not taken. */
void vrrp_refuse(struct vrrp_instance *i, enum vip_drop why, const struct net_addr *from);
/* Whether a line that may come often is due; *ret: how many there were since the last. */
bool vrrp_may_say(struct vrrp_refusals *r, uint64_t now, uint64_t every, uint64_t *ret);
void vrrp_hooks_start(struct vrrp *v);
/* "lb2 (10.77.0.12)", or the address alone. */
const char *vrrp_node_text(const struct vrrp *v, const struct net_addr *a, char *out, size_t size);

/* --- orders.c ------------------------------------------------------------------------------- */

void vrrp_orders_init(struct vrrp *v);
void vrrp_order_switchover(struct vrrp *v, const struct ipc_msg *m);
void vrrp_order_node(struct vrrp *v, const struct ipc_msg *m);
void vrrp_order_yield(struct vrrp *v, const struct ipc_msg *m);
/* Answers what has come to its end. */
void vrrp_orders_look(struct vrrp *v);
/* The instance goes: who waits for it is told. */
void vrrp_orders_forget(struct vrrp_instance *i, const char *why);

/* --- lacks.c -------------------------------------------------------------------------------- */

void vrrp_lacks(const struct conf *c, uint32_t self, struct buf *out);

#endif
