/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and networks as a file may hold them: what is taken prints as text that is taken again
 * and means the same. */
#include "base/check.h"
#include "base/err.h"
#include "net/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_address(struct str text)
{
	struct net_addr a, again;
	char out[NET_ADDR_TEXT], host[NET_ADDR_TEXT];
	const char *why = NULL;
	int err = net_addr_parse(text, &a, &why);

	if (err != OK) {
		CHECK(why != NULL && (err == ERR_INVALID || err == ERR_NOT_FOUND));
		return;
	}
	net_addr_format(&a, out);
	CHECK(strlen(out) < sizeof(out) && strlen(net_addr_host(&a, host)) < sizeof(host));
	CHECK(net_addr_parse(str_from(out), &again, NULL) == OK);
	/* An IPv4-mapped address comes back as the IPv4 one that it means. */
	CHECK(net_addr_eq(&a, &again) ||
	      (a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr)));
}

static void try_network(struct str text)
{
	struct net_cidr n, again;
	char out[NET_ADDR_TEXT];

	if (net_cidr_parse(text, &n) != OK) {
		return;
	}
	net_cidr_format(&n, out);
	CHECK(net_cidr_parse(str_from(out), &again) == OK);
	CHECK(n.bits == again.bits && memcmp(n.bytes, again.bytes, sizeof(n.bytes)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_n((const char *)data, size);

	try_address(text);
	try_network(text);
	return 0;
}
