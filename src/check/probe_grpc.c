/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grpc probe: grpc.health.v1.Health/Check over HTTP/2, in clear text with prior knowledge (RFC
 * 9113 section 3.3) or over TLS with ALPN "h2". Well is a server, or a service of it, that says
 * SERVING; grpc-status and grpc-message are the reason otherwise. The frames are nghttp2's. Main
 * thread of the role check.
 */
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "check/answer.h"
#include "check/probe.h"

#define PATH        "/grpc.health.v1.Health/Check"
#define HEADERS     65536 /* of one answer */
#define MESSAGE     4096
#define WORDS       ANSWER_WORDS
#define STATUS_OK   0
#define STATUS_WANT 1 /* SERVING */

/* The answer so far, and the request, which nghttp2 reads when it may. */
struct grpc {
	nghttp2_session *h2;
	unsigned http;  /* status */
	int status;     /* grpc-status; -1: not yet */
	bool ended;     /* the stream is closed */
	bool goaway;    /* the server ends the connection */
	bool violated;  /* we do: it broke the protocol */
	uint32_t error; /* of what ended it */
	char message[WORDS];
	size_t headers;
	size_t nbody;
	size_t nask;
	size_t asked;
	uint8_t ask[ANSWER_GRPC_MAX];
	char body[MESSAGE];
};

/* --- what nghttp2 calls --------------------------------------------------------------------- */

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t nname, const uint8_t *value, size_t nvalue, uint8_t flags, void *arg)
{
	struct grpc *g = arg;
	struct str key = str_n((const char *)name, nname), v = str_n((const char *)value, nvalue);
	uint64_t n;

	(void)h2;
	(void)frame;
	(void)flags;
	g->headers += nname + nvalue + 32; /* as RFC 9113 section 6.5.2 counts */
	if (g->headers > HEADERS) {
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	if (str_eq(key, STR(":status"))) {
		g->http = str_to_u64(v, 999, &n) == OK ? (unsigned)n : 0;
	} else if (str_eq(key, STR("grpc-status"))) {
		g->status = str_to_u64(v, 9999, &n) == OK ? (int)n : 9999;
	} else if (str_eq(key, STR("grpc-message"))) {
		(void)answer_grpc_message(v, g->message);
	}
	return 0;
}

static int on_chunk(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *data,
                    size_t len, void *arg)
{
	struct grpc *g = arg;

	(void)h2;
	(void)flags;
	(void)stream;
	if (len > sizeof(g->body) - g->nbody) {
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	memcpy(g->body + g->nbody, data, len);
	g->nbody += len;
	return 0;
}

static int on_closed(nghttp2_session *h2, int32_t stream, uint32_t error, void *arg)
{
	struct grpc *g = arg;

	(void)h2;
	(void)stream;
	g->ended = true;
	g->error = error;
	return 0;
}

static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct grpc *g = arg;

	(void)h2;
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
		g->violated = true;
		g->error = frame->goaway.error_code;
	}
	return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
	struct grpc *g = arg;

	(void)h2;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		g->goaway = true;
		g->error = frame->goaway.error_code;
	}
	return 0;
}

static ssize_t read_ask(nghttp2_session *h2, int32_t stream, uint8_t *buf, size_t len,
                        uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct grpc *g = source->ptr;
	size_t n = MIN(len, g->nask - g->asked);

	(void)h2;
	(void)stream;
	(void)arg;
	memcpy(buf, g->ask + g->asked, n);
	g->asked += n;
	if (g->asked == g->nask) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	}
	return (ssize_t)n;
}

/* --- asking --------------------------------------------------------------------------------- */

static nghttp2_session *session_new(struct grpc *g)
{
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *h2 = NULL;

	if (nghttp2_session_callbacks_new(&callbacks) != 0) {
		return NULL;
	}
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_closed);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	if (nghttp2_session_client_new(&h2, callbacks, g) != 0) {
		h2 = NULL;
	}
	nghttp2_session_callbacks_del(callbacks);
	return h2;
}

static nghttp2_nv field(const char *name, const char *value, size_t len)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
		             .namelen = strlen(name),
		             .value = (uint8_t *)(uintptr_t)value,
		             .valuelen = len };
}

static bool submit(struct probe *p, struct grpc *g)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS },
	};
	struct str host = p->check->host.len > 0 ? p->check->host : str_from(p->host);
	const char *scheme = p->tls != NULL ? "https" : "http";
	const nghttp2_nv fields[] = {
		field(":method", "POST", 4),
		field(":scheme", scheme, strlen(scheme)),
		field(":path", PATH, sizeof(PATH) - 1),
		field(":authority", host.s, host.len),
		field("te", "trailers", 8),
		field("content-type", "application/grpc", 16),
		field("user-agent", "holdfast-check", 14),
	};
	const nghttp2_data_provider data = { .source.ptr = g, .read_callback = read_ask };

	g->nask = answer_grpc_ask(p->check->grpc, g->ask);
	return nghttp2_submit_settings(p->grpc->h2, NGHTTP2_FLAG_NONE, settings,
	                               ARRAY_LEN(settings)) == 0 &&
	       nghttp2_submit_request(p->grpc->h2, NULL, fields, ARRAY_LEN(fields), &data, NULL) >
	           0;
}

static void no_memory(struct probe *p)
{
	p->ops->stop(p);
	probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, NULL);
}

/* Sends what nghttp2 has to say. */
static bool pump(struct probe *p)
{
	for (;;) {
		const uint8_t *out;
		ssize_t n = nghttp2_session_mem_send(p->grpc->h2, &out);

		if (n < 0) {
			no_memory(p);
			return false;
		}
		if (n == 0) {
			return true;
		}
		probe_say(p, out, (size_t)n);
	}
}

static void grpc_opened(struct probe *p)
{
	struct grpc *g;

	if (p->tls != NULL && !str_eq(tls_alpn(&p->s), STR("h2"))) {
		probe_ill(p, FAIL_TLS, "does not speak HTTP/2 (no \"h2\" by ALPN)");
		return;
	}
	g = calloc(1, sizeof(*g));
	p->grpc = g;
	if (g == NULL) {
		no_memory(p);
		return;
	}
	g->status = -1;
	g->h2 = session_new(g);
	if (g->h2 == NULL || !submit(p, g)) {
		no_memory(p);
		return;
	}
	(void)pump(p);
}

/* --- judging -------------------------------------------------------------------------------- */

static const char *status_name(int status)
{
	static const char *const names[] = {
		"OK",
		"CANCELLED",
		"UNKNOWN",
		"INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED",
		"NOT_FOUND",
		"ALREADY_EXISTS",
		"PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION",
		"ABORTED",
		"OUT_OF_RANGE",
		"UNIMPLEMENTED",
		"INTERNAL",
		"UNAVAILABLE",
		"DATA_LOSS",
		"UNAUTHENTICATED",
	};

	return status >= 0 && (size_t)status < ARRAY_LEN(names) ? names[status] : "?";
}

static void judge(struct probe *p)
{
	static const char *const health[] = { "UNKNOWN", "SERVING", "NOT_SERVING",
		                              "SERVICE_UNKNOWN" };
	const struct grpc *g = p->grpc;
	uint64_t status = 0;

	if (g->violated) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not HTTP/2 as it should be: %s",
		          nghttp2_http2_strerror(g->error));
	} else if (g->http == 0) {
		probe_ill(p, FAIL_BAD_RESPONSE, "%s: %s", g->goaway ? "GOAWAY" : "stream reset",
		          nghttp2_http2_strerror(g->error));
	} else if (g->status < 0 && g->http != 200) {
		probe_ill(p, FAIL_STATUS, "HTTP %u", g->http);
	} else if (g->status < 0) {
		probe_ill(p, FAIL_BAD_RESPONSE, "no grpc-status");
	} else if (g->status != STATUS_OK) {
		probe_ill(p, FAIL_STATUS, "grpc-status %d %s%s%s", g->status,
		          status_name(g->status), g->message[0] != '\0' ? ": " : "", g->message);
	} else if (answer_grpc_health(str_n(g->body, g->nbody), &status) <= 0) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not an answer of grpc.health.v1");
	} else if (status != STATUS_WANT) {
		probe_ill(p, FAIL_STATUS, "%s",
		          status < ARRAY_LEN(health) ? health[status] : "an unknown status");
	} else {
		probe_well(p);
	}
}

static size_t grpc_take(struct probe *p, struct str got)
{
	ssize_t n = nghttp2_session_mem_recv(p->grpc->h2, (const uint8_t *)got.s, got.len);

	if (n < 0) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not HTTP/2 as it should be: %s",
		          nghttp2_strerror((int)n));
		return 0;
	}
	if (!pump(p)) {
		return 0;
	}
	if (p->grpc->violated || !nghttp2_session_want_read(p->grpc->h2)) {
		judge(p);
	} else if (p->grpc->ended) {
		(void)nghttp2_session_terminate_session(p->grpc->h2, NGHTTP2_NO_ERROR);
		if (pump(p)) {
			judge(p);
		}
	}
	return got.len;
}

static void grpc_ended(struct probe *p)
{
	bool said = p->grpc != NULL && p->grpc->http != 0;

	probe_ill(p, said ? FAIL_CUT : FAIL_CLOSED, "%s", fail_text(said ? FAIL_CUT : FAIL_CLOSED));
}

static void grpc_stop(struct probe *p)
{
	if (p->grpc != NULL) {
		nghttp2_session_del(p->grpc->h2);
		free(p->grpc);
		p->grpc = NULL;
	}
	probe_talk_stop(p);
}

const struct probe_ops probe_grpc = {
	.name = "grpc",
	.start = probe_talk_start,
	.io = probe_talk_io,
	.opened = grpc_opened,
	.take = grpc_take,
	.ended = grpc_ended,
	.stop = grpc_stop,
	.timed_out = probe_link_timed_out,
};
