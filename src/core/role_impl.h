/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the harness share: the one role of this process. */
#ifndef CORE_ROLE_IMPL_H
#define CORE_ROLE_IMPL_H

#include "base/check.h"
#include "core/handover.h"
#include "core/role.h"

struct held_conf {
	struct role_conf pub;
	int image_fd;
	struct held_conf *next;
};

struct harness {
	struct role role;
	struct loop_io parent_io;
	struct loop_io adopt_io;
	struct loop_io signal_io;
	struct loop_timer pulse;
	struct loop_timer leave; /* for the parent's word after a SIGTERM */
	struct handover in;
	struct held_conf *confs; /* all that have users */
	struct held_conf *next;  /* being prepared or prepared */
	uint32_t prepare_id;
	bool preparing; /* the role has not answered yet */
	bool started;
	bool ready;
	bool draining;
	unsigned terms; /* SIGTERMs received */
	int status;     /* of the process */
	int board_fd;
};

static inline struct harness *harness_of(struct role *r)
{
	return CONTAINER_OF(r, struct harness, role);
}

/* role.c: the role cannot go on; why becomes its reason. */
void role_fail(struct harness *h, const char *why);
/* A message of the parent. */
void role_message(struct harness *h, struct ipc_msg *m);
/* Finishes what is open, then ends. */
void role_drain(struct harness *h);

/* --- role_parent.c */

/* Takes over the sockets that came over the exec. The loop must never wait in a read of them. */
int role_parent_take(struct harness *h);
/* Who it is and what it holds. */
void role_parent_hello(struct harness *h);

/* --- role_conf.c, of what has arrived in h->in: it takes the descriptors over */

/* Maps a configuration. OK, or an error with why. */
int role_conf_take(struct harness *h, struct held_conf **ret, char *why, size_t why_size);
void role_conf_prepare(struct harness *h);
void role_conf_commit(struct harness *h, uint32_t id);
/* The one that is being prepared or prepared is none any more. */
void role_conf_forget_next(struct harness *h);
/* New access logs take the places of the old ones: the numbers stay, the role is told. */
void role_conf_logs(struct harness *h, struct ipc_msg *m);
/* The new store takes the place of the one that came with the configuration: the number stays, so
 * that a later parent gets the newest. The message goes on to the role, which maps its copy. */
void role_conf_certs(struct harness *h, const struct ipc_msg *m);
/* Nothing is accepted any more: a copy kept here would leave clients in a queue nobody reads. */
void role_conf_close_listening(struct harness *h);

#endif
