/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of our own to gRPC's clients; see grpc.h. Any thread. */
#include "proxy/grpc.h"

#include <nghttp2/nghttp2.h>

#include "base/check.h"

#define MAX_MESSAGE 1024

bool grpc_is_type(struct str type)
{
	const struct str grpc = STR("application/grpc");

	if (type.len < grpc.len || !str_eq_nocase(str_n(type.s, grpc.len), grpc))
		return false;
	return type.len == grpc.len || type.s[grpc.len] == '+' || type.s[grpc.len] == ';' ||
	       type.s[grpc.len] == ' ';
}

enum grpc_status grpc_status_http(unsigned status)
{
	switch (status) {
	case 400:
	case 500:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
	case 405:
	case 501:
		return GRPC_UNIMPLEMENTED;
	/* The call may have been executed: not UNAVAILABLE, after which clients try again. */
	case 408:
	case 504:
		return GRPC_DEADLINE_EXCEEDED;
	case 413:
	case 414:
	case 431:
		return GRPC_RESOURCE_EXHAUSTED;
	case 429:
	case 502:
	case 503:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

enum grpc_status grpc_status_reset(uint32_t code)
{
	switch (code) {
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_INTERNAL;
	}
}

void grpc_lines(enum grpc_status status, struct str message, struct buf *out)
{
	buf_printf(out, "grpc-status: %d\r\ngrpc-message: ", (int)status);
	for (size_t i = 0; i < MIN(message.len, MAX_MESSAGE); i++) {
		const unsigned char c = (unsigned char)message.s[i];

		if (c < 0x20 || c > 0x7e || c == '%' || (c == ' ' && i + 1 == message.len))
			buf_printf(out, "%%%02X", c);
		else
			buf_addc(out, (char)c);
	}
	buf_adds(out, "\r\n");
}

void grpc_page(enum grpc_status status, struct str message, struct str request_id, struct buf *out)
{
	buf_adds(out, "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n");
	grpc_lines(status, message, out);
	if (request_id.len > 0)
		buf_printf(out, "X-Request-Id: %.*s\r\n", STR_ARG(request_id));
	buf_adds(out, "\r\n");
}
