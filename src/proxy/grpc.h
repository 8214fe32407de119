/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gRPC's clients need to understand an answer that is ours: a status of gRPC in trailers, or
 * in a head that stands for them, instead of a status of HTTP. By the gRPC protocol over HTTP/2 and
 * its table of HTTP statuses and error codes. Pure functions.
 */
#ifndef PROXY_GRPC_H
#define PROXY_GRPC_H

#include "base/buf.h"

#define GRPC_STATUS_ROWS(X) \
	X(OK, 0) \
	X(CANCELLED, 1) \
	X(UNKNOWN, 2) \
	X(DEADLINE_EXCEEDED, 4) \
	X(PERMISSION_DENIED, 7) \
	X(RESOURCE_EXHAUSTED, 8) \
	X(UNIMPLEMENTED, 12) \
	X(INTERNAL, 13) \
	X(UNAVAILABLE, 14) \
	X(UNAUTHENTICATED, 16)

enum grpc_status {
#define GRPC_ENUM(name, code) GRPC_##name = (code),
	GRPC_STATUS_ROWS(GRPC_ENUM)
#undef GRPC_ENUM
};

/* Whether a Content-Type is gRPC's; gRPC-Web is something else. */
bool grpc_is_type(struct str content_type);
/* For an answer of ours that would have had this status. */
enum grpc_status grpc_status_http(unsigned status);
/* For a stream that the server reset with this error code (RFC 9113, 7). */
enum grpc_status grpc_status_reset(uint32_t code);
/* "grpc-status: …" and "grpc-message: …" as lines; the message, at most 1 KiB of it, with what may
 * not stand in a field percent-encoded. */
void grpc_lines(enum grpc_status status, struct str message, struct buf *out);
/* A whole answer as HTTP/1.1 text without a body: for HTTP/2 a head that ends the stream. */
void grpc_page(enum grpc_status status, struct str message, struct str request_id, struct buf *out);

#endif
