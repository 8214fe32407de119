/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of probes have in common: time limit, verdict, connecting and closing, and the
 * table of kinds. Main thread of the role check.
 */
#include "check/probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/sock.h"

/* By enum conf_probe. */
static const struct probe_ops *const probe_table[] = {
	[PROBE_NONE] = NULL,
	[PROBE_TCP] = &probe_tcp,
	[PROBE_HTTP] = &probe_http,
	[PROBE_EXEC] = &probe_exec,
};

void probe_env_init(struct probe_env *env, struct loop *loop, unsigned kept_max)
{
	*env = (struct probe_env){ .loop = loop, .kept_max = kept_max };
	TAILQ_INIT(&env->execs);
}

void probe_env_free(struct probe_env *env)
{
	probe_http_free_stores(env);
}

static void on_io(struct loop_io *io, uint32_t events)
{
	struct probe *p = CONTAINER_OF(io, struct probe, io);

	CHECK_MAGIC(p, PROBE_MAGIC);
	p->ops->io(p, events);
}

static void on_deadline(struct loop_timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, deadline);
	enum fail_why why;

	CHECK_MAGIC(p, PROBE_MAGIC);
	CHECK(p->running);
	why = p->ops->timed_out(p);
	p->ops->stop(p);
	probe_verdict(p, why == FAIL_LOCAL ? PROBE_UNDECIDED : PROBE_FAILED, why, NULL);
}

void probe_init(struct probe *p, struct probe_env *env,
                void (*done)(struct probe *p, const struct probe_result *result))
{
	*p = (struct probe){
		.magic = PROBE_MAGIC,
		.env = env,
		.done = done,
		.io = { .fd = -1, .fn = on_io },
		.deadline = { .fn = on_deadline },
	};
}

static void set_port(struct net_addr *a, uint32_t port)
{
	if (a->sa.sa_family == AF_INET) {
		a->in.sin_port = htons((uint16_t)port);
	} else if (a->sa.sa_family == AF_INET6) {
		a->in6.sin6_port = htons((uint16_t)port);
	}
}

static void set_host(struct probe *p)
{
	char text[NET_ADDR_TEXT];

	if (p->address.sa.sa_family == AF_UNIX) {
		(void)snprintf(p->host, sizeof(p->host), "localhost");
		return;
	}
	(void)snprintf(p->host, sizeof(p->host), "%.*s", (int)sizeof(p->host) - 1,
	               net_addr_format(&p->address, text));
}

void probe_ask(struct probe *p, const struct conf_check *check, const struct probe_text *text,
               const struct net_addr *address, const char *server)
{
	CHECK(check->probe < ARRAY_LEN(probe_table));
	p->check = check;
	p->text = text;
	p->address = *address;
	p->server = server;
	p->ops = probe_table[check->probe];
	if (check->port != 0) {
		set_port(&p->address, check->port);
	}
	set_host(p);
}

void probe_start(struct probe *p)
{
	CHECK(!p->running && p->ops != NULL);
	p->running = true;
	p->started = clock_mono();
	loop_timer_set(p->env->loop, &p->deadline, p->check->timeout + p->ops->grace);
	p->ops->start(p);
}

void probe_stop(struct probe *p)
{
	if (p->ops == NULL) {
		return;
	}
	loop_timer_stop(p->env->loop, &p->deadline);
	p->running = false;
	p->ops->stop(p);
	loop_remove(p->env->loop, &p->io); /* it may be freed: nothing may be left for it */
}

void probe_verdict(struct probe *p, enum probe_end end, enum fail_why why, const char *fmt, ...)
{
	struct probe_result result = { .end = end, .why = why, .ns = clock_mono() - p->started };
	char text[80];
	va_list ap;

	CHECK(p->running);
	p->running = false;
	loop_timer_stop(p->env->loop, &p->deadline);
	result.text = fail_text(why);
	if (fmt != NULL) {
		va_start(ap, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		result.text = text;
	}
	p->done(p, &result);
}

/* Descriptors, memory or local ports that ran out are no fault of the server. */
static bool is_local(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM ||
	       err == EADDRNOTAVAIL;
}

static void connect_failed(struct probe *p, int err)
{
	enum fail_why why = fail_errno(err);

	probe_close(p);
	if (is_local(err)) {
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, "%s: %s", fail_text(FAIL_LOCAL),
		              strerror(err));
		return;
	}
	probe_verdict(p, PROBE_FAILED, why, why == FAIL_CONNECT ? "%s: %s" : NULL, fail_text(why),
	              strerror(err));
}

bool probe_connect(struct probe *p)
{
	bool done = false;
	int fd = net_connect(&p->address, &done);

	p->reused = false;
	p->uses = 0;
	if (fd < 0) {
		connect_failed(p, errno);
		return false;
	}
	p->io.fd = fd;
	return true;
}

bool probe_connected_now(const struct probe *p)
{
	struct net_addr peer = { .len = sizeof(peer.un) };

	return getpeername(p->io.fd, &peer.sa, &peer.len) == 0;
}

bool probe_watch(struct probe *p)
{
	if (loop_add(p->env->loop, &p->io, LOOP_IN | LOOP_OUT | LOOP_RDHUP) != OK) {
		connect_failed(p, ENOMEM);
		return false;
	}
	return true;
}

/* Connecting to a free local port of the ephemeral range can end in a connection with oneself. */
static bool is_self(int fd, const struct net_addr *peer)
{
	struct net_addr local;

	if (peer->sa.sa_family == AF_UNIX) {
		return false;
	}
	net_local_addr(fd, &local);
	return net_addr_eq(&local, peer);
}

bool probe_connected(struct probe *p)
{
	int err = net_connect_error(p->io.fd);

	if (err == 0 && is_self(p->io.fd, &p->address)) {
		err = ECONNREFUSED;
	}
	if (err != 0) {
		connect_failed(p, err);
		return false;
	}
	return true;
}

void probe_close(struct probe *p)
{
	if (p->io.fd < 0) {
		return;
	}
	net_close_reset(p->io.fd); /* the only copy: this unregisters it as well */
	p->io.fd = -1;
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	if (a->n != b->n) {
		return false;
	}
	for (uint32_t i = 0; i < a->n; i++) {
		if (!str_eq(a->v[i], b->v[i])) {
			return false;
		}
	}
	return true;
}

static bool same_headers(const struct conf_check *a, const struct conf_check *b)
{
	if (a->nheaders != b->nheaders) {
		return false;
	}
	for (uint32_t i = 0; i < a->nheaders; i++) {
		if (!str_eq(a->headers[i].name, b->headers[i].name) ||
		    !str_eq(a->headers[i].value, b->headers[i].value)) {
			return false;
		}
	}
	return true;
}

bool probe_same(const struct conf_check *a, const struct conf_check *b)
{
	return a->probe == b->probe && a->port == b->port && str_eq(a->http, b->http) &&
	       str_eq(a->method, b->method) && str_eq(a->host, b->host) && same_headers(a, b) &&
	       memcmp(a->expect, b->expect, sizeof(a->expect)) == 0 && str_eq(a->match, b->match) &&
	       same_list(&a->exec, &b->exec) && str_eq(a->user, b->user);
}
