/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes that talk: a connection for each question, over TLS where asked for; what comes in is
 * offered to the kind until it is taken. An answer that comes whole is judged where it was
 * received; only what comes in pieces takes a buffer. Main thread of the role check.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "check/probe.h"

#define LEAVE_TIME NS_PER_S /* for the other side to close */

/* One thread, one answer at a time. */
static char received[PROBE_STORE];

void probe_talk_start(struct probe *p)
{
	probe_talk_stop(p); /* the last one's farewell may still be under way */
	p->phase = 0;
	p->scanned = 0;
	p->drained = 0;
	if (probe_connect(p)) {
		(void)probe_watch(p);
	}
}

void probe_talk_stop(struct probe *p)
{
	p->leaving = false;
	probe_close(p);
	probe_store_put(p);
}

void probe_say(struct probe *p, const void *data, size_t len)
{
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };

	if (stream_send(&p->s, &iov, 1) != OK) {
		p->s.readable = true; /* reading tells why */
	}
}

void probe_bye(struct probe *p, const void *data, size_t len)
{
	if (len > 0) {
		probe_say(p, data, len);
	} else {
		stream_shutdown(&p->s);
	}
	p->leaving = true;
}

static void end(struct probe *p)
{
	if (p->leaving) {
		probe_store_put(p);
	} else {
		p->ops->stop(p);
	}
}

/* A connection that is left to the other side has its time, too. */
static void after(struct probe *p)
{
	if (!p->running && p->leaving) {
		loop_timer_set(p->env->loop, &p->deadline, LEAVE_TIME);
	}
}

void probe_well(struct probe *p)
{
	end(p);
	probe_verdict(p, PROBE_OK, FAIL_NONE, NULL);
	after(p);
}

void probe_ill(struct probe *p, enum fail_why why, const char *fmt, ...)
{
	char text[80];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	end(p);
	probe_verdict(p, PROBE_FAILED, why, "%s", text);
	after(p);
}

static void broken(struct probe *p, enum fail_why why)
{
	if (!p->running) {
		loop_timer_stop(p->env->loop, &p->deadline);
		p->ops->stop(p);
		return;
	}
	probe_ill(p, why, "%s", fail_text(why));
}

static void on_eof(struct probe *p)
{
	if (p->running && p->ops->ended != NULL) {
		p->ops->ended(p);
		return;
	}
	broken(p, p->store != NULL ? FAIL_CUT : FAIL_CLOSED);
}

/* Offers what there is; what is left of it. */
static struct str offer(struct probe *p, struct str got)
{
	while (p->running && got.len > 0) {
		size_t n = p->ops->take(p, got);

		if (n == 0) {
			break;
		}
		got = str_n(got.s + n, got.len - n);
	}
	return got;
}

void probe_no_memory(struct probe *p)
{
	p->ops->stop(p);
	probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, NULL);
}

static void on_data(struct probe *p, struct str data)
{
	struct probe_store *store = p->store;
	struct str left;

	if (store == NULL) {
		left = offer(p, data);
		if (!p->running || left.len == 0) {
			return;
		}
		store = probe_store_get(p);
		if (store == NULL) {
			probe_no_memory(p);
			return;
		}
		memcpy(store->data, left.s, left.len); /* at most what was received at once */
		store->len = left.len;
		data = STR_NONE;
	}
	while (p->running) {
		size_t n = MIN(data.len, sizeof(store->data) - store->len);

		if (store->len == sizeof(store->data)) {
			probe_ill(p, FAIL_BAD_RESPONSE, "answer too large");
			return;
		}
		if (n == 0) {
			return;
		}
		memcpy(store->data + store->len, data.s, n);
		store->len += n;
		data = str_n(data.s + n, data.len - n);
		left = offer(p, str_n(store->data, store->len));
		if (!p->running) {
			return;
		}
		memmove(store->data, left.s, left.len);
		store->len = left.len;
		if (left.len == 0) {
			probe_store_put(p);
			if (data.len > 0) {
				on_data(p, data);
			}
			return;
		}
	}
}

static void receive(struct probe *p)
{
	while (p->s.io.fd >= 0 && p->link == LINK_OPEN && p->s.readable) {
		ssize_t n = stream_recv(&p->s, received, sizeof(received));

		if (n > 0 && p->running) {
			on_data(p, str_n(received, (size_t)n));
		} else if (n > 0) {
			p->drained += (uint64_t)n;
			if (p->drained > PROBE_STORE) {
				broken(p, FAIL_NONE);
			}
		} else if (n == ERR_AGAIN) {
			return;
		} else if (n == ERR_CLOSED) {
			on_eof(p);
		} else {
			broken(p, fail_errno(errno));
		}
	}
}

void probe_talk_io(struct probe *p, uint32_t events)
{
	bool opened = false;

	if (!probe_open(p, events, &opened)) {
		return;
	}
	if (!flow_empty(&p->s.out) && stream_flush(&p->s) != OK) {
		p->s.readable = true;
	}
	if (opened) {
		p->ops->opened(p);
	}
	receive(p);
}
