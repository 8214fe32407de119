/* SPDX-License-Identifier: Apache-2.0 */
/* Words for the failures of servers. Pure functions; any role, any thread. */
#include "stat/fail.h"

#include <errno.h>

#include "base/check.h"

const char *fail_text(enum fail_why why)
{
	static const char *const texts[] = {
#define FAIL_TEXT(name, text) text,
		FAIL_ROWS(FAIL_TEXT)
#undef FAIL_TEXT
	};

	return (unsigned)why < ARRAY_LEN(texts) ? texts[why] : "unknown";
}

enum fail_why fail_errno(int err)
{
	switch (err) {
	case 0:
		return FAIL_NONE;
	case ECONNREFUSED:
	case EAGAIN: /* a unix socket whose queue is full */
		return FAIL_REFUSED;
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
		return FAIL_UNREACHABLE;
	case ETIMEDOUT:
		return FAIL_CONNECT_TIMEOUT;
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
		return FAIL_RESET;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EADDRNOTAVAIL: /* no local port is free */
		return FAIL_LOCAL;
	default:
		return FAIL_CONNECT;
	}
}
