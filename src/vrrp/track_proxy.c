/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition "proxy": this node's proxy accepts and answers. Its process is watched for its end
 * (pidfd), its readiness and its threads' signs of life are read from the board. It fails after a
 * quarter of a second without service (a restart takes less) or after a second without a sign of
 * life, and is well again after a second of service without a break. Role vrrp, its one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "core/spawn.h"
#include "vrrp/track_impl.h"

#define GRACE      (250 * NS_PER_MS)
#define SILENCE    NS_PER_S
#define PROVEN     NS_PER_S
#define ASLEEP     (TRACK_EVERY + 500 * NS_PER_MS) /* we did not run ourselves: nor did others */
#define OFTEN      (10 * NS_PER_MS) /* nobody tells us of its readiness: it is about to be ready */
#define OFTEN_FOR  NS_PER_S
#define NAME_PROXY "proxy"

struct proxy_watch {
	struct track_cond *cond;
	struct loop_io io; /* becomes readable when the process `pid` ends */
	int32_t pid;       /* watched; 0: none */
	bool ended;        /* that process has ended, whatever the board still says */
	bool served;       /* it has been in service at least once */
	uint64_t serving;  /* since when it is in service without a break; 0: it is not */
	uint64_t broken;   /* since when it is not; 0: it is */
	uint64_t looked;
	uint64_t alive; /* last sign of life, or when to begin counting silence */
};

/* --- looking -------------------------------------------------------------------------------- */

static const struct board_role *find_role(struct board *b)
{
	const struct board_node *n = board_node(b);

	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		if (strncmp(n->roles[i].name, NAME_PROXY, sizeof(n->roles[i].name)) == 0)
			return &n->roles[i];
	}
	return NULL;
}

static void unwatch(struct proxy_watch *w)
{
	if (w->io.fd >= 0) {
		loop_remove(track_env_of(w->cond)->loop, &w->io);
		close(w->io.fd);
	}
	w->io.fd = -1;
}

static void on_end(struct loop_io *io, uint32_t events)
{
	struct proxy_watch *w = CONTAINER_OF(io, struct proxy_watch, io);

	(void)events;
	unwatch(w);
	w->ended = true;
	track_look_at(w->cond);
}

/* Where the kernel gives no such descriptor, the board is looked at more often instead. */
static void watch(struct proxy_watch *w, int32_t pid)
{
	unwatch(w);
	w->pid = pid;
	w->ended = false;
	if (pid <= 0)
		return;
	w->io.fd = spawn_pidfd(pid);
	if (w->io.fd < 0)
		w->ended = errno == ESRCH;
	else if (loop_add_level(track_env_of(w->cond)->loop, &w->io, LOOP_IN, false) != OK)
		unwatch(w);
}

static uint64_t last_pulse(struct board *b, unsigned instance)
{
	uint64_t last = 0;

	for (unsigned i = 0; instance < BOARD_INSTANCES && i < BOARD_THREADS; i++)
		last = MAX(last, atomic_load_explicit(&board_pulse(b, instance, i)->ns,
		                                      memory_order_relaxed));
	return last;
}

/* Notes since when it is in service, or not. Returns whether it is. */
static bool note_service(struct proxy_watch *w, const struct board_role *r, uint64_t now)
{
	int32_t pid = r != NULL ? __atomic_load_n(&r->pid, __ATOMIC_RELAXED) : 0;
	uint64_t pulse;

	if (pid != w->pid) {
		watch(w, pid);
		w->serving = 0;
	}
	if (w->pid <= 0 || w->ended || __atomic_load_n(&r->ready, __ATOMIC_RELAXED) == 0) {
		w->serving = 0;
		w->broken = w->broken != 0 ? w->broken : now;
		return false;
	}
	if (w->serving == 0)
		w->serving = w->alive = now;
	if (now - w->looked > ASLEEP)
		w->alive = now;
	pulse = last_pulse(track_env_of(w->cond)->board,
	                   __atomic_load_n(&r->instance, __ATOMIC_RELAXED));
	w->alive = MAX(w->alive, MIN(pulse, now));
	w->broken = 0;
	return true;
}

/* --- the verdict ---------------------------------------------------------------------------- */

static uint64_t not_in_service(struct proxy_watch *w, const struct board_role *r, uint64_t now)
{
	uint64_t next = now + (now - w->broken < OFTEN_FOR ? OFTEN : TRACK_RECHECK);
	bool starting = w->pid > 0 && !w->ended;
	struct str why = STR("");

	if (w->served && now - w->broken < GRACE && w->cond->well)
		return MIN(next, w->broken + GRACE);
	if (r != NULL)
		why = str_n(r->reason, strnlen(r->reason, sizeof(r->reason)));
	track_verdict(w->cond, true, false, "the proxy %s%s%.*s",
	              starting ? "is not ready" : "does not run", why.len > 0 ? ": " : "",
	              STR_ARG(why));
	return next;
}

static uint64_t in_service(struct proxy_watch *w, uint64_t now)
{
	if (now - w->alive >= SILENCE) {
		w->serving = now; /* must be proven anew, from its next sign of life on */
		w->served = true;
		track_verdict(w->cond, true, false,
		              "the proxy hangs: no thread gave a sign of life for a second");
		return now + TRACK_RECHECK;
	}
	if (!w->cond->well && w->served && now - w->serving < PROVEN)
		return MIN(now + TRACK_RECHECK, w->serving + PROVEN);
	w->served = true;
	track_verdict(w->cond, true, true, "%s", "");
	return w->io.fd >= 0 ? w->alive + SILENCE : now + TRACK_RECHECK;
}

static uint64_t proxy_look(struct track_cond *c, uint64_t now)
{
	struct proxy_watch *w = c->own;
	const struct board_role *r = find_role(track_env_of(c)->board);
	bool serving = note_service(w, r, now);

	w->looked = now;
	return serving ? in_service(w, now) : not_in_service(w, r, now);
}

/* --- making --------------------------------------------------------------------------------- */

static int proxy_open(struct track_cond *c, const struct track_cond *prev)
{
	const struct proxy_watch *old = prev != NULL ? prev->own : NULL;
	struct proxy_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return ERR_NOMEM;
	w->served = c->known; /* before this process */
	if (old != NULL)
		*w = *old;
	w->cond = c;
	w->io = (struct loop_io){ .fd = -1, .fn = on_end };
	c->own = w;
	watch(w, w->pid); /* by a descriptor of our own */
	return OK;
}

static void proxy_close(struct track_cond *c)
{
	unwatch(c->own);
	free(c->own);
}

const struct track_kind track_proxy = {
	.open = proxy_open,
	.look = proxy_look,
	.close = proxy_close,
	.release = true,
};
