/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tcp probe: a connection that can be made, closed by reset at once; where the check says so,
 * bytes are sent, and text is expected in the first 64 KiB that come. Main thread of the role
 * check.
 */
#include "check/probe.h"

/* Nothing but a connection is asked for. */
static bool is_plain(const struct probe *p)
{
	return p->tls == NULL && p->send_proxy == SEND_PROXY_OFF && p->check->send.len == 0 &&
	       p->check->match.len == 0;
}

static void verdict(struct probe *p)
{
	if (probe_connected(p)) {
		probe_well(p);
	}
}

static void tcp_start(struct probe *p)
{
	if (!is_plain(p)) {
		probe_talk_start(p);
		return;
	}
	if (!probe_connect(p)) {
		return;
	}
	if (probe_connected_now(p)) {
		verdict(p);
		return;
	}
	(void)probe_watch(p);
}

static void tcp_io(struct probe *p, uint32_t events)
{
	if (is_plain(p)) {
		verdict(p);
	} else {
		probe_talk_io(p, events);
	}
}

static void tcp_opened(struct probe *p)
{
	if (p->check->send.len > 0) {
		probe_say(p, p->check->send.s, p->check->send.len);
	} else if (p->check->match.len == 0) {
		if (p->send_proxy != SEND_PROXY_OFF) {
			probe_bye(p, NULL, 0); /* a reset could overtake the header */
		}
		probe_well(p);
	}
}

static size_t tcp_take(struct probe *p, struct str got)
{
	struct str match = p->check->match;
	size_t from = p->scanned >= match.len ? p->scanned - match.len + 1 : 0;

	if (match.len == 0 || memmem(got.s + from, got.len - from, match.s, match.len) != NULL) {
		probe_well(p);
	} else if (got.len == PROBE_STORE) {
		probe_ill(p, FAIL_MATCH, "no match in the first 64 KiB");
	}
	p->scanned = got.len;
	return 0;
}

static void tcp_ended(struct probe *p)
{
	if (p->store != NULL && p->store->len > 0) {
		probe_ill(p, FAIL_MATCH, "answer does not match");
	} else {
		probe_ill(p, FAIL_CLOSED, "%s", fail_text(FAIL_CLOSED));
	}
}

const struct probe_ops probe_tcp = {
	.name = "tcp",
	.start = tcp_start,
	.io = tcp_io,
	.opened = tcp_opened,
	.take = tcp_take,
	.ended = tcp_ended,
	.stop = probe_talk_stop,
	.timed_out = probe_link_timed_out,
};
