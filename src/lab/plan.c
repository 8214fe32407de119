/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a lab: nodes, servers, client. Pure functions. */
#include "lab/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "lab/plan_net.h"

#define MAX_WHOAMIS 2000

struct work {
	const struct conf *c;
	struct lab_plan *p;
	char *why;
	size_t why_size;
};

static int too_many(struct work *w, const char *what, unsigned limit)
{
	snprintf(w->why, w->why_size, "the file needs more than %u %s: that is more than a lab has",
	         limit, what);
	return ERR_INVALID;
}

int lab_plan_host(const struct lab_plan *p, const char *name)
{
	for (unsigned i = 0; i < p->nhosts; i++) {
		if (strcmp(p->hosts[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static struct lab_host *host_add(struct lab_plan *p, enum lab_kind kind, struct str name)
{
	struct lab_host *h = &p->hosts[p->nhosts++];

	h->kind = kind;
	snprintf(h->name, sizeof(h->name), "%.*s", STR_ARG(name));
	return h;
}

static bool interface_add(struct lab_host *h, struct str name)
{
	if (name.len == 0 || name.len > 15 || str_eq(name, STR("lo")))
		return true;
	for (unsigned i = 0; i < h->ninterfaces; i++) {
		if (str_eq(str_from(h->interfaces[i]), name))
			return true;
	}
	if (h->ninterfaces == LAB_MAX_INTERFACES)
		return false;
	snprintf(h->interfaces[h->ninterfaces++], 16, "%.*s", STR_ARG(name));
	return true;
}

static int give(struct work *w, struct lab_host *h, const struct net_addr *ip,
                const struct lab_subnet *s)
{
	if (!s)
		return too_many(w, "subnets", LAB_MAX_SUBNETS);
	if (!lab_plan_give(h, ip, s))
		return too_many(w, "addresses of one host", LAB_MAX_ADDRESSES);
	return OK;
}

/* --- nodes ---------------------------------------------------------------------------------- */

/* The subnets that the virtual IPs name with their length tell which interface is in which. */
static int vip_subnets(struct work *w)
{
	for (uint32_t i = 0; i < w->c->nvips; i++) {
		const struct conf_vip *v = &w->c->vips[i];

		for (uint32_t j = 0; j < v->naddresses; j++) {
			const struct conf_vip_address *a = &v->addresses[j];
			struct lab_subnet *s;

			if (a->derived || a->prefix > (a->ip.sa.sa_family == AF_INET ? 30 : 126))
				continue;
			if (a->ip.sa.sa_family == AF_INET6 &&
			    IN6_IS_ADDR_LINKLOCAL(&a->ip.in6.sin6_addr))
				continue;
			s = lab_plan_subnet_add(w->p, &a->ip, a->prefix);
			if (!s)
				return too_many(w, "subnets", LAB_MAX_SUBNETS);
			s->of_vip = true;
			if (s->interface[0] == '\0')
				snprintf(s->interface, sizeof(s->interface), "%.*s",
				         STR_ARG(v->interface));
		}
	}
	return OK;
}

static int node_interfaces(struct work *w, struct lab_host *h)
{
	bool fits = true;

	for (uint32_t i = 0; i < w->c->nvips; i++)
		fits = fits && interface_add(h, w->c->vips[i].interface);
	for (uint32_t i = 0; i < w->c->nvips; i++) {
		const struct conf_vip *v = &w->c->vips[i];

		for (uint32_t j = 0; j < v->ntrack; j++) {
			if (v->track[j].kind == CONDITION_INTERFACE)
				fits = fits && interface_add(h, v->track[j].object);
		}
	}
	if (h->ninterfaces == 0)
		interface_add(h, STR("eth0"));
	return fits ? OK : too_many(w, "interfaces of a node", LAB_MAX_INTERFACES);
}

static int node_new(struct work *w, struct str name, const struct net_addr *ip)
{
	struct lab_host *h;
	int err;

	if (str_eq(name, STR("client"))) {
		snprintf(w->why, w->why_size,
		         "a node is called \"client\", which is the lab's host for clients: give "
		         "the node another name");
		return ERR_INVALID;
	}
	h = host_add(w->p, LAB_NODE, name);
	w->p->nnodes++;
	err = node_interfaces(w, h);
	if (err != OK || ip->sa.sa_family == AF_UNSPEC || lab_plan_is_loopback(ip))
		return err;
	return give(w, h, ip, lab_plan_subnet(w->p, ip));
}

static bool has_address(const struct lab_host *h, const struct lab_subnet *s, int interface)
{
	for (unsigned i = 0; i < h->naddresses; i++) {
		const struct lab_address *a = &h->addresses[i];

		if (s && net_cidr_has(&s->net, &a->ip))
			return true;
		if (interface >= 0 && a->interface == (unsigned)interface &&
		    a->ip.sa.sa_family == AF_INET)
			return true;
	}
	return false;
}

static int give_free(struct work *w, struct lab_host *h, const struct lab_subnet *s, int interface)
{
	struct net_addr ip;
	int err;

	if (!lab_plan_free_address(w->p, w->c, s, &ip))
		return OK; /* a full subnet: it is reached by its route */
	err = give(w, h, &ip, s);
	if (err == OK && interface >= 0)
		h->addresses[h->naddresses - 1].interface = (unsigned)interface;
	return err;
}

/* Nodes have an address in each subnet of a virtual IP and, IPv4, on each interface that speaks
 * VRRP: advertisements need a source. */
static int node_free_addresses(struct work *w, struct lab_host *h)
{
	int err = OK;

	for (unsigned i = 0; i < w->p->nsubnets && err == OK; i++) {
		if (w->p->subnets[i].of_vip && !has_address(h, &w->p->subnets[i], -1))
			err = give_free(w, h, &w->p->subnets[i], -1);
	}
	for (uint32_t i = 0; i < w->c->nvips && err == OK; i++) {
		const struct conf_vip *v = &w->c->vips[i];

		for (unsigned k = 0; k < h->ninterfaces && err == OK; k++) {
			if (v->naddresses == 0 || v->addresses[0].ip.sa.sa_family != AF_INET ||
			    !str_eq(v->interface, str_from(h->interfaces[k])) ||
			    has_address(h, NULL, (int)k))
				continue;
			err = give_free(w, h, lab_plan_subnet(w->p, &v->addresses[0].ip), (int)k);
		}
	}
	return err;
}

static int plan_nodes(struct work *w)
{
	static const struct net_addr none;
	int err = vip_subnets(w);

	if (w->c->nnodes > LAB_MAX_NODES)
		return too_many(w, "nodes", LAB_MAX_NODES);
	for (uint32_t i = 0; i < w->c->nnodes && err == OK; i++)
		err = node_new(w, w->c->nodes[i].name, &w->c->nodes[i].ip);
	if (err == OK && w->c->nnodes == 0) {
		err = node_new(w, STR("node"), &none);
		buf_adds(&w->p->notes,
		         "the file names no nodes: the lab has one, called \"node\"\n");
	}
	for (unsigned i = 0; i < w->p->nnodes && err == OK; i++)
		err = node_free_addresses(w, &w->p->hosts[i]);
	return err;
}

/* --- servers -------------------------------------------------------------------------------- */

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

static int whoami_add(struct work *w, unsigned host, struct str name, const struct net_addr *bind)
{
	struct lab_plan *p = w->p;
	struct lab_whoami_plan *x;

	for (unsigned i = 0; i < p->nwhoamis; i++) {
		if (p->whoamis[i].host == host && net_addr_eq(&p->whoamis[i].bind, bind))
			return OK;
	}
	if (p->nwhoamis == MAX_WHOAMIS)
		return too_many(w, "test servers", MAX_WHOAMIS);
	x = &p->whoamis[p->nwhoamis++];
	*x = (struct lab_whoami_plan){ .host = host, .bind = *bind };
	snprintf(x->name, sizeof(x->name), "%.*s", STR_ARG(name));
	return OK;
}

/* The server's name; where another host has it, with its pool's. */
static int server_host(struct work *w, const struct conf_pool *pool, const struct conf_server *s,
                       const struct net_addr *ip, int *ret)
{
	struct lab_plan *p = w->p;
	char name[2 * CONF_MAX_NAME + 16];
	struct lab_host *h;

	if (p->nhosts - p->nnodes == LAB_MAX_SERVERS)
		return too_many(w, "servers", LAB_MAX_SERVERS);
	snprintf(name, sizeof(name), "%.*s", STR_ARG(s->name));
	if (lab_plan_host(p, name) >= 0 || strcmp(name, "client") == 0)
		snprintf(name, sizeof(name), "%.*s-%.*s", STR_ARG(pool->name), STR_ARG(s->name));
	name[LAB_NAME - 1] = '\0';
	if (lab_plan_host(p, name) >= 0)
		snprintf(name, sizeof(name), "server-%u", p->nhosts - p->nnodes + 1);
	*ret = (int)p->nhosts;
	h = host_add(p, LAB_SERVER, str_from(name));
	interface_add(h, STR("eth0"));
	return give(w, h, ip, lab_plan_subnet(p, ip));
}

static int whoami_at(struct work *w, const struct conf_pool *pool, const struct conf_server *s,
                     const struct net_addr *at)
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

static void note_expectations(struct work *w, const struct conf_pool *pool)
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
static void note_name(struct work *w, const struct conf_server *s)
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

static int plan_server(struct work *w, const struct conf_pool *pool, const struct conf_server *s)
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

static int plan_pools(struct work *w, const struct conf_pool *pools, uint32_t n, bool checks)
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

/* --- the client, and all of it -------------------------------------------------------------- */

static int plan_client(struct work *w)
{
	struct lab_host *h = host_add(w->p, LAB_CLIENT, STR("client"));
	int err = OK;

	interface_add(h, STR("eth0"));
	for (unsigned i = 0; i < w->p->nsubnets && err == OK; i++) {
		struct lab_subnet *s = &w->p->subnets[i];

		if (!lab_plan_free_address(w->p, w->c, s, &s->gateway)) {
			memset(&s->gateway, 0, sizeof(s->gateway));
			continue;
		}
		err = give(w, h, &s->gateway, s);
	}
	return err;
}

static void hosts_file(struct lab_plan *p)
{
	char text[NET_ADDR_TEXT];

	buf_adds(&p->hosts_file, "127.0.0.1 localhost\n::1 localhost\n");
	for (unsigned i = 0; i < p->nhosts; i++) {
		const struct lab_host *h = &p->hosts[i];

		for (unsigned j = 0; j < h->naddresses; j++)
			buf_printf(&p->hosts_file, "%s %s\n",
			           net_addr_host(&h->addresses[j].ip, text), h->name);
	}
}

/* Where the node's API is found from inside its namespace. */
static void plan_control(struct work *w)
{
	struct net_addr *a = &w->p->control;
	uint16_t port;

	if (!w->c->control.on || w->c->control.bind.sa.sa_family == AF_UNIX)
		return;
	*a = w->c->control.bind;
	port = net_addr_port(a);
	if (a->wildcard || (a->sa.sa_family == AF_INET && a->in.sin_addr.s_addr == INADDR_ANY)) {
		memset(a, 0, sizeof(*a));
		a->in.sin_family = AF_INET;
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		a->len = sizeof(a->in);
		*a = lab_plan_with_port(a, port);
	} else if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)) {
		a->in6.sin6_addr = in6addr_loopback;
	}
	w->p->has_control = true;
}

/* --- folders -------------------------------------------------------------------------------- */

static void folder_add(struct lab_plan *p, struct str file)
{
	char path[LAB_FOLDER];
	unsigned at = p->nfolders;
	char *slash;

	if (file.len == 0 || file.s[0] != '/' || file.len >= LAB_FOLDER || at == LAB_MAX_FOLDERS)
		return;
	snprintf(path, sizeof(path), "%.*s", STR_ARG(file));
	slash = strrchr(path, '/');
	*slash = '\0';
	if (path[0] == '\0' || strncmp(path, "/dev", 4) == 0)
		return; /* the root cannot be replaced, devices need not be */
	for (unsigned i = 0; i < p->nfolders; i++) {
		if (strcmp(p->folders[i], path) == 0)
			return;
	}
	while (at > 0 && strlen(p->folders[at - 1]) > strlen(path)) {
		memcpy(p->folders[at], p->folders[at - 1], LAB_FOLDER);
		at--;
	}
	memcpy(p->folders[at], path, sizeof(path));
	p->nfolders++;
}

/* What the lab's test servers, which speak HTTP over TCP, cannot stand in for. */
static void note_protocols(struct work *w)
{
	for (uint32_t i = 0; i < w->c->nlisteners; i++) {
		const struct conf_listener *l = &w->c->listeners[i];

		if (l->protocol == PROTOCOL_UDP)
			buf_printf(&w->p->notes,
			           "listener %.*s: nobody answers datagrams, test servers speak "
			           "HTTP\n",
			           STR_ARG(l->name));
		else if (l->protocol == PROTOCOL_TCP)
			buf_printf(&w->p->notes,
			           "listener %.*s: behind it are test servers, which speak HTTP\n",
			           STR_ARG(l->name));
	}
}

static void plan_folders(struct work *w)
{
	for (uint32_t i = 0; i < w->c->nlisteners; i++) {
		const struct conf_listener *l = &w->c->listeners[i];

		for (uint32_t j = 0; j < l->nbind; j++) {
			if (l->bind[j].sa.sa_family == AF_UNIX)
				folder_add(w->p, str_from(l->bind[j].un.sun_path));
		}
		folder_add(w->p, l->access_log.on ? l->access_log.path : STR_NONE);
	}
	if (w->c->control.on && w->c->control.bind.sa.sa_family == AF_UNIX)
		folder_add(w->p, str_from(w->c->control.bind.un.sun_path));
}

/* A node without an address in the file gets one where its servers are. */
static int lonely_node(struct work *w)
{
	struct lab_host *h = &w->p->hosts[0];
	struct net_addr ten = { .in = { .sin_family = AF_INET,
		                        .sin_addr = { htonl(0x0a4d0000) } }, /* 10.77.0.0 */
		                .len = sizeof(struct sockaddr_in) };

	if (w->p->nsubnets == 0 && !lab_plan_subnet_add(w->p, &ten, 24))
		return ERR_INVALID;
	return h->naddresses == 0 ? give_free(w, h, &w->p->subnets[0], -1) : OK;
}

int lab_plan_make(const struct conf *c, struct lab_plan *ret, char *why, size_t why_size)
{
	struct work w = { c, ret, why, why_size };
	int err;

	memset(ret, 0, sizeof(*ret));
	ret->hosts = calloc(LAB_MAX_NODES + LAB_MAX_SERVERS + 1, sizeof(*ret->hosts));
	ret->whoamis = calloc(MAX_WHOAMIS, sizeof(*ret->whoamis));
	if (!ret->hosts || !ret->whoamis) {
		snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	err = plan_nodes(&w);
	if (err == OK)
		err = plan_pools(&w, c->pools, c->npools, false);
	if (err == OK)
		err = plan_pools(&w, c->checks, c->nchecks, true);
	if (err == OK)
		err = lonely_node(&w);
	if (err == OK)
		err = plan_client(&w);
	hosts_file(ret);
	plan_control(&w);
	plan_folders(&w);
	note_protocols(&w);
	return err;
}

void lab_plan_free(struct lab_plan *p)
{
	free(p->hosts);
	free(p->whoamis);
	buf_free(&p->hosts_file);
	buf_free(&p->notes);
}
