/* SPDX-License-Identifier: Apache-2.0 */
/* What udp.c (sockets of listeners) and udp_session.c share. */
#ifndef PROXY_UDP_IMPL_H
#define PROXY_UDP_IMPL_H

#include "proxy/udp.h"
#include "proxy/upstream.h"

#define UDP_MAGIC   0x0dd5e551u
#define UDP_BATCH   16    /* datagrams of one system call */
#define UDP_SIZE    65536 /* bytes of the largest */
#define UDP_TRIED   4     /* servers that one session tries */
#define UDP_BUCKETS 1024  /* of a listener's table, at first; a power of two */
#define UDP_KEPT    2048  /* bytes of a datagram that is kept until its server answers */

/* Whose datagrams make a session: compared as bytes. */
struct udp_key {
	uint8_t client[16]; /* IPv4: the first four */
	uint8_t to[16];     /* that it sent to: answers come from there */
	uint32_t scope;     /* interface of a link-local address */
	uint16_t port;      /* network order */
	uint16_t family;
};

TAILQ_HEAD(udp_sessions, udp_session);

struct udp_listener {
	TAILQ_ENTRY(udp_listener) link;
	struct loop_io io; /* a descriptor of its own */
	struct thread *thread;
	struct view *view;
	const struct conf_listener *conf;
	struct stat_block *stat;
	struct wire_block *wire;
	_Atomic uint32_t *connections;
	uint64_t inode;
	bool removed; /* reads no more */
	struct udp_session **buckets;
	uint32_t nbuckets, nsessions;
	struct udp_sessions sessions; /* the longest idle first */
};

struct udp_session {
	uint32_t magic;
	struct udp_session *chain;
	TAILQ_ENTRY(udp_session) link;
	STAILQ_ENTRY(udp_session) dead;
	struct udp_listener *l;
	struct loop_io io; /* towards the server; fd -1: none now */
	struct loop_timer timer;
	struct udp_key key;
	uint32_t hash;
	bool placed; /* holds a place at `server` */
	struct view *view;
	struct pool *pool;
	struct server *server;
	uint64_t started, last; /* loop time */
	uint64_t bytes_in, bytes_out;
	char *
	    asked; /* the datagram that waits for an answer: it may go to another server; or NULL */
	uint32_t asked_len;
	uint64_t asked_at;
	unsigned ntried;
	struct server *tried[UDP_TRIED];
};

/* Room for one system call, of a thread. */
struct udp_batch {
	struct mmsghdr m[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} name[UDP_BATCH];
	union {
		struct cmsghdr align;
		char room[64];
	} control[UDP_BATCH];
	char data[UDP_BATCH][UDP_SIZE];
};

/* The client's address. */
void udp_key_client(const struct udp_key *key, struct net_addr *ret);
/* The session of that key, begun where there is none; NULL: the datagram is lost. */
struct udp_session *udp_session_get(struct udp_listener *l, const struct udp_key *key);
/* Sends datagrams 0 … n - 1 of iov to the session's server; what could not go is counted. */
void udp_session_send(struct udp_session *s, const struct iovec *iov, unsigned n);
void udp_session_end(struct udp_session *s);
/* Its time begins anew. */
void udp_session_arm(struct udp_session *s);
/* Frees what ended in this turn. */
void udp_reap(struct thread *t);
/* Sends datagrams 0 … n - 1 of t->udp to the client, from the address that it sent to. */
void udp_answer(struct udp_session *s, unsigned n);

#endif
