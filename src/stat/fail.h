/* SPDX-License-Identifier: Apache-2.0 */
/* Why a server failed, as live traffic and probes see it: one row each, with the words of reasons,
 * logs and metrics. */
#ifndef STAT_FAIL_H
#define STAT_FAIL_H

#define FAIL_ROWS(X) \
	X(NONE, "none") \
	X(REFUSED, "connect refused") \
	X(UNREACHABLE, "unreachable") \
	X(CONNECT_TIMEOUT, "connect timed out") \
	X(CONNECT, "connect failed") \
	X(RESET, "connection reset") \
	X(CLOSED, "closed without an answer") \
	X(TIMEOUT, "answer timed out") \
	X(BAD_RESPONSE, "invalid response") \
	X(CUT, "response cut short") \
	X(STATUS, "unexpected status") \
	X(MATCH, "body does not match") \
	X(EXIT, "program failed") \
	X(LOCAL, "no local resources") \
	X(TLS, "TLS handshake failed") \
	X(HTTP2, "no HTTP/2, or an invalid one") \
	X(STREAM, "request reset by the server") \
	X(UNPROCESSED, "request refused unprocessed") \
	X(TLS_TIMEOUT, "TLS handshake timed out") \
	X(WEBSOCKET, "WebSocket over HTTP/2 (RFC 8441) is not offered")

enum fail_why {
#define FAIL_ENUM(name, text) FAIL_##name,
	FAIL_ROWS(FAIL_ENUM)
#undef FAIL_ENUM
	    FAILS
};

const char *fail_text(enum fail_why why);
/* The reason for an errno of connect, read or write. */
enum fail_why fail_errno(int err);

#endif
