/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of probes: a server thread that follows a script, and a probe with its verdict. */
#ifndef TESTS_PROBE_FIXTURE_H
#define TESTS_PROBE_FIXTURE_H

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "check/probe.h"
#include "net/sock.h"

enum act { END, READ, HEAR, SEND, CLOSE, RESET, HANG, NEXT };

struct step {
	enum act act; /* READ: until an empty line; HEAR: anything, of len bytes at least; HANG:
	                 until the client closes; NEXT: accept */
	const char *text;
	size_t len; /* 0: of the text */
};

struct fixture {
	struct loop *loop;
	struct probe_env env;
	struct probe probe;
	struct conf_check check;
	struct probe_text text;
	struct arena arena;
	struct net_addr address;
	/* the server */
	int listen;
	pthread_t thread;
	bool serving;
	struct step *steps;
	unsigned connections;
	char requests[65536];
	_Atomic size_t nrequests;
	/* the verdict */
	unsigned verdicts;
	enum probe_end end;
	enum fail_why why;
	char said[128];
};

static inline void fixture_done(struct probe *p, const struct probe_result *r)
{
	struct fixture *f = p->env->arg;

	f->verdicts++;
	f->end = r->end;
	f->why = r->why;
	(void)snprintf(f->said, sizeof(f->said), "%s", r->text);
}

static inline int fixture_accept(struct fixture *f)
{
	int fd = accept4(f->listen, NULL, NULL, SOCK_CLOEXEC);
	struct timeval limit = { .tv_sec = 30 };

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		f->connections++;
	}
	return fd;
}

static inline void fixture_read(struct fixture *f, int fd)
{
	size_t from = f->nrequests;
	ssize_t n;

	while (f->nrequests < sizeof(f->requests) - 1) {
		n = recv(fd, f->requests + f->nrequests, sizeof(f->requests) - 1 - f->nrequests, 0);
		if (n <= 0) {
			return;
		}
		f->nrequests += (size_t)n;
		f->requests[f->nrequests] = '\0';
		if (strstr(f->requests + from, "\r\n\r\n") != NULL) {
			return;
		}
	}
}

static inline void fixture_hear(struct fixture *f, int fd, size_t least)
{
	size_t from = f->nrequests;
	ssize_t n;

	do {
		n = recv(fd, f->requests + f->nrequests, sizeof(f->requests) - 1 - f->nrequests, 0);
		f->nrequests += n > 0 ? (size_t)n : 0;
	} while (n > 0 && f->nrequests - from < least);
}

/* An orderly end: what is on its way is taken first, or the close would be a reset. */
static inline void fixture_close(int fd)
{
	const struct timeval patience = { .tv_sec = 1 };
	char c[4096];

	shutdown(fd, SHUT_WR);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (recv(fd, c, sizeof(c), 0) > 0) {
	}
	close(fd);
}

static inline void *fixture_serve(void *arg)
{
	struct fixture *f = arg;
	int fd = fixture_accept(f);
	char c[4096];

	for (const struct step *s = f->steps; fd >= 0 && s->act != END; s++) {
		switch (s->act) {
		case READ:
			fixture_read(f, fd);
			break;
		case HEAR:
			fixture_hear(f, fd, s->len);
			break;
		case SEND:
			(void)send(fd, s->text, s->len != 0 ? s->len : strlen(s->text),
			           MSG_NOSIGNAL);
			usleep(2000); /* so that pieces arrive as pieces, mostly */
			break;
		case CLOSE:
			fixture_close(fd);
			fd = -1;
			break;
		case RESET:
			net_close_reset(fd);
			fd = -1;
			break;
		case HANG:
			while (recv(fd, c, sizeof(c), 0) > 0) {
			}
			break;
		default:
			break;
		}
		if (s[1].act == NEXT) {
			if (fd >= 0) {
				close(fd);
			}
			fd = fixture_accept(f);
		} else if (fd < 0) {
			break;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	return NULL;
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = loop_new();
	assert_non_null(f->loop);
	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &f->address, NULL), OK);
	f->address.in.sin_port = 0;
	f->listen = net_listen(&f->address, 64, 0);
	assert_true(f->listen >= 0);
	net_local_addr(f->listen, &f->address);
	assert_int_equal(fcntl(f->listen, F_SETFL, 0), 0);
	f->check = (struct conf_check){
		.probe = PROBE_HTTP,
		.http = STR("/health"),
		.method = STR("GET"),
		.timeout = 30 * NS_PER_S,
		.rise = 2,
		.fall = 3,
	};
	for (unsigned status = 200; status < 400; status++) {
		f->check.expect[(status - 100) / 64] |= 1ULL << (status - 100) % 64;
	}
	probe_env_init(&f->env, f->loop, 100);
	f->env.arg = f;
	probe_init(&f->probe, &f->env, fixture_done);
	*state = f;
	return 0;
}

static inline void fixture_ready(struct fixture *f)
{
	assert_int_equal(probe_http_text(&f->check, &f->arena, &f->text), OK);
	probe_ask(&f->probe, &f->check, &f->text, &f->address, "web/a");
}

/* Starts the server. */
static inline void serve(struct fixture *f, const struct step *steps)
{
	size_t n = 1;

	while (steps[n - 1].act != END) {
		n++;
	}
	/* The server may be at its last step when the test's function has returned. */
	free(f->steps);
	f->steps = malloc(n * sizeof(*steps));
	assert_non_null(f->steps);
	memcpy(f->steps, steps, n * sizeof(*steps));
	f->serving = true;
	assert_int_equal(pthread_create(&f->thread, NULL, fixture_serve, f), 0);
	fixture_ready(f);
}

static inline void fixture_wait(struct fixture *f, unsigned verdicts)
{
	uint64_t end = clock_mono() + 60 * NS_PER_S;

	while (f->verdicts < verdicts && clock_mono() < end) {
		assert_int_equal(loop_turn(f->loop, 100 * NS_PER_MS), OK);
	}
	assert_int_equal(f->verdicts, verdicts);
}

/* Runs the loop until a condition holds. */
#define turn_until(f, cond) \
	do { \
		uint64_t turn_end = clock_mono() + 60 * NS_PER_S; \
		while (!(cond) && clock_mono() < turn_end) \
			assert_int_equal(loop_turn((f)->loop, 20 * NS_PER_MS), OK); \
		assert_true(cond); \
	} while (0)

/* One question; its verdict is in f. */
static inline void ask(struct fixture *f)
{
	unsigned before = f->verdicts;

	probe_start(&f->probe);
	fixture_wait(f, before + 1);
}

#define expect_ok(f) \
	do { \
		ask(f); \
		assert_int_equal((f)->end, PROBE_OK); \
	} while (0)

#define expect_failure(f, reason, words) \
	do { \
		ask(f); \
		assert_int_equal((f)->end, PROBE_FAILED); \
		assert_int_equal((f)->why, reason); \
		assert_string_equal((f)->said, words); \
	} while (0)

static inline void fixture_join(struct fixture *f)
{
	if (f->serving) {
		pthread_join(f->thread, NULL);
		f->serving = false;
	}
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	probe_stop(&f->probe);
	shutdown(f->listen, SHUT_RDWR);
	fixture_join(f);
	free(f->steps);
	close(f->listen);
	assert_int_equal(f->env.kept, 0);
	probe_env_free(&f->env);
	arena_free(&f->arena);
	loop_free(f->loop);
	free(f);
	return 0;
}

#define probe_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
