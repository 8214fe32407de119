/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel by rtnetlink, and watching for its changes (see netlink.h). Any role, the
 * thread that owns the socket.
 */
#include "net/netlink_impl.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

/* The kernel answers at once; a socket on which it does not is broken. */
#define WAIT_S 5
/* Dumps that are disturbed so often belong to a machine that never stands still. */
#define DUMP_TRIES 16

static int open_on(int bus, struct netlink **ret)
{
	struct netlink *n = calloc(1, sizeof(*n));
	struct timeval wait = { .tv_sec = WAIT_S };
	int on = 1, saved;

	if (n == NULL) {
		return ERR_NOMEM;
	}
	n->sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (n->sock == NULL) {
		goto failed;
	}
	/* Old kernels lack the first three; what they bring is then missing, not wrong. */
	(void)mnl_socket_setsockopt(n->sock, NETLINK_EXT_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(n->sock, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)mnl_socket_setsockopt(n->sock, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	if (setsockopt(mnl_socket_get_fd(n->sock), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) <
	        0 ||
	    mnl_socket_bind(n->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		goto failed;
	}
	*ret = n;
	return OK;
failed:
	saved = errno;
	netlink_close(n);
	errno = saved;
	return ERR_SYSTEM;
}

int netlink_open(struct netlink **ret)
{
	return open_on(NETLINK_ROUTE, ret);
}

int netlink_open_sockets(struct netlink **ret)
{
	return open_on(NETLINK_SOCK_DIAG, ret);
}

void netlink_close(struct netlink *n)
{
	if (n == NULL) {
		return;
	}
	if (n->sock != NULL) {
		mnl_socket_close(n->sock);
	}
	free(n);
}

const char *netlink_error(const struct netlink *n)
{
	return n->error;
}

struct nlmsghdr *netlink_begin(struct netlink *n, int type, int flags, size_t extra)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(n->out);

	h->nlmsg_type = (uint16_t)type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	mnl_nlmsg_put_extra_header(h, extra);
	return h;
}

static int failed_with(struct netlink *n, int error, const char *words)
{
	snprintf(n->error, sizeof(n->error), "%s", words != NULL ? words : strerror(error));
	errno = error;
	switch (error) {
	case ENODEV:
	case ENOENT:
	case ESRCH:
	case EADDRNOTAVAIL:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EPERM:
	case EACCES:
		return ERR_DENIED;
	default:
		return ERR_SYSTEM;
	}
}

/* NLMSG_ERROR: error 0 is an acknowledgement. Its words follow the head of the request, or the
 * whole request where the kernel did not cap it. */
static int take_error(struct netlink *n, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;
	const char *words = NULL;
	size_t skip = sizeof(*e);

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*e)) {
		return failed_with(n, EBADMSG, NULL);
	}
	if (e->error == 0) {
		return OK;
	}
	if ((h->nlmsg_flags & NLM_F_CAPPED) == 0) {
		skip += MNL_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	}
	if ((h->nlmsg_flags & NLM_F_ACK_TLVS) != 0 && skip <= mnl_nlmsg_get_payload_len(h)) {
		mnl_attr_for_each(attr, h, (unsigned)skip)
		{
			if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
			    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0) {
				words = mnl_attr_get_str(attr);
			}
		}
	}
	return failed_with(n, -e->error, words);
}

static int take_done(struct netlink *n, const struct nlmsghdr *h, bool disturbed)
{
	int error = 0;

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(error)) {
		memcpy(&error, mnl_nlmsg_get_payload(h), sizeof(error));
	}
	if (error < 0) {
		return failed_with(n, -error, NULL);
	}
	return disturbed ? ERR_AGAIN : OK;
}

/* Until the acknowledgement or the end of the dump; ERR_AGAIN when a dump was disturbed. */
static int receive(struct netlink *n, netlink_fn *fn, void *arg)
{
	bool disturbed = false;

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(n->sock, n->in, sizeof(n->in));
		const struct nlmsghdr *h = (const void *)n->in;
		int left = (int)len;

		if (len < 0 && errno == EINTR) {
			continue;
		}
		if (len < 0) {
			return failed_with(n, errno == EAGAIN ? ETIMEDOUT : errno, NULL);
		}
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			/* What an earlier request left behind. */
			if (h->nlmsg_seq != n->seq ||
			    !mnl_nlmsg_portid_ok(h, mnl_socket_get_portid(n->sock))) {
				continue;
			}
			disturbed = disturbed || (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
			if (h->nlmsg_type == NLMSG_ERROR) {
				return take_error(n, h);
			}
			if (h->nlmsg_type == NLMSG_DONE) {
				return take_done(n, h, disturbed);
			}
			if (h->nlmsg_type >= NLMSG_MIN_TYPE && fn != NULL) {
				fn(arg, h);
			}
		}
	}
}

static int exchange(struct netlink *n, struct nlmsghdr *h, netlink_fn *fn, void *arg)
{
	CHECK(h->nlmsg_len <= NETLINK_OUT);
	h->nlmsg_seq = ++n->seq;
	n->error[0] = '\0';
	if (mnl_socket_sendto(n->sock, h, h->nlmsg_len) < 0) {
		return failed_with(n, errno, NULL);
	}
	return receive(n, fn, arg);
}

int netlink_do(struct netlink *n, struct nlmsghdr *h, netlink_fn *fn, void *arg)
{
	h->nlmsg_flags |= NLM_F_ACK;
	return exchange(n, h, fn, arg);
}

struct collected {
	struct buf messages; /* each aligned, as the kernel does it */
	netlink_want *want;
	void *arg;
};

static void collect(void *arg, const struct nlmsghdr *h)
{
	struct collected *c = arg;

	if (c->want == NULL || c->want(c->arg, h)) {
		buf_add(&c->messages, h, MNL_ALIGN(h->nlmsg_len));
	}
}

int netlink_dump(struct netlink *n, struct nlmsghdr *h, netlink_want *want, netlink_fn *fn,
                 void *arg)
{
	struct collected c = { .messages = BUF_INIT, .want = want, .arg = arg };
	const struct nlmsghdr *m;
	int err = ERR_AGAIN, left;

	for (unsigned i = 0; i < DUMP_TRIES && err == ERR_AGAIN; i++) {
		c.messages.len = 0;
		err = exchange(n, h, collect, &c);
	}
	if (c.messages.failed) {
		err = ERR_NOMEM;
	}
	if (err == ERR_AGAIN) {
		err = failed_with(n, EINTR, "the network changes all the time");
	}
	if (err == OK && c.messages.len > 0) {
		left = (int)c.messages.len;
		for (m = (const void *)c.messages.p; mnl_nlmsg_ok(m, left);
		     m = mnl_nlmsg_next(m, &left)) {
			fn(arg, m);
		}
	}
	buf_free(&c.messages);
	return err;
}

static const void *ip_bytes(const struct net_addr *a, size_t *ret_len)
{
	if (a->sa.sa_family == AF_INET6) {
		*ret_len = sizeof(a->in6.sin6_addr);
		return &a->in6.sin6_addr;
	}
	CHECK(a->sa.sa_family == AF_INET);
	*ret_len = sizeof(a->in.sin_addr);
	return &a->in.sin_addr;
}

void netlink_put_ip(struct nlmsghdr *h, uint16_t type, const struct net_addr *a)
{
	size_t len;
	const void *bytes = ip_bytes(a, &len);

	mnl_attr_put(h, type, len, bytes);
}

bool netlink_get_ip(const struct nlattr *attr, int family, struct net_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET && mnl_attr_get_payload_len(attr) == sizeof(ret->in.sin_addr)) {
		ret->in.sin_family = AF_INET;
		memcpy(&ret->in.sin_addr, mnl_attr_get_payload(attr), sizeof(ret->in.sin_addr));
		ret->len = sizeof(ret->in);
		return true;
	}
	if (family == AF_INET6 && mnl_attr_get_payload_len(attr) == sizeof(ret->in6.sin6_addr)) {
		ret->in6.sin6_family = AF_INET6;
		memcpy(&ret->in6.sin6_addr, mnl_attr_get_payload(attr), sizeof(ret->in6.sin6_addr));
		ret->len = sizeof(ret->in6);
		return true;
	}
	return false;
}

/* --- watching ------------------------------------------------------------------------------- */

int netlink_watch(void)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK,
		                  .nl_groups =
		                      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int saved;

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return ERR_SYSTEM;
	}
	return fd;
}

/* Holdfast renews its addresses each second: no news. */
static bool renewal(const struct nlmsghdr *h)
{
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWADDR) {
		return false;
	}
	mnl_attr_for_each(attr, h, sizeof(struct ifaddrmsg))
	{
		if (mnl_attr_get_type(attr) == IFA_PROTO &&
		    mnl_attr_validate(attr, MNL_TYPE_U8) >= 0) {
			return mnl_attr_get_u8(attr) == NETLINK_PROTO_HOLDFAST;
		}
	}
	return false;
}

bool netlink_watched(int fd)
{
	_Alignas(struct nlmsghdr) char in[NETLINK_IN];
	bool news = false;

	for (;;) {
		ssize_t len = recv(fd, in, sizeof(in), MSG_DONTWAIT);
		const struct nlmsghdr *h = (const void *)in;
		int left = (int)len;

		if (len < 0 && errno == EINTR) {
			continue;
		}
		if (len < 0 && errno == ENOBUFS) {
			news = true; /* messages were lost; those that remain follow */
			continue;
		}
		if (len <= 0) {
			return news;
		}
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			news = news || !renewal(h);
		}
	}
}
