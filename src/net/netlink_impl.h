/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of netlink.h share: a request is begun, filled with attributes and done. */
#ifndef NET_NETLINK_IMPL_H
#define NET_NETLINK_IMPL_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "net/netlink.h"

#define NETLINK_ERROR 160
/* Of a request, attributes of strangers' lengths are not among them; of an answer, what the kernel
 * puts into one part of a dump at most. */
#define NETLINK_OUT 4096
#define NETLINK_IN  32768

struct netlink {
	struct mnl_socket *sock;
	uint32_t seq;
	char error[NETLINK_ERROR];
	_Alignas(struct nlmsghdr) char out[NETLINK_OUT];
	_Alignas(struct nlmsghdr) char in[NETLINK_IN];
};

typedef void netlink_fn(void *arg, const struct nlmsghdr *h);
typedef bool netlink_want(void *arg, const struct nlmsghdr *h);

/* A request with its fixed header of `extra` bytes, zeroed; flags beside NLM_F_REQUEST. */
struct nlmsghdr *netlink_begin(struct netlink *n, int type, int flags, size_t extra);
/* Sends what was begun and waits for its end; fn (may be NULL) gets what it answers. OK,
 * ERR_NOT_FOUND, ERR_EXISTS, ERR_DENIED, ERR_SYSTEM, ERR_NOMEM; errno is the kernel's. */
int netlink_do(struct netlink *n, struct nlmsghdr *h, netlink_fn *fn, void *arg);
/* A dump: what was begun with NLM_F_DUMP. fn (NULL, where nothing is wanted) is called for what is
 * wanted (NULL: all) only when the dump is complete and was not disturbed, and may use n. want must
 * not, and sees the same twice where a dump is repeated. */
int netlink_dump(struct netlink *n, struct nlmsghdr *h, netlink_want *want, netlink_fn *fn,
                 void *arg);

/* The IP address of a, without its port. */
void netlink_put_ip(struct nlmsghdr *h, uint16_t type, const struct net_addr *a);
/* false: not an address of that family. */
bool netlink_get_ip(const struct nlattr *attr, int family, struct net_addr *ret);

#endif
