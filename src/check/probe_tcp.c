/* SPDX-License-Identifier: Apache-2.0 */
/* The tcp probe: a connection that can be made. It is closed by reset at once. */
#include "check/probe.h"

static void verdict(struct probe *p)
{
	if (!probe_connected(p)) {
		return;
	}
	probe_close(p);
	probe_verdict(p, PROBE_OK, FAIL_NONE, NULL);
}

static void tcp_start(struct probe *p)
{
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
	(void)events;
	verdict(p);
}

static void tcp_stop(struct probe *p)
{
	probe_close(p);
}

static enum fail_why tcp_timed_out(struct probe *p)
{
	(void)p;
	return FAIL_CONNECT_TIMEOUT;
}

const struct probe_ops probe_tcp = {
	.name = "tcp",
	.start = tcp_start,
	.io = tcp_io,
	.stop = tcp_stop,
	.timed_out = tcp_timed_out,
};
