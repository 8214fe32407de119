/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a node, in this order: virtual IPs are given up, so that another node answers before
 * this one stops to; proxies finish what is open while checks go on and vrrp keeps the addresses
 * for these connections; then the other roles end, then the parent. Main thread of the parent.
 */
#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "core/notify.h"
#include "core/parent.h"

#define STOP_YIELD  (2 * NS_PER_S)
#define STOP_QUEUED (100 * NS_PER_MS) /* proxies empty the queues of their sockets */
#define STOP_OTHERS (3 * NS_PER_S)
#define STOP_HOOKS  (10 * NS_PER_S) /* all hooks together, once every role has ended */

static bool have_proxies(struct parent *p)
{
	struct child *c;

	TAILQ_FOREACH (c, &p->children, link) {
		if (service_is(c->service, "proxy"))
			return true;
	}
	return false;
}

static void on_sockets(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, stop.sockets);

	listen_close(&p->sockets, p->cur->conf);
}

static void drain_proxies(struct parent *p)
{
	struct child *c;

	p->stop.yielding = false;
	loop_timer_stop(p->loop, &p->stop.yield);
	notify_stopping("finishing open requests");
	exec_forget(p, NULL);
	TAILQ_FOREACH (c, &p->children, link) {
		if (service_is(c->service, "proxy"))
			child_drain(c, p->cur->conf->shutdown_timeout + NS_PER_S);
	}
	p->stop.sockets.fn = on_sockets;
	loop_timer_set(p->loop, &p->stop.sockets, STOP_QUEUED);
	stop_child_died(p);
}

static void on_yield_timer(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, stop.yield);

	log_warning("node_stop", NULL, "the virtual IPs were not given up within %u s: going on",
	            (unsigned)(STOP_YIELD / NS_PER_S));
	drain_proxies(p);
}

void stop_yielded(struct child *c)
{
	struct parent *p = c->parent;

	c->yielding = false;
	if (p->stop.yielding && !vips_yielding(p))
		log_notice("node_stop", NULL, "no virtual IP is held any more");
	stop_child_died(p);
}

void stop_begin(struct parent *p, const char *why)
{
	if (p->stop.begun) {
		stop_at_once(p);
		return;
	}
	log_notice("node_stop", NULL, "%s: open requests may finish within %u s", why,
	           (unsigned)(p->cur->conf->shutdown_timeout / NS_PER_S));
	reload_stop(p);
	certs_end(p);
	p->stop.begun = true;
	board_node(p->board)->draining = 1;
	for (unsigned i = 0; i < p->nservices; i++)
		loop_timer_stop(p->loop, &p->services[i].restart);
	if (!vips_yield(p)) {
		drain_proxies(p);
		return;
	}
	notify_stopping("giving up virtual IPs");
	p->stop.yielding = true;
	p->stop.yield.fn = on_yield_timer;
	loop_timer_set(p->loop, &p->stop.yield, STOP_YIELD);
}

void stop_at_once(struct parent *p)
{
	struct child *c;

	if (!p->stop.begun)
		stop_begin(p, "told to end at once");
	log_notice("node_stop", NULL, "told again: ending at once");
	p->stop.others = true;
	p->stop.yielding = false;
	loop_timer_stop(p->loop, &p->stop.yield);
	listen_sweep(&p->sockets, NULL);
	hook_end_all(p);
	TAILQ_FOREACH (c, &p->children, link) {
		c->draining = true;
		child_kill(c, SIGKILL, "the node ends at once");
	}
	stop_child_died(p);
}

static void on_hooks_timer(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, stop.hooks);

	hook_end_all(p);
	stop_child_died(p);
}

/* The last words of virtual IPs are worth a little time. */
static void wait_for_hooks(struct parent *p)
{
	if (p->stop.hooks.due != 0)
		return;
	p->stop.hooks.fn = on_hooks_timer;
	loop_timer_set(p->loop, &p->stop.hooks, STOP_HOOKS);
}

void stop_child_died(struct parent *p)
{
	struct child *c;

	if (!p->stop.begun)
		return;
	if (TAILQ_EMPTY(&p->children)) {
		if (hook_busy(p)) {
			wait_for_hooks(p);
			return;
		}
		listen_sweep(&p->sockets, NULL);
		p->loop->stop = true;
		return;
	}
	if (p->stop.yielding && !vips_yielding(p)) {
		drain_proxies(p); /* comes back here */
		return;
	}
	if (p->stop.yielding || p->stop.others || have_proxies(p))
		return;
	p->stop.others = true;
	TAILQ_FOREACH (c, &p->children, link)
		child_drain(c, STOP_OTHERS);
}
