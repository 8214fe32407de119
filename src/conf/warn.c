/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings: what the file may say and what then keeps the service from being highly available. Each
 * names the consequence. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "conf/load.h"

/* Where a key of a node stands, else the node itself. */
static struct place at(const struct node *n, const char *key)
{
	const struct node *child = node_get(n, key);

	return child ? child->key_at : n->key_at;
}

void verify_check_warnings(struct load *l, const struct conf_check *c, const struct node *check)
{
	if (c->timeout >= c->interval) {
		problem_warning(
		    l->problems, at(check, node_get(check, "timeout") ? "timeout" : "interval"),
		    "the check's timeout is not below its interval: a hanging server is "
		    "probed less often than asked for");
	}
	if (c->fall == 1) {
		problem_warning(l->problems, at(check, "fall"),
		                "fall 1: a single lost probe takes a server out");
	}
	if (c->fall > 1 && c->interval * c->fall > 60 * NS_PER_S) {
		problem_warning(
		    l->problems, at(check, "interval"),
		    "a dead server is found out after more than a minute (interval times "
		    "fall)");
	}
}

static void warn_check(struct load *l, const struct conf_pool *p, const struct node *n)
{
	const struct node *check = node_get(n, "check");

	if (p->check.probe == PROBE_NONE) {
		problem_warning(l->problems, n->key_at,
		                "pool \"%.*s\" has no check: a dead server is noticed by failed "
		                "requests only",
		                STR_ARG(p->name));
	} else if (check) {
		verify_check_warnings(l, &p->check, check);
	}
}

static void warn_servers(struct load *l, const struct conf_pool *p, const struct node *n)
{
	uint32_t primaries = 0, weight = 0;

	for (uint32_t i = 0; i < p->nservers; i++) {
		primaries += !p->servers[i].backup;
		weight += p->servers[i].weight;
	}
	if (p->nservers == 1) {
		problem_warning(l->problems, at(n, "servers"),
		                "pool \"%.*s\" has one server: when it fails, so does all that is "
		                "routed to it",
		                STR_ARG(p->name));
	}
	if (weight == 0) {
		problem_warning(l->problems, at(n, "servers"),
		                "all servers of pool \"%.*s\" have weight 0: none takes requests",
		                STR_ARG(p->name));
	} else if (primaries == 0) {
		problem_warning(
		    l->problems, at(n, "servers"),
		    "pool \"%.*s\" has backup servers only: there is nothing they could "
		    "stand in for",
		    STR_ARG(p->name));
	}
	for (uint32_t i = 1; i < p->nservers && p->nservers <= 256; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (net_addr_eq(&p->servers[i].address, &p->servers[k].address)) {
				problem_warning(
				    l->problems, at(n, "servers"),
				    "servers \"%.*s\" and \"%.*s\" have the same address: "
				    "they fail together",
				    STR_ARG(p->servers[k].name), STR_ARG(p->servers[i].name));
				k = i;
			}
		}
	}
}

static void warn_pool(struct load *l, const struct conf_pool *p, const struct node *n, bool used)
{
	if (!used) {
		problem_warning(l->problems, n->key_at,
		                "pool \"%.*s\" is not used by any route or listener",
		                STR_ARG(p->name));
	}
	warn_servers(l, p, n);
	warn_check(l, p, n);
	if (p->retries == 0) {
		problem_warning(l->problems, at(n, "retries"),
		                "no retries: a server that fails costs the requests sent to it");
	} else if (p->retry_budget == 0) {
		problem_warning(l->problems, at(n, "retry_budget"),
		                "a retry budget of 0%% leaves a few retries a second only");
	}
	if (p->max_connections && p->queue_length == 0) {
		problem_warning(l->problems, at(n, "queue_length"),
		                "no queue: requests beyond max_connections are refused at once");
	}
}

/* Whether a listener has a route that takes requests for any host and path. */
static bool has_catch_all(const struct conf *c, struct str listener)
{
	for (uint32_t i = 0; i < c->nroutes; i++) {
		const struct conf_route *r = &c->routes[i];
		bool on = r->listeners.n == 0;

		for (uint32_t k = 0; k < r->listeners.n && !on; k++) {
			on = str_eq(r->listeners.v[k], listener);
		}
		if (on && r->hosts.n == 0 && r->path.len == 1 && r->methods.n == 0 &&
		    r->nheaders == 0 && r->nclients == 0) {
			return true;
		}
	}
	return false;
}

static void warn_listener(struct load *l, const struct conf_listener *c, const struct node *n)
{
	struct str path = c->access_log.path;
	size_t slash = path.len;
	char folder[4096];

	if (c->protocol == PROTOCOL_HTTP && !c->redirect_https &&
	    !has_catch_all(l->conf, c->name)) {
		problem_warning(
		    l->problems, n->key_at,
		    "requests to listener \"%.*s\" that match no route get 404: there is no "
		    "route without conditions",
		    STR_ARG(c->name));
	}
	if (!c->access_log.on || path.len == 0 || path.s[0] != '/' || l->offline) {
		return;
	}
	while (slash > 1 && path.s[slash - 1] != '/') {
		slash--;
	}
	if (slash < sizeof(folder)) {
		memcpy(folder, path.s, slash);
		folder[slash] = '\0';
		if (access(folder, W_OK | X_OK) < 0) {
			problem_warning(l->problems, at(n, "access_log"),
			                "the access log cannot be written to %s: %s", folder,
			                strerror(errno));
		}
	}
}

static bool is_loopback(const struct net_addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return !a->wildcard && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
	default:
		return true;
	}
}

void verify_warnings(struct load *l)
{
	const struct conf *c = l->conf;
	bool *used = load_alloc(l, c->npools, sizeof(*used));
	const struct node *control = node_get(l->root, "control");

	if (!used) {
		return;
	}
	for (uint32_t i = 0; i < c->nroutes; i++) {
		used[c->routes[i].pool] = true;
	}
	verify_tcp_warnings(l, used);
	for (uint32_t i = 0; i < c->npools; i++) {
		warn_pool(l, &c->pools[i], l->pools[i], used[i]);
	}
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		warn_listener(l, &c->listeners[i], l->listeners[i]);
	}
	if (c->control.on && !is_loopback(&c->control.bind)) {
		problem_warning(l->problems, at(control, "bind"),
		                c->control.token.len
		                    ? "the control API speaks clear text to other machines: its "
		                      "token can be overheard"
		                    : "the control API is open to other machines without a token: "
		                      "they can read everything it knows");
	}
	if (c->shutdown_timeout == 0) {
		const struct node *proxy = node_get(l->root, "proxy");

		problem_warning(l->problems, proxy ? at(proxy, "shutdown_timeout") : l->root->at,
		                "no shutdown_timeout: every stop and upgrade cuts open requests");
	}
}
