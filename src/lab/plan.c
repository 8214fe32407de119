/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a lab: all of it, with the client, its files and folders. Pure functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "lab/plan_impl.h"

int lab_plan_too_many(struct lab_plan_work *w, const char *what, unsigned limit)
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

struct lab_host *lab_plan_host_add(struct lab_plan *p, enum lab_kind kind, struct str name)
{
	struct lab_host *h = &p->hosts[p->nhosts++];

	h->kind = kind;
	snprintf(h->name, sizeof(h->name), "%.*s", STR_ARG(name));
	return h;
}

bool lab_plan_interface_add(struct lab_host *h, struct str name)
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

int lab_plan_give_to(struct lab_plan_work *w, struct lab_host *h, const struct net_addr *ip,
                     const struct lab_subnet *s)
{
	if (!s)
		return lab_plan_too_many(w, "subnets", LAB_MAX_SUBNETS);
	if (!lab_plan_give(h, ip, s))
		return lab_plan_too_many(w, "addresses of one host", LAB_MAX_ADDRESSES);
	return OK;
}

/* --- the client, and all of it -------------------------------------------------------------- */

static int plan_client(struct lab_plan_work *w)
{
	struct lab_host *h = lab_plan_host_add(w->p, LAB_CLIENT, STR("client"));
	int err = OK;

	lab_plan_interface_add(h, STR("eth0"));
	for (unsigned i = 0; i < w->p->nsubnets && err == OK; i++) {
		struct lab_subnet *s = &w->p->subnets[i];

		if (!lab_plan_free_address(w->p, w->c, s, &s->gateway)) {
			memset(&s->gateway, 0, sizeof(s->gateway));
			continue;
		}
		err = lab_plan_give_to(w, h, &s->gateway, s);
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
static void plan_control(struct lab_plan_work *w)
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
static void note_protocols(struct lab_plan_work *w)
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

static void plan_folders(struct lab_plan_work *w)
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

int lab_plan_make(const struct conf *c, struct lab_plan *ret, char *why, size_t why_size)
{
	struct lab_plan_work w = { c, ret, why, why_size };
	int err;

	memset(ret, 0, sizeof(*ret));
	ret->hosts = calloc(LAB_MAX_NODES + LAB_MAX_SERVERS + 1, sizeof(*ret->hosts));
	ret->whoamis = calloc(LAB_MAX_WHOAMIS, sizeof(*ret->whoamis));
	if (!ret->hosts || !ret->whoamis) {
		snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	err = lab_plan_nodes(&w);
	if (err == OK)
		err = lab_plan_pools(&w, c->pools, c->npools, false);
	if (err == OK)
		err = lab_plan_pools(&w, c->checks, c->nchecks, true);
	if (err == OK)
		err = lab_plan_lonely_node(&w);
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
