/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's servers: which test servers stand in for those of the file, in which hosts. Pure
 * functions. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "lab/plan_impl.h"

static int host_of(const struct lab_plan *p, const struct net_addr *ip)
{
	for (unsigned i = 0; i < p->nhosts; i++) {
		for (unsigned j = 0; j < p->hosts[i].naddresses; j++) {
			if (lab_plan_same_ip(&p->hosts[i].addresses[j].ip, ip))
				return (int)i;
		}
	}
	return -1;
}

static bool is_vip(const struct conf *c, const struct net_addr *ip)
{
	for (uint32_t i = 0; i < c->nvips; i++) {
		for (uint32_t j = 0; j < c->vips[i].naddresses; j++) {
			if (lab_plan_same_ip(&c->vips[i].addresses[j].ip, ip))
				return true;
		}
	}
	return false;
}

/* Whether the daemon itself listens there. */
static bool own_port(const struct conf *c, uint16_t port)
{
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		for (uint32_t j = 0; j < c->listeners[i].nbind; j++) {
			const struct net_addr *b = &c->listeners[i].bind[j];

			if (b->sa.sa_family != AF_UNIX && net_addr_port(b) == port)
				return true;
		}
	}
	return c->control.on && c->control.bind.sa.sa_family != AF_UNIX &&
	       net_addr_port(&c->control.bind) == port;
}

static int whoami_add(struct lab_plan_work *w, unsigned host, struct str name,
                      const struct net_addr *bind)
{
	struct lab_plan *p = w->p;
	struct lab_whoami_plan *x;

	for (unsigned i = 0; i < p->nwhoamis; i++) {
		if (p->whoamis[i].host == host && net_addr_eq(&p->whoamis[i].bind, bind))
			return OK;
	}
	if (p->nwhoamis == LAB_MAX_WHOAMIS)
		return lab_plan_too_many(w, "test servers", LAB_MAX_WHOAMIS);
	x = &p->whoamis[p->nwhoamis++];
	*x = (struct lab_whoami_plan){ .host = host, .bind = *bind };
	snprintf(x->name, sizeof(x->name), "%.*s", STR_ARG(name));
	return OK;
}

/* The server's name; where another host has it, with its pool's. */
static int server_host(struct lab_plan_work *w, const struct conf_pool *pool,
                       const struct conf_server *s, const struct net_addr *ip, int *ret)
{
	struct lab_plan *p = w->p;
	char name[2 * CONF_MAX_NAME + 16];
	struct lab_host *h;

	if (p->nhosts - p->nnodes == LAB_MAX_SERVERS)
		return lab_plan_too_many(w, "servers", LAB_MAX_SERVERS);
	snprintf(name, sizeof(name), "%.*s", STR_ARG(s->name));
	if (lab_plan_host(p, name) >= 0 || strcmp(name, "client") == 0)
		snprintf(name, sizeof(name), "%.*s-%.*s", STR_ARG(pool->name), STR_ARG(s->name));
	name[LAB_NAME - 1] = '\0';
	if (lab_plan_host(p, name) >= 0)
		snprintf(name, sizeof(name), "server-%u", p->nhosts - p->nnodes + 1);
	*ret = (int)p->nhosts;
	h = lab_plan_host_add(p, LAB_SERVER, str_from(name));
	lab_plan_interface_add(h, STR("eth0"));
	return lab_plan_give_to(w, h, ip, lab_plan_subnet(p, ip));
}

static int whoami_at(struct lab_plan_work *w, const struct conf_pool *pool,
                     const struct conf_server *s, const struct net_addr *at)
{
	int host, err = OK;

	if (lab_plan_is_loopback(at)) {
		for (unsigned i = 0; i < w->p->nnodes && err == OK; i++)
			err = whoami_add(w, i, s->name, at);
		return err;
	}
	host = host_of(w->p, at);
	if (host >= 0 && w->p->hosts[host].kind == LAB_NODE && own_port(w->c, net_addr_port(at)))
		return OK; /* a listener of another node */
	if (host < 0)
		err = server_host(w, pool, s, at, &host);
	return err == OK ? whoami_add(w, (unsigned)host, s->name, at) : err;
}

static void note_expectations(struct lab_plan_work *w, const struct conf_pool *pool)
{
	const struct conf_check *c = &pool->check;

	if (c->probe > PROBE_EXEC && c->probe != PROBE_PING)
		buf_printf(&w->p->notes,
		           "pool %.*s: its check speaks %s, which test servers do not: they will "
		           "be down\n",
		           STR_ARG(pool->name), conf_probe_name(c->probe));
	else if (conf_check_tls(pool) != NULL)
		buf_printf(&w->p->notes,
		           "pool %.*s: its check speaks TLS, which test servers do not: they will "
		           "be down\n",
		           STR_ARG(pool->name));
	else if (c->probe == PROBE_EXEC)
		buf_printf(&w->p->notes,
		           "pool %.*s: its check runs a program, which in the lab sees test "
		           "servers\n",
		           STR_ARG(pool->name));
	else if (c->probe == PROBE_HTTP && !conf_expects(c, 200))
		buf_printf(&w->p->notes,
		           "pool %.*s: its check wants status %.*s, test servers answer 200\n",
		           STR_ARG(pool->name), STR_ARG(c->expect_text));
	else if (c->probe == PROBE_HTTP && c->match.len > 0)
		buf_printf(&w->p->notes,
		           "pool %.*s: its check wants \"%.*s\" in the answer, which test servers "
		           "may not say\n",
		           STR_ARG(pool->name), STR_ARG(c->match));
}

/* A server that is configured by name gets a line in /etc/hosts: there is no resolver in the lab.
 */
static void note_name(struct lab_plan_work *w, const struct conf_server *s)
{
	struct net_addr a;
	char host[NET_ADDR_TEXT];
	size_t len = s->address_text.len;

	if (net_addr_parse(s->address_text, &a, NULL) != ERR_NOT_FOUND)
		return;
	while (len > 0 && s->address_text.s[len - 1] != ':')
		len--;
	if (len > 1)
		buf_printf(&w->p->hosts_file, "%s %.*s\n", net_addr_host(&s->address, host),
		           (int)(len - 1), s->address_text.s);
}

static int plan_server(struct lab_plan_work *w, const struct conf_pool *pool,
                       const struct conf_server *s)
{
	struct net_addr at = s->address;
	int err = OK;

	if (at.sa.sa_family == AF_UNIX) {
		buf_printf(&w->p->notes,
		           "server %.*s (%.*s): a unix socket, for which the lab has no test "
		           "server\n",
		           STR_ARG(s->id), STR_ARG(s->address_text));
		return OK;
	}
	if ((at.sa.sa_family != AF_INET && at.sa.sa_family != AF_INET6) || is_vip(w->c, &at))
		return OK;
	note_name(w, s);
	if (net_addr_port(&at) != 0)
		err = whoami_at(w, pool, s, &at);
	if (err == OK && pool->check.port != 0 && pool->check.port != net_addr_port(&at)) {
		at = lab_plan_with_port(&at, (uint16_t)pool->check.port);
		err = whoami_at(w, pool, s, &at);
	}
	return err;
}

int lab_plan_pools(struct lab_plan_work *w, const struct conf_pool *pools, uint32_t n, bool checks)
{
	int err = OK;

	for (uint32_t i = 0; i < n && err == OK; i++) {
		const struct conf_pool *pool = &pools[i];

		if (checks && pool->check.probe != PROBE_HTTP && pool->check.probe != PROBE_TCP)
			continue;
		for (uint32_t j = 0; j < pool->nservers && err == OK; j++)
			err = plan_server(w, pool, &pool->servers[j]);
		note_expectations(w, pool);
	}
	return err;
}
