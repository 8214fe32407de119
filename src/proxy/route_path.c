/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and hosts in the form that routes are compared in. Pure; any thread of the proxy. */
#include "proxy/route_path.h"

#include <stdlib.h>

#include "base/check.h"
#include "http/http.h"

/* Whether a path is in its clean form already, as nearly every one is. */
static bool is_clean(struct str p)
{
	if (p.len == 0 || p.s[0] != '/' || memchr(p.s, '%', p.len) != NULL)
		return false;
	for (const char *at = p.s, *end = p.s + p.len; at != NULL;) {
		/* at is a '/': no second one and no dot may follow. */
		if (at + 1 < end && (at[1] == '/' || at[1] == '.'))
			return false;
		at = memchr(at + 1, '/', (size_t)(end - at - 1));
	}
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static size_t decode(struct str p, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < p.len; i++) {
		if (p.s[i] == '%' && i + 2 < p.len && hex(p.s[i + 1]) >= 0 &&
		    hex(p.s[i + 2]) >= 0) {
			out[n++] = (char)(hex(p.s[i + 1]) << 4 | hex(p.s[i + 2]));
			i += 2;
		} else {
			out[n++] = p.s[i];
		}
	}
	return n;
}

/* 1 for ".", 2 for "..", with or without ";parameters"; else 0. */
static unsigned dots(const char *s, size_t len)
{
	const char *end = memchr(s, ';', len);
	size_t n = end != NULL ? (size_t)(end - s) : len;

	if (n == 1 && s[0] == '.')
		return 1;
	return n == 2 && s[0] == '.' && s[1] == '.' ? 2 : 0;
}

/* Removes dot segments and doubled slashes in place; s[0] is '/'. Returns the length. */
static size_t flatten(char *s, size_t len)
{
	size_t out = 1, in = 1;

	/* s[0 … out) is done and ends with '/'. */
	while (in < len) {
		char *slash = memchr(s + in, '/', len - in);
		size_t n = slash != NULL ? (size_t)(slash - (s + in)) : len - in;
		unsigned up = dots(s + in, n);

		if (up == 2 && out > 1) {
			while (s[--out - 1] != '/')
				;
		} else if (up == 0 && n > 0) {
			memmove(s + out, s + in, n);
			out += n;
			if (slash != NULL)
				s[out++] = '/';
		}
		in += n + 1;
	}
	return out;
}

struct str route_path_clean(struct str path, struct route_path *room)
{
	char *out = room->room;
	size_t n;

	room->big = NULL;
	if (likely(is_clean(path)))
		return path;
	if (path.len == 0 || path.s[0] != '/')
		return STR("/");
	if (path.len > ROUTE_PATH_ROOM) {
		out = room->big = malloc(path.len);
		if (out == NULL)
			return STR_NONE;
	}
	n = decode(path, out);
	return str_n(out, flatten(out, n));
}

void route_path_free(struct route_path *room)
{
	free(room->big);
	room->big = NULL;
}

struct str route_host_clean(struct str host, char out[ROUTE_HOST_ROOM])
{
	struct str name = http_host_name(host);

	if (name.len > 0 && name.s[name.len - 1] == '.')
		name.len--;
	if (name.len > ROUTE_HOST_ROOM)
		return STR_NONE;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.s[i];

		out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	return str_n(out, name.len);
}

bool route_path_below(struct str path, struct str prefix)
{
	if (!str_starts(path, prefix))
		return false;
	return path.len == prefix.len || path.s[prefix.len] == '/' ||
	       (prefix.len > 0 && prefix.s[prefix.len - 1] == '/');
}
