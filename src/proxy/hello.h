/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at a TLS ClientHello without ending TLS: the host name in its server_name extension
 * (RFC 6066, 3). Pure: bytes that came so far in, what they say out. The hello may lie in several
 * records (RFC 8446, 5.1), and the records in several segments.
 */
#ifndef PROXY_HELLO_H
#define PROXY_HELLO_H

#include "base/str.h"

#define HELLO_MAX  16384 /* bytes, records' headers included, that are looked at */
#define HELLO_NAME 256

enum hello {
	HELLO_MORE,     /* not whole yet */
	HELLO_NAMED,    /* it names a host */
	HELLO_NAMELESS, /* a ClientHello without server_name */
	HELLO_OTHER,    /* this is no TLS */
	HELLO_BAD,      /* TLS, and broken or too large */
};

/* name: the host, in lower case, without a dot at its end; lies in out. *ret_why (a static
 * sentence) is set with HELLO_OTHER and HELLO_BAD. */
enum hello hello_read(const void *data, size_t len, char out[HELLO_NAME], struct str *ret_name,
                      const char **ret_why);

#endif
