/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the file's nodes this machine is: by --node, by its name, by its addresses. Main thread
 * of the parent. */
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "core/identity.h"
#include "core/parent.h"

#define OWN_MAX 256 /* addresses of this machine that are looked at */

static unsigned own_addresses(struct net_addr *own)
{
	struct ifaddrs *all = NULL;
	unsigned n = 0;

	if (getifaddrs(&all) != 0)
		return 0;
	for (const struct ifaddrs *i = all; i && n < OWN_MAX; i = i->ifa_next) {
		int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
		size_t len = family == AF_INET    ? sizeof(struct sockaddr_in)
		             : family == AF_INET6 ? sizeof(struct sockaddr_in6)
		                                  : 0;

		if (len == 0)
			continue;
		own[n] = (struct net_addr){ .len = (socklen_t)len };
		memcpy(&own[n].sa, i->ifa_addr, len);
		n++;
	}
	freeifaddrs(all);
	return n;
}

static void host_name(char *out, size_t size)
{
	snprintf(out, size, "node");
	gethostname(out, size - 1);
	out[size - 1] = '\0';
}

/* "lb1 (10.77.0.11), lb2 (10.77.0.12)" */
static void list_nodes(const struct conf *c, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < c->nnodes && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s (%s)", i > 0 ? ", " : "",
		                      c->nodes[i].name.s, c->nodes[i].address.s);
}

uint32_t identity_of(const struct conf *c, const char *name)
{
	struct net_addr own[OWN_MAX];
	char host[64];

	host_name(host, sizeof(host));
	return conf_node_self(c, name, host, own, own_addresses(own));
}

int identity_find(const struct parent *p, struct conf *c, char *why, size_t why_size)
{
	const char *name = p->options->node_name;
	char host[64];
	char nodes[400];

	host_name(host, sizeof(host));
	c->self = identity_of(c, name);
	if (c->self != CONF_NO_NODE || c->nvips == 0)
		return OK;
	list_nodes(c, nodes, sizeof(nodes));
	if (name)
		snprintf(
		    why, why_size,
		    "--node %s is none of the nodes of this file, which shares virtual IPs among "
		    "them: %s",
		    name, nodes);
	else
		snprintf(
		    why, why_size,
		    "this machine (%s) is none of the nodes of this file, or several of them, and "
		    "the file shares virtual IPs among them: %s; say which one it is with --node "
		    "NAME",
		    host, nodes);
	return ERR_NOT_FOUND;
}

void identity_publish(const struct parent *p)
{
	struct board_node *n = board_node(p->board);
	const struct conf *c = p->cur->conf;
	char host[64];

	host_name(host, sizeof(host));
	snprintf(n->node, sizeof(n->node), "%s",
	         c->self != CONF_NO_NODE ? c->nodes[c->self].name.s
	         : p->options->node_name ? p->options->node_name
	                                 : host);
}
