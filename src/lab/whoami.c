/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whoami as a whole: one listening socket, threads with a loop each that all accept from it, and
 * the main thread, which waits for the signal to end.
 */
#include "lab/whoami.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/whoami_impl.h"
#include "net/sock.h"

#define BACKLOG 4096

struct lab_whoami_options lab_whoami_defaults(void)
{
	return (struct lab_whoami_options){
		.error_status = 500,
		.idle_ns = 60 * NS_PER_S,
		.threads = 1,
	};
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "whoami: %s: %s\n", what, why);
	return 1;
}

static void accept_again(struct loop_timer *timer)
{
	struct whoami_thread *t = CONTAINER_OF(timer, struct whoami_thread, accept_again);

	if (loop_add_level(t->loop, &t->accept, LOOP_IN, true) != OK)
		loop_timer_set(t->loop, timer, NS_PER_S);
}

static void *thread_main(void *arg)
{
	struct whoami_thread *t = arg;

	loop_run(t->loop);
	return NULL;
}

static int start_thread(struct whoami *w)
{
	struct whoami_thread *t = calloc(1, sizeof(*t));
	pthread_t id;
	int err;

	if (!t)
		return fail("thread", "out of memory");
	t->w = w;
	t->accept = (struct loop_io){ .fd = w->listen, .fn = whoami_accept };
	t->accept_again.fn = accept_again;
	t->loop = loop_new();
	if (!t->loop || loop_add_level(t->loop, &t->accept, LOOP_IN, true) != OK) {
		err = errno;
		loop_free(t->loop);
		free(t);
		return fail("event loop", strerror(err));
	}
	err = pthread_create(&id, NULL, thread_main, t);
	if (err != 0) {
		loop_free(t->loop);
		free(t);
		return fail("thread", strerror(err));
	}
	pthread_detach(id);
	return 0;
}

/* Numbered lines of 64 bytes. */
void lab_whoami_text(char *out, size_t size)
{
	for (size_t i = 0; i < size; i += 64) {
		char line[65];

		snprintf(line, sizeof(line),
		         "%08zx holdfast whoami: bytes to be counted, always the same.\n",
		         i % LAB_WHOAMI_TEXT);
		memcpy(out + i, line, MIN(size - i, 64));
	}
}

static char *make_block(void)
{
	char *block = malloc(WHOAMI_MAX_SIZE);

	if (block)
		lab_whoami_text(block, WHOAMI_MAX_SIZE);
	return block;
}

static int listen_on(struct whoami *w, const char *bind)
{
	struct net_addr a;
	const char *why = NULL;
	char text[NET_ADDR_TEXT];
	int err = net_addr_parse(str_from(bind), &a, &why);

	if (err == ERR_NOT_FOUND)
		err = net_resolve(str_from(bind), &a, &why);
	if (err != OK)
		return fail(bind, why ? why : err_text(err));
	w->listen = net_listen(&a, BACKLOG, 0);
	if (w->listen < 0)
		return fail(bind, strerror(errno));
	if (a.sa.sa_family != AF_UNIX)
		net_local_addr(w->listen, &a);
	net_addr_format(&a, text);
	snprintf(w->name, sizeof(w->name), "%s", w->options.name ? w->options.name : text);
	printf("whoami %s listens on %s\n", w->name, text);
	fflush(stdout);
	return 0;
}

static void raise_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void apply(struct whoami *w, const struct lab_whoami_options *o)
{
	w->options = *o;
	w->settings.latency_ns = o->latency_ns;
	w->settings.jitter = o->jitter;
	w->settings.error_percent = o->error_percent;
	w->settings.error_status = o->error_status;
	w->settings.hang_percent = o->hang_percent;
	w->settings.size = (unsigned)MIN(o->size, WHOAMI_MAX_SIZE);
	w->settings.close = o->close;
	w->settings.health_status = 200;
}

int lab_whoami(const struct lab_whoami_options *o)
{
	static struct whoami server; /* one a process: what it holds ends with that */
	struct whoami *w = &server;
	sigset_t signals;
	int sig;

	w->block = make_block();
	if (!w->block)
		return fail("start", "out of memory");
	apply(w, o);
	if (!whoami_counts_init(&w->counts, o->record))
		return fail(o->record ? o->record : "counts", strerror(errno));
	raise_descriptors();
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL); /* the threads inherit it */
	if (listen_on(w, o->bind) != 0)
		return 1;
	for (unsigned i = 0; i < o->threads; i++) {
		if (start_thread(w) != 0)
			return 1;
	}
	while (sigwait(&signals, &sig) != 0) {
	}
	printf("whoami %s ends: %lu requests answered or begun\n", w->name, w->counts.requests);
	fflush(stdout);
	return 0; /* the threads and what they hold end with the process */
}
