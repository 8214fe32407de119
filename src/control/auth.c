/* SPDX-License-Identifier: Apache-2.0 */
/* Who may change things over TCP: whoever knows the token, from a page that is no stranger's. */
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "control/api.h"

/* Compares in a time that tells nothing about where, or by how much, they differ. */
static bool same_secret(struct str a, struct str b)
{
	unsigned char da[SHA256_DIGEST_LENGTH];
	unsigned char db[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)a.s, a.len, da);
	SHA256((const unsigned char *)b.s, b.len, db);
	return CRYPTO_memcmp(da, db, sizeof(da)) == 0;
}

/* RFC 6750, 2.1: "Bearer" without regard to case, blanks, the token. */
static struct str bearer(struct str value)
{
	struct str rest;
	struct str scheme = str_split(value, ' ', &rest);

	return str_eq_nocase(scheme, STR("Bearer")) ? str_trim(rest) : STR_NONE;
}

/* Without the port, as configured: "*:8404" gives "*". */
static struct str bind_host(const struct conf *c)
{
	return http_host_name(c->control.bind_text);
}

static bool is_address(struct str host)
{
	struct net_cidr ignored;

	if (host.len > 2 && host.s[0] == '[' && host.s[host.len - 1] == ']')
		host = str_n(host.s + 1, host.len - 2);
	return net_cidr_parse(host, &ignored) == OK && memchr(host.s, '/', host.len) == NULL;
}

/*
 * A web page of a stranger can make a browser send requests to a name that it lets resolve to our
 * address (DNS rebinding). Such a request names a host that is neither an address, nor localhost,
 * nor what the configuration says.
 */
static bool host_is_ours(const struct conf *c, struct str host)
{
	struct str name = http_host_name(host);

	return name.len > 0 && (is_address(name) || str_eq_nocase(name, STR("localhost")) ||
	                        str_eq_nocase(name, bind_host(c)));
}

bool api_may_change(const struct conf *c, const struct api_request *q, struct api_answer *ans)
{
	if (q->local)
		return true;
	if (!host_is_ours(c, q->host)) {
		api_error(ans, 403,
		          "changes are taken only where Host is an address, localhost or the name "
		          "in control.bind");
		return false;
	}
	if (c->control.token.len == 0) {
		api_error(ans, 403,
		          "no changes over TCP: control.token is not configured; use the control "
		          "socket");
		return false;
	}
	if (!same_secret(bearer(q->authorization), c->control.token)) {
		api_error(ans, 401,
		          q->authorization.len == 0
		              ? "changes over TCP need \"Authorization: Bearer TOKEN\""
		              : "the token is not the one in control.token");
		ans->extra = "WWW-Authenticate: Bearer realm=\"holdfast\"\r\n";
		return false;
	}
	return true;
}
