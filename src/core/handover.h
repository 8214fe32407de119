/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations with their descriptors on the way between parent and role: one packet (START,
 * PREPARE, LOGS, HELLO) and as many MORE_FDS as the number of descriptors needs. Each packet lists
 * what its descriptors are.
 */
#ifndef CORE_HANDOVER_H
#define CORE_HANDOVER_H

#include "core/role.h"

#define HANDOVER_PROTOCOL 1
#define HANDOVER_MAX_FDS  8192 /* of one configuration */

enum handover_lead { HANDOVER_IMAGE, HANDOVER_BOARD, HANDOVER_LEADS };

/* What goes with the first packet. */
struct handover_head {
	uint32_t protocol;
	uint32_t instance;
	uint32_t total; /* descriptors that follow in all packets, without the leading ones */
	uint32_t nlead; /* leading descriptors of the first packet, by enum handover_lead */
	int32_t pid;    /* of a role that says HELLO */
	uint32_t ready;
	uint32_t draining;
	uint32_t count; /* descriptors listed in this packet */
	uint64_t generation;
	char role[16];
	char version[16]; /* of the program that sent it */
};

/* Sends one packet: as ipc_send without the descriptor. */
typedef int handover_send_fn(void *arg, enum ipc_type type, uint32_t id, const void *payload,
                             size_t len, const int *fds, int nfds);

/* Sends head, leading descriptors and all of fds. Fills in protocol, total, nlead and count. The
 * first error of `send`, or ERR_TOO_LARGE. Descriptors stay the caller's. */
int handover_send(handover_send_fn *send, void *arg, enum ipc_type type, uint32_t id,
                  struct handover_head *head, const int *lead, unsigned nlead,
                  const struct role_fd *fds, unsigned nfds);

/* What is being received. */
struct handover {
	struct handover_head head;
	uint32_t type;
	uint32_t id;
	int lead[HANDOVER_LEADS]; /* -1: none */
	struct role_fd *fds;      /* malloc'd */
	unsigned nfds;
	bool open; /* begun, and neither taken nor dropped */
};

/* Takes the descriptors of a first packet; drops what was open. OK, ERR_SYNTAX, ERR_UNSUPPORTED
 * (another protocol), ERR_NOMEM. */
int handover_begin(struct handover *h, struct ipc_msg *m);
/* Takes those of a MORE_FDS. */
int handover_more(struct handover *h, struct ipc_msg *m);
bool handover_complete(const struct handover *h);
/* Closes what nobody took. Takers set lead[] to -1 and fds to NULL. */
void handover_drop(struct handover *h);

#endif
