/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of probes have in common: time limit and verdict, and the table of kinds. Main
 * thread of the role check.
 */
#include "check/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "check/ping.h"

/* By enum conf_probe. */
static const struct probe_ops *const probe_table[] = {
	[PROBE_NONE] = NULL,          [PROBE_TCP] = &probe_tcp,
	[PROBE_HTTP] = &probe_http,   [PROBE_EXEC] = &probe_exec,
	[PROBE_TLS] = &probe_tls,     [PROBE_GRPC] = &probe_grpc,
	[PROBE_REDIS] = &probe_redis, [PROBE_POSTGRES] = &probe_postgres,
	[PROBE_MYSQL] = &probe_mysql, [PROBE_SMTP] = &probe_smtp,
	[PROBE_DNS] = &probe_dns,     [PROBE_PING] = &probe_ping,
};

void probe_env_init(struct probe_env *env, struct loop *loop, unsigned kept_max)
{
	*env = (struct probe_env){ .loop = loop, .kept_max = kept_max };
	TAILQ_INIT(&env->execs);
}

void probe_env_free(struct probe_env *env)
{
	ping_free(env);
	while (env->stores != NULL) {
		struct probe_store *next = env->stores->next;

		free(env->stores);
		env->stores = next;
	}
}

static void on_io(struct loop_io *io, uint32_t events)
{
	struct probe *p = CONTAINER_OF(io, struct probe, s.io);

	CHECK_MAGIC(p, PROBE_MAGIC);
	p->ops->io(p, events);
}

static void on_deadline(struct loop_timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, deadline);
	enum fail_why why;

	CHECK_MAGIC(p, PROBE_MAGIC);
	if (!p->running) { /* the other side was to close */
		p->ops->stop(p);
		return;
	}
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
		.s = { .io = { .fd = -1, .fn = on_io } },
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
	const struct probe_ops *ops;

	CHECK(check->probe < ARRAY_LEN(probe_table));
	ops = check->probe == PROBE_HTTP && text->http2 ? &probe_http2 : probe_table[check->probe];
	p->check = check;
	p->text = text;
	p->address = *address;
	p->server = server;
	if (p->ops != ops) {
		p->phase = 0;
	}
	p->ops = ops;
	if (check->port != 0) {
		set_port(&p->address, check->port);
	}
	set_host(p);
}

void probe_ask_tls(struct probe *p, bool wanted, struct tls_client *tls, struct str name)
{
	if (p->tls != tls) {
		tls_session_free(&p->session);
	}
	p->tls_wanted = wanted;
	p->tls = tls;
	p->tls_name = name;
}

void probe_ask_proxy(struct probe *p, uint32_t send_proxy)
{
	p->send_proxy = (uint8_t)send_proxy;
}

void probe_start(struct probe *p)
{
	CHECK(!p->running && p->ops != NULL);
	p->running = true;
	p->started = clock_mono();
	loop_timer_set(p->env->loop, &p->deadline, p->check->timeout + p->ops->grace);
	if (p->tls_wanted && p->tls == NULL) {
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL,
		              "not run: the files of its TLS could not be used");
		return;
	}
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
	tls_session_free(&p->session);
	loop_remove(p->env->loop, &p->s.io); /* it may be freed: nothing may be left for it */
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
	       same_list(&a->exec, &b->exec) && str_eq(a->user, b->user) &&
	       str_eq(a->send, b->send) && str_eq(a->grpc, b->grpc) && a->role == b->role &&
	       str_eq(a->login, b->login) && str_eq(a->database, b->database) &&
	       str_eq(a->password, b->password) && str_eq(a->dns, b->dns) &&
	       str_eq(a->dns_type, b->dns_type) && a->expiry == b->expiry &&
	       a->over_tls == b->over_tls && a->send_proxy == b->send_proxy &&
	       a->protocol == b->protocol;
}
