/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ping probe: an ICMP echo and its answer. Who waits for which is found by a random number that
 * travels in the payload, so that neither somebody else's answers on a raw socket nor forged ones
 * count. Main thread of the role check.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "check/ping.h"
#include "net/ping.h"

#define BUCKETS 1024

struct payload {
	char name[8];
	uint32_t number;
	uint32_t secret; /* of this process */
};

static const char name[8] = "holdfast";

TAILQ_HEAD(waiting, probe);

struct ping {
	struct probe_env *env;
	struct loop_io inet, inet6;
	uint32_t secret;
	struct waiting waiting[BUCKETS]; /* by number */
};

enum { PING_IDLE, PING_ASKED };

static struct waiting *bucket(struct ping *g, uint32_t number)
{
	return &g->waiting[number % BUCKETS];
}

static void ping_stop(struct probe *p)
{
	if (p->phase == PING_ASKED) {
		TAILQ_REMOVE(bucket(p->env->ping, p->number), p, waits);
		p->phase = PING_IDLE;
	}
}

static void local(struct probe *p, const char *what, int err)
{
	probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, "%s%s%s", what, err != 0 ? ": " : "",
	              err != 0 ? strerror(err) : "");
}

static void ping_start(struct probe *p)
{
	struct ping *g = p->env->ping;
	bool four = p->address.sa.sa_family == AF_INET;
	int fd = g == NULL ? -1 : four ? g->inet.fd : g->inet6.fd;
	struct payload payload;
	int err;

	if (fd < 0) {
		local(p, "no socket for ICMP: the node needs CAP_NET_RAW or ping_group_range", 0);
		return;
	}
	if (RAND_bytes((uint8_t *)&p->number, sizeof(p->number)) != 1) {
		local(p, "no random number", 0);
		return;
	}
	memcpy(payload.name, name, sizeof(name));
	payload.number = p->number;
	payload.secret = g->secret;
	err = net_ping_send(fd, &p->address, (uint16_t)g->secret, (uint16_t)p->number, &payload,
	                    sizeof(payload));
	if (err == OK) {
		p->phase = PING_ASKED;
		TAILQ_INSERT_TAIL(bucket(g, p->number), p, waits);
	} else if (err == ERR_AGAIN || fail_errno(errno) == FAIL_LOCAL) {
		local(p, "echo not sent", errno);
	} else {
		probe_verdict(p, PROBE_FAILED, fail_errno(errno), "echo not sent: %s",
		              strerror(errno));
	}
}

static void on_answer(struct ping *g, const struct net_addr *from, uint16_t sequence,
                      const struct payload *said)
{
	struct probe *p;

	if (memcmp(said->name, name, sizeof(name)) != 0 || said->secret != g->secret ||
	    (uint16_t)said->number != sequence) {
		return;
	}
	TAILQ_FOREACH (p, bucket(g, said->number), waits) {
		if (p->number == said->number && net_addr_same_ip(&p->address, from)) {
			ping_stop(p);
			probe_verdict(p, PROBE_OK, FAIL_NONE, NULL);
			return;
		}
	}
}

static void receive(struct ping *g, int fd)
{
	uint8_t bytes[NET_PING_PAYLOAD];
	struct payload said;
	struct net_addr from;
	uint16_t sequence;

	for (;;) {
		ssize_t n = net_ping_recv(fd, &from, &sequence, bytes);

		if (n == ERR_AGAIN) {
			return;
		}
		/* An error of an earlier question is taken off by having been reported. */
		if (n == (ssize_t)sizeof(said)) {
			memcpy(&said, bytes, sizeof(said));
			on_answer(g, &from, sequence, &said);
		}
	}
}

static void on_inet(struct loop_io *io, uint32_t events)
{
	(void)events;
	receive(CONTAINER_OF(io, struct ping, inet), io->fd);
}

static void on_inet6(struct loop_io *io, uint32_t events)
{
	(void)events;
	receive(CONTAINER_OF(io, struct ping, inet6), io->fd);
}

static int use(struct ping *g, struct loop_io *io, int fd)
{
	if (io->fd >= 0 || fd < 0) {
		return OK;
	}
	io->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (io->fd < 0) {
		return ERR_SYSTEM;
	}
	if (loop_add(g->env->loop, io, LOOP_IN) == OK) {
		return OK;
	}
	close(io->fd);
	io->fd = -1;
	return ERR_SYSTEM;
}

int ping_use(struct probe_env *env, int inet, int inet6)
{
	struct ping *g = env->ping;
	int err;

	if (inet < 0 && inet6 < 0) {
		return OK;
	}
	if (g == NULL) {
		g = calloc(1, sizeof(*g));
		if (g == NULL) {
			return ERR_NOMEM;
		}
		g->env = env;
		g->inet = (struct loop_io){ -1, on_inet };
		g->inet6 = (struct loop_io){ -1, on_inet6 };
		for (unsigned i = 0; i < BUCKETS; i++) {
			TAILQ_INIT(&g->waiting[i]);
		}
		if (RAND_bytes((uint8_t *)&g->secret, sizeof(g->secret)) != 1) {
			free(g);
			return ERR_SYSTEM;
		}
		env->ping = g;
	}
	err = use(g, &g->inet, inet);
	return err != OK ? err : use(g, &g->inet6, inet6);
}

void ping_free(struct probe_env *env)
{
	struct ping *g = env->ping;

	if (g == NULL) {
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct loop_io *io = i == 0 ? &g->inet : &g->inet6;

		if (io->fd >= 0) {
			int fd = io->fd;

			loop_remove(env->loop, io);
			close(fd);
		}
	}
	free(g);
	env->ping = NULL;
}

static void ping_io(struct probe *p, uint32_t events)
{
	(void)p;
	(void)events;
}

static enum fail_why ping_timed_out(const struct probe *p)
{
	(void)p;
	return FAIL_TIMEOUT;
}

const struct probe_ops probe_ping = {
	.name = "ping",
	.start = ping_start,
	.io = ping_io,
	.stop = ping_stop,
	.timed_out = ping_timed_out,
};
