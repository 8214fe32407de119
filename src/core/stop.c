/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a node: proxies finish what is open while checks go on, then the other roles end, then
 * the parent. Main thread of the parent.
 */
#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "core/notify.h"
#include "core/parent.h"

#define STOP_QUEUED (100 * NS_PER_MS) /* proxies empty the queues of their sockets */
#define STOP_OTHERS (3 * NS_PER_S)

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

void stop_begin(struct parent *p, const char *why)
{
	struct child *c;

	if (p->stop.begun) {
		stop_at_once(p);
		return;
	}
	log_notice("node_stop", NULL, "%s: open requests may finish within %u s", why,
	           (unsigned)(p->cur->conf->shutdown_timeout / NS_PER_S));
	reload_stop(p);
	p->stop.begun = true;
	board_node(p->board)->draining = 1;
	notify_stopping("finishing open requests");
	exec_forget(p, NULL);
	for (unsigned i = 0; i < p->nservices; i++)
		loop_timer_stop(p->loop, &p->services[i].restart);
	TAILQ_FOREACH (c, &p->children, link) {
		if (service_is(c->service, "proxy"))
			child_drain(c, p->cur->conf->shutdown_timeout + NS_PER_S);
	}
	p->stop.sockets.fn = on_sockets;
	loop_timer_set(p->loop, &p->stop.sockets, STOP_QUEUED);
	stop_child_died(p);
}

void stop_at_once(struct parent *p)
{
	struct child *c;

	if (!p->stop.begun)
		stop_begin(p, "told to end at once");
	log_notice("node_stop", NULL, "told again: ending at once");
	p->stop.others = true;
	listen_sweep(&p->sockets, NULL);
	TAILQ_FOREACH (c, &p->children, link) {
		c->draining = true;
		child_kill(c, SIGKILL, "the node ends at once");
	}
	stop_child_died(p);
}

void stop_child_died(struct parent *p)
{
	struct child *c;

	if (!p->stop.begun)
		return;
	if (TAILQ_EMPTY(&p->children)) {
		listen_sweep(&p->sockets, NULL);
		p->loop->stop = true;
		return;
	}
	if (p->stop.others || have_proxies(p))
		return;
	p->stop.others = true;
	TAILQ_FOREACH (c, &p->children, link)
		child_drain(c, STOP_OTHERS);
}
