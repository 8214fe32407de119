/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses from text. Pure but for net_resolve, which asks the system's resolver. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

#define NAME_MAX_LEN 253 /* of a host name in DNS (RFC 1035, section 2.3.4) */

static int refuse(const char **ret_why, int err, const char *why)
{
	if (ret_why != NULL) {
		*ret_why = why;
	}
	return err;
}

static int parse_unix(struct str path, struct net_addr *ret, const char **ret_why)
{
	if (path.len == 0 || path.s[0] != '/') {
		return refuse(ret_why, ERR_INVALID, "the path of a unix socket must begin with /");
	}
	if (path.len >= sizeof(ret->un.sun_path)) {
		return refuse(ret_why, ERR_INVALID,
		              "the path of a unix socket has at most 107 bytes");
	}
	if (memchr(path.s, '\0', path.len) != NULL) {
		return refuse(ret_why, ERR_INVALID, "the path of a unix socket has a NUL byte");
	}
	ret->un.sun_family = AF_UNIX;
	memcpy(ret->un.sun_path, path.s, path.len);
	ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
	return OK;
}

/* "host:port" into its parts; brackets are taken off and *ret_v6 set. */
static int split_host_port(struct str text, struct str *host, uint16_t *port, bool *ret_v6,
                           const char **ret_why)
{
	struct str digits;
	uint64_t n;
	size_t colon;

	*ret_v6 = text.len > 0 && text.s[0] == '[';
	if (*ret_v6) {
		*host = str_split(str_n(text.s + 1, text.len - 1), ']', &digits);
		if (digits.s == NULL) {
			return refuse(ret_why, ERR_INVALID, "the closing ] is missing");
		}
		if (digits.len == 0 || digits.s[0] != ':') {
			return refuse(ret_why, ERR_INVALID, "a port must follow, as in [::1]:80");
		}
		digits = str_n(digits.s + 1, digits.len - 1);
	} else {
		for (colon = text.len; colon > 0 && text.s[colon - 1] != ':'; colon--) {
		}
		if (colon == 0) {
			return refuse(ret_why, ERR_INVALID, "the port is missing, as in HOST:80");
		}
		*host = str_n(text.s, colon - 1);
		digits = str_n(text.s + colon, text.len - colon);
		if (host->len > 0 && memchr(host->s, ':', host->len) != NULL) {
			return refuse(ret_why, ERR_INVALID,
			              "an IPv6 address needs brackets, as in [::1]:80");
		}
	}
	if (host->len == 0) {
		return refuse(ret_why, ERR_INVALID, "the address before the port is missing");
	}
	if (str_to_u64(digits, 65535, &n) != OK || n == 0) {
		return refuse(ret_why, ERR_INVALID, "the port must be a number from 1 to 65535");
	}
	*port = (uint16_t)n;
	return OK;
}

/* "fe80::1" or, with a zone (RFC 4007, section 11), "fe80::1%eth0". */
static int parse_v6(struct str host, struct net_addr *ret, const char **ret_why)
{
	char text[INET6_ADDRSTRLEN], zone_name[IF_NAMESIZE];
	struct str zone, address = str_split(host, '%', &zone);
	uint64_t n = 0;

	if (address.len >= sizeof(text) || memchr(address.s, '\0', address.len) != NULL) {
		return refuse(ret_why, ERR_INVALID, "not an IPv6 address");
	}
	memcpy(text, address.s, address.len);
	text[address.len] = '\0';
	if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) != 1) {
		return refuse(ret_why, ERR_INVALID, "not an IPv6 address");
	}
	if (zone.s != NULL && str_to_u64(zone, UINT32_MAX, &n) != OK) {
		if (zone.len == 0 || zone.len >= sizeof(zone_name)) {
			return refuse(ret_why, ERR_INVALID, "no such interface after %");
		}
		memcpy(zone_name, zone.s, zone.len);
		zone_name[zone.len] = '\0';
		n = if_nametoindex(zone_name);
		if (n == 0) {
			return refuse(ret_why, ERR_INVALID, "no such interface after %");
		}
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_scope_id = (uint32_t)n;
	ret->len = sizeof(ret->in6);
	return OK;
}

static bool is_name(struct str host)
{
	bool letter = false;

	for (size_t i = 0; i < host.len; i++) {
		char c = host.s[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') {
			letter = true;
		} else if (!(c >= '0' && c <= '9') && c != '-' && c != '.') {
			return false;
		}
	}
	return letter && host.len <= NAME_MAX_LEN && host.s[0] != '.' && host.s[0] != '-';
}

static int parse_v4(struct str host, struct net_addr *ret, const char **ret_why)
{
	char text[INET_ADDRSTRLEN];

	if (host.len < sizeof(text) && memchr(host.s, '\0', host.len) == NULL) {
		memcpy(text, host.s, host.len);
		text[host.len] = '\0';
		if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
			ret->in.sin_family = AF_INET;
			ret->len = sizeof(ret->in);
			return OK;
		}
	}
	if (is_name(host)) {
		return refuse(ret_why, ERR_NOT_FOUND, "a name is not possible here, an address is");
	}
	return refuse(ret_why, ERR_INVALID, "neither an IP address nor a host name");
}

int net_addr_parse(struct str text, struct net_addr *ret, const char **ret_why)
{
	struct str host;
	uint16_t port;
	bool v6;
	int err;

	memset(ret, 0, sizeof(*ret));
	if (str_starts(text, STR("unix:"))) {
		return parse_unix(str_n(text.s + 5, text.len - 5), ret, ret_why);
	}
	err = split_host_port(text, &host, &port, &v6, ret_why);
	if (err != OK) {
		return err;
	}
	if (!v6 && str_eq(host, STR("*"))) {
		ret->in6.sin6_family = AF_INET6;
		ret->len = sizeof(ret->in6);
		ret->wildcard = true;
		v6 = true;
	} else {
		err = v6 ? parse_v6(host, ret, ret_why) : parse_v4(host, ret, ret_why);
		if (err != OK) {
			return err;
		}
	}
	if (v6) {
		ret->in6.sin6_port = htons(port);
	} else {
		ret->in.sin_port = htons(port);
	}
	return OK;
}

int net_ip_parse(struct str text, struct net_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (memchr(text.s, ':', text.len) == NULL) {
		return parse_v4(text, ret, NULL) == OK ? OK : ERR_INVALID;
	}
	return memchr(text.s, '%', text.len) != NULL ? ERR_INVALID : parse_v6(text, ret, NULL);
}

static const struct addrinfo *choose(const struct addrinfo *list)
{
	for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
		if (i->ai_family == AF_INET) {
			return i;
		}
	}
	for (const struct addrinfo *i = list; i != NULL; i = i->ai_next) {
		if (i->ai_family == AF_INET6) {
			return i;
		}
	}
	return NULL;
}

int net_resolve(struct str text, struct net_addr *ret, const char **ret_why)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const struct addrinfo *found;
	struct addrinfo *list;
	char name[NAME_MAX_LEN + 1], service[8];
	struct str host;
	uint16_t port;
	bool v6;
	int err = net_addr_parse(text, ret, ret_why);

	if (err != ERR_NOT_FOUND) {
		return err;
	}
	split_host_port(text, &host, &port, &v6, NULL);
	memcpy(name, host.s, host.len); /* is_name() has looked at it */
	name[host.len] = '\0';
	snprintf(service, sizeof(service), "%u", port);
	err = getaddrinfo(name, service, &hints, &list);
	if (err != 0) {
		return refuse(ret_why, ERR_NOT_FOUND, gai_strerror(err));
	}
	found = choose(list);
	if (found != NULL && found->ai_addrlen <= sizeof(ret->in6)) {
		memset(ret, 0, sizeof(*ret));
		memcpy(&ret->sa, found->ai_addr, found->ai_addrlen);
		ret->len = found->ai_addrlen;
		err = OK;
	} else {
		err = refuse(ret_why, ERR_NOT_FOUND, "the name has no address");
	}
	freeaddrinfo(list);
	return err;
}
