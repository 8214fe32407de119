/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the lab's network: a bridge in the keeper's namespace, and for each host namespaces with
 * links to it. A host's namespaces are made by a child, which settles in them, waits for its links,
 * sets addresses and routes, and ends; the keeper holds the namespaces by their descriptors. The
 * keeper.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "lab/keeper.h"
#include "net/sock.h"

struct making { /* a host in the making */
	pid_t pid;
	int fd; /* pair to the child: it says "s" when settled, waits for "g", says why it failed */
};

/* --- in the child --------------------------------------------------------------------------- */

static void sysctl_set(const char *name, const char *value)
{
	char path[160];
	int fd;

	/* What the kernel does not have (IPv6 switched off) cannot be set and need not be. */
	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, value, strlen(value)) < 0) {
			/* as above */
		}
		close(fd);
	}
}

/* New links take what stands under "default". IPv4's are copied from the machine's own, so what
 * the lab relies on is said. */
static void host_sysctls(const struct lab_host *h)
{
	static const char *const groups[] = { "all", "default" };
	const char *router = h->kind == LAB_CLIENT ? "1" : "0";

	for (unsigned i = 0; i < 2; i++) {
		const struct {
			const char *family, *name, *value;
		} rows[] = {
			{ "ipv4", "forwarding", router },
			{ "ipv4", "rp_filter", "0" },
			{ "ipv4", "arp_filter", "0" },
			{ "ipv4", "send_redirects", "0" },
			{ "ipv4", "accept_redirects", "0" },
			/* Several links of a host lie on one bridge: each answers for its own. */
			{ "ipv4", "arp_ignore", h->ninterfaces > 1 ? "1" : "0" },
			{ "ipv4", "arp_announce", h->ninterfaces > 1 ? "2" : "0" },
			{ "ipv6", "disable_ipv6", "0" },
			{ "ipv6", "forwarding", router },
			{ "ipv6", "accept_dad", "0" },
			{ "ipv6", "dad_transmits", "0" },
			{ "ipv6", "accept_ra", "0" },
			{ "ipv6", "router_solicitations", "0" },
			{ "ipv6", "accept_redirects", "0" },
		};

		for (unsigned j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
			char name[64];

			snprintf(name, sizeof(name), "%s/conf/%s/%s", rows[j].family, groups[i],
			         rows[j].name);
			sysctl_set(name, rows[j].value);
		}
	}
}

struct wiring {
	struct netlink *n;
	const struct lab_plan *plan;
	const struct lab_host *h;
	uint32_t links[LAB_MAX_INTERFACES];
	char *why;
	size_t why_size;
};

static int wiring_failed(struct wiring *w, const char *what, const char *object)
{
	snprintf(w->why, w->why_size, "host %s: %s %s: %s", w->h->name, what, object,
	         netlink_error(w->n));
	return ERR_SYSTEM;
}

static int set_addresses(struct wiring *w)
{
	char text[NET_ADDR_TEXT];

	for (unsigned i = 0; i < w->h->naddresses; i++) {
		const struct lab_address *a = &w->h->addresses[i];

		if (netlink_address_set(w->n, w->links[a->interface], &a->ip, a->prefix,
		                        NETLINK_FOREVER) != OK)
			return wiring_failed(w, "address", net_addr_host(&a->ip, text));
	}
	return OK;
}

static int set_up(struct wiring *w)
{
	struct net_link l;

	if (netlink_link(w->n, "lo", &l) != OK || netlink_link_set(w->n, l.index, true) != OK)
		return wiring_failed(w, "link", "lo");
	for (unsigned i = 0; i < w->h->ninterfaces; i++) {
		if (netlink_link(w->n, w->h->interfaces[i], &l) != OK ||
		    netlink_link_set(w->n, l.index, true) != OK)
			return wiring_failed(w, "link", w->h->interfaces[i]);
		w->links[i] = l.index;
	}
	return OK;
}

static const struct lab_address *address_in(const struct lab_host *h, const struct lab_subnet *s)
{
	for (unsigned i = 0; i < h->naddresses; i++) {
		if (net_cidr_has(&s->net, &h->addresses[i].ip))
			return &h->addresses[i];
	}
	return NULL;
}

static bool has_family(const struct lab_host *h, int family)
{
	for (unsigned i = 0; i < h->naddresses; i++) {
		if (h->addresses[i].ip.sa.sa_family == family)
			return true;
	}
	return family == AF_INET6; /* link-local addresses suffice */
}

static uint32_t link_for(const struct wiring *w, const struct lab_subnet *s)
{
	for (unsigned i = 0; i < w->h->ninterfaces; i++) {
		if (strcmp(w->h->interfaces[i], s->interface) == 0)
			return w->links[i];
	}
	return w->links[0];
}

/* The other subnets are on the same wire; everything else is the client's to forward. */
static int set_routes(struct wiring *w)
{
	bool done[2] = { false, false };
	char text[NET_ADDR_TEXT];

	for (unsigned i = 0; i < w->plan->nsubnets; i++) {
		const struct lab_subnet *s = &w->plan->subnets[i];
		const struct lab_address *own = address_in(w->h, s);
		struct net_addr net = { 0 };

		if (!has_family(w->h, s->family))
			continue;
		net.sa.sa_family = (sa_family_t)s->family;
		if (s->family == AF_INET)
			memcpy(&net.in.sin_addr, s->net.bytes + 12, 4);
		else
			memcpy(&net.in6.sin6_addr, s->net.bytes, 16);
		if (!own &&
		    netlink_route_set(w->n, &net, s->prefix, NULL, link_for(w, s), s->family) != OK)
			return wiring_failed(w, "route to", net_cidr_format(&s->net, text));
		if (own && w->h->kind != LAB_CLIENT && !done[s->family == AF_INET6] &&
		    s->gateway.sa.sa_family == s->family) {
			done[s->family == AF_INET6] = true;
			if (netlink_route_set(w->n, NULL, 0, &s->gateway, w->links[own->interface],
			                      s->family) != OK)
				return wiring_failed(w, "route via",
				                     net_addr_host(&s->gateway, text));
		}
	}
	return OK;
}

static int wire(struct keeper *k, const struct lab_host *h, char *why, size_t why_size)
{
	struct wiring w = { .plan = &k->plan, .h = h, .why = why, .why_size = why_size };
	int err;

	if (netlink_open(&w.n) != OK) {
		snprintf(why, why_size, "host %s: netlink: %s", h->name, strerror(errno));
		return ERR_SYSTEM;
	}
	err = set_up(&w);
	if (err == OK)
		err = set_addresses(&w);
	if (err == OK)
		err = set_routes(&w);
	netlink_close(w.n);
	return err;
}

static int settle(const struct keeper *k, const struct lab_host *h, char *why, size_t why_size)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS) != 0 ||
	    sethostname(h->name, strlen(h->name)) != 0) {
		snprintf(why, why_size, "host %s: cannot make its namespaces: %s", h->name,
		         strerror(errno));
		return ERR_SYSTEM;
	}
	/* So that /sys/class/net is the host's; where it is not permitted the machine's stays. */
	if (mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) !=
	    0) {
		/* nothing of the daemon needs it */
	}
	if (h->kind == LAB_NODE && !k->options->bare)
		lab_private_folders(k, h);
	host_sysctls(h);
	return OK;
}

static void making_child(struct keeper *k, const struct lab_host *h, int fd)
{
	char why[256] = "", c;
	int err = settle(k, h, why, sizeof(why));

	if (err == OK && (write(fd, "s", 1) != 1 || read(fd, &c, 1) != 1))
		_exit(1);
	if (err == OK)
		err = wire(k, h, why, sizeof(why));
	if (err != OK && write(fd, why, strlen(why)) < 0)
		_exit(2);
	_exit(err == OK ? 0 : 1);
}

/* --- in the keeper -------------------------------------------------------------------------- */

static int making_start(struct keeper *k, const struct lab_host *h, struct making *m)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return ERR_SYSTEM;
	m->pid = fork();
	if (m->pid == 0) {
		close(ends[0]);
		making_child(k, h, ends[1]);
	}
	close(ends[1]);
	m->fd = ends[0];
	return m->pid > 0 ? OK : ERR_SYSTEM;
}

static int open_space(pid_t pid, const char *kind)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kind);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int hold(struct host *h, const struct making *m)
{
	struct stat st;

	h->net = open_space(m->pid, "net");
	h->mnt = open_space(m->pid, "mnt");
	h->uts = open_space(m->pid, "uts");
	if (h->net < 0 || h->mnt < 0 || h->uts < 0 || fstat(h->net, &st) != 0)
		return ERR_SYSTEM;
	h->net_id[0] = st.st_dev;
	h->net_id[1] = st.st_ino;
	return OK;
}

static int add_links(struct keeper *k, struct host *h, unsigned index, char *why, size_t why_size)
{
	for (unsigned i = 0; i < h->plan->ninterfaces; i++) {
		struct net_link l;
		char name[24]; /* every number; names that are too long are refused */

		snprintf(name, sizeof(name), "h%u-%u", index, i);
		if (netlink_veth_add(k->net, name, h->plan->interfaces[i], h->net) != OK ||
		    netlink_link(k->net, name, &l) != OK ||
		    netlink_master_set(k->net, l.index, k->bridge) != OK ||
		    netlink_link_set(k->net, l.index, true) != OK) {
			snprintf(why, why_size, "host %s: interface %s: %s", h->plan->name,
			         h->plan->interfaces[i], netlink_error(k->net));
			return ERR_SYSTEM;
		}
		h->ports[i] = l.index;
	}
	return OK;
}

/* What the child said when it failed, if it said anything. */
static int making_failed(struct making *m, const char *first, char *why, size_t why_size)
{
	size_t len = strlen(first);
	ssize_t n;

	snprintf(why, why_size, "%s", first);
	while (len + 1 < why_size && (n = read(m->fd, why + len, why_size - len - 1)) > 0)
		len += (size_t)n;
	why[len] = '\0';
	if (len == 0)
		snprintf(why, why_size, "a host could not be made");
	return ERR_SYSTEM;
}

static int making_link(struct keeper *k, unsigned i, struct making *m, char *why, size_t why_size)
{
	char c[2] = "";

	if (read(m->fd, c, 1) != 1 || c[0] != 's')
		return making_failed(m, c, why, why_size);
	if (hold(&k->hosts[i], m) != OK) {
		snprintf(why, why_size, "host %s: cannot hold its namespaces: %s",
		         k->plan.hosts[i].name, strerror(errno));
		return ERR_SYSTEM;
	}
	if (add_links(k, &k->hosts[i], i, why, why_size) != OK)
		return ERR_SYSTEM;
	return write(m->fd, "g", 1) == 1 ? OK : making_failed(m, "", why, why_size);
}

static int making_end(struct making *m, char *why, size_t why_size)
{
	int status = 0, err = OK;

	while (waitpid(m->pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		err = making_failed(m, "", why, why_size);
	close(m->fd);
	return err;
}

static int make_bridge(struct keeper *k, char *why, size_t why_size)
{
	struct net_link l;

	if (netlink_open(&k->net) != OK) {
		snprintf(why, why_size, "netlink: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	if (netlink_bridge_add(k->net, "lab") != OK || netlink_link(k->net, "lab", &l) != OK ||
	    netlink_link_set(k->net, l.index, true) != OK) {
		snprintf(why, why_size, "cannot make a bridge: %s", netlink_error(k->net));
		return ERR_SYSTEM;
	}
	k->bridge = l.index;
	return OK;
}

int lab_build(struct keeper *k, char *why, size_t why_size)
{
	struct making *making = calloc(k->plan.nhosts, sizeof(*making));
	int err;

	if (!making) {
		snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	sysctl_set("ipv6/conf/default/disable_ipv6", "1"); /* the bridge only switches */
	err = make_bridge(k, why, why_size);
	for (unsigned i = 0; i < k->plan.nhosts && err == OK; i++) {
		err = making_start(k, &k->plan.hosts[i], &making[i]);
		if (err != OK)
			snprintf(why, why_size, "cannot start a process: %s", strerror(errno));
	}
	for (unsigned i = 0; i < k->plan.nhosts && err == OK; i++)
		err = making_link(k, i, &making[i], why, why_size);
	for (unsigned i = 0; i < k->plan.nhosts && err == OK; i++)
		err = making_end(&making[i], why, why_size);
	free(making); /* after a failure the keeper ends, and with it what is left */
	return err;
}
