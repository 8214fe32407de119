/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drill's client: an open loop. Requests leave when they are due, whatever became of those
 * before, and latency counts from when they were due: a server that hangs cannot slow down the
 * questions and so hide itself. A process of its own, one thread.
 */
#include "drill/client.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "net/sock.h"

struct drill_client_options drill_client_defaults(void)
{
	return (struct drill_client_options){
		.host = "localhost",
		.path = "/",
		.every_ns = 5 * NS_PER_MS,
		.kept_every_ns = 20 * NS_PER_MS,
		.kept = 4,
		.limit_ns = 2 * NS_PER_S,
	};
}

enum drill_error drill_client_error(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return DRILL_REFUSED;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case EADDRNOTAVAIL:
	case EACCES: /* a local policy forbids it */
	case EPERM:
		return DRILL_UNREACHABLE;
	case ETIMEDOUT:
		return DRILL_TIMEOUT;
	default:
		return DRILL_RESET;
	}
}

int drill_client_greet(struct drill_client *c, struct stream *s)
{
	int err = OK;

	if (!c->tls)
		return OK;
	if (!s->layer)
		err = tls_connect(s, c->tls, c->server_name, NULL);
	return err == OK ? tls_handshake(s) : err;
}

static int make_tls(struct drill_client *c)
{
	const struct tls_client_options o = { .min_version = TLS1_2_VERSION };
	struct str name = http_host_name(str_from(c->o.host));
	char why[200];

	snprintf(c->server_name, sizeof(c->server_name), "%.*s", STR_ARG(name));
	c->tls = tls_client_new(&o, why, sizeof(why));
	if (c->tls)
		return OK;
	fprintf(stderr, "holdfast drill-client: %s\n", why);
	return ERR_SYSTEM;
}

/* --- records -------------------------------------------------------------------------------- */

static void flush(struct drill_client *c)
{
	const char *p = (const char *)c->records;
	size_t left = c->nrecords * sizeof(c->records[0]);

	while (left > 0) {
		ssize_t n = write(STDOUT_FILENO, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			exit(1); /* nobody listens any more */
		p += n;
		left -= (size_t)n;
	}
	c->nrecords = 0;
}

static struct drill_record *record(struct drill_client *c)
{
	struct drill_record *r;

	if (c->nrecords == CLIENT_RECORDS)
		flush(c);
	r = &c->records[c->nrecords++];
	*r = (struct drill_record){ 0 };
	return r;
}

void drill_client_record(struct drill_client *c, const struct drill_sample *s)
{
	record(c)->sample = *s;
}

uint16_t drill_client_name(struct drill_client *c, struct str name)
{
	char text[40];
	struct drill_record *r;
	unsigned i;

	snprintf(text, sizeof(text), "%.*s", STR_ARG(name));
	for (i = 1; i < c->nnames; i++) {
		if (strcmp(c->names[i], text) == 0)
			return (uint16_t)i;
	}
	if (i >= CLIENT_NAMES)
		return 0;
	c->nnames = i + 1;
	memcpy(c->names[i], text, sizeof(text));
	r = record(c);
	r->sample.kind = DRILL_NAME;
	r->sample.who = (uint16_t)i;
	memcpy(r->name, text, sizeof(text));
	return (uint16_t)i;
}

/* --- the schedule --------------------------------------------------------------------------- */

static bool is_busy(const struct drill_client *c)
{
	if (!TAILQ_EMPTY(&c->conns) || drill_streams_busy(c))
		return true;
	for (unsigned i = 0; i < c->o.kept; i++) {
		if (drill_client_busy(c->kept[i]))
			return true;
	}
	return false;
}

/* Everything that is due by now. */
static void send_due(struct drill_client *c, uint64_t now)
{
	for (; c->o.every_ns > 0 && c->next_new <= now; c->next_new += c->o.every_ns)
		drill_client_ask(c, NULL, c->next_new);
	for (unsigned i = 0; i < c->o.kept; i++) {
		for (; c->next_kept[i] <= now; c->next_kept[i] += c->o.kept_every_ns)
			drill_client_ask(c, c->kept[i], c->next_kept[i]);
	}
}

static void on_tick(struct loop_io *io, uint32_t events)
{
	struct drill_client *c = CONTAINER_OF(io, struct drill_client, tick);
	uint64_t count, now = clock_mono();

	(void)events;
	if (read(io->fd, &count, sizeof(count)) < 0)
		return;
	if (!c->stopping)
		send_due(c, now);
	drill_client_expire(c, now);
	drill_streams_tick(c, now);
	if (c->stopping && !is_busy(c))
		c->loop->stop = true;
	if (c->nrecords >= CLIENT_RECORDS / 4)
		flush(c);
}

/* The drill's end of our standard input tells us to go on, by being open. */
static void on_input(struct loop_io *io, uint32_t events)
{
	struct drill_client *c = CONTAINER_OF(io, struct drill_client, input);
	char junk[256];
	ssize_t n = read(io->fd, junk, sizeof(junk));

	(void)events;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	loop_remove(c->loop, io);
	io->fd = -1;
	c->stopping = true;
	drill_streams_stop(c);
}

/* --- start ---------------------------------------------------------------------------------- */

static int tick_start(struct drill_client *c)
{
	/* Twice as often as anything is due, at most each millisecond. */
	uint64_t step = MIN(c->o.every_ns > 0 ? c->o.every_ns : NS_PER_S, 5 * NS_PER_MS);
	struct itimerspec t = { 0 };

	step = MAX(step / 2, NS_PER_MS);
	t.it_value.tv_nsec = t.it_interval.tv_nsec = (long)step;
	c->tick.fn = on_tick;
	c->tick.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->tick.fd < 0 || timerfd_settime(c->tick.fd, 0, &t, NULL) != 0)
		return ERR_SYSTEM;
	return loop_add_level(c->loop, &c->tick, LOOP_IN, false);
}

static int kept_start(struct drill_client *c)
{
	c->kept = calloc(c->o.kept + 1, sizeof(c->kept[0]));
	c->next_kept = calloc(c->o.kept + 1, sizeof(c->next_kept[0]));
	if (!c->kept || !c->next_kept)
		return ERR_NOMEM;
	for (unsigned i = 0; i < c->o.kept; i++) {
		c->kept[i] = drill_client_conn_new(c, true);
		if (!c->kept[i])
			return ERR_NOMEM;
		/* Not all at once. */
		c->next_kept[i] = c->start + c->o.kept_every_ns * (i + 1) / (c->o.kept + 1);
	}
	return OK;
}

static void raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int start(struct drill_client *c)
{
	int err;

	raise_descriptors();
	TAILQ_INIT(&c->conns);
	c->nnames = 1;
	buf_printf(&c->request,
	           "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-drill\r\n"
	           "Accept: */*\r\n\r\n",
	           c->o.path, c->o.host);
	c->loop = loop_new();
	if (!c->loop || c->request.failed)
		return ERR_NOMEM;
	c->start = clock_mono();
	c->next_new = c->start;
	c->input = (struct loop_io){ .fd = STDIN_FILENO, .fn = on_input };
	err = c->o.tls ? make_tls(c) : OK;
	if (err == OK)
		err = kept_start(c);
	if (err == OK && c->o.download_ns > 0)
		err = drill_streams_start(c);
	if (err == OK)
		err = loop_add_level(c->loop, &c->input, LOOP_IN, false);
	return err == OK ? tick_start(c) : err;
}

int drill_client(const struct drill_client_options *o)
{
	static struct drill_client c; /* one a process: what it holds ends with that */
	int err;

	c.o = *o;
	err = start(&c);
	if (err == OK)
		err = loop_run(c.loop);
	if (err != OK) {
		fprintf(stderr, "holdfast drill-client: %s\n",
		        err == ERR_SYSTEM ? strerror(errno) : err_text(err));
		return 1;
	}
	drill_streams_end(&c);
	flush(&c);
	return 0;
}
