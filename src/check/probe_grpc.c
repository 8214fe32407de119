/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grpc probe: grpc.health.v1.Health/Check over HTTP/2. Well is a server, or a service of it,
 * that says SERVING; grpc-status and grpc-message are the reason otherwise. Main thread of the role
 * check.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "check/answer.h"
#include "check/h2.h"

#define PATH        "/grpc.health.v1.Health/Check"
#define MESSAGE     4096
#define STATUS_OK   0
#define STATUS_WANT 1 /* SERVING */

/* The answer so far, and the request, which nghttp2 reads when it may. */
struct grpc {
	struct h2 h2;
	unsigned http; /* status */
	int status;    /* grpc-status; -1: not yet */
	char message[ANSWER_WORDS];
	size_t nbody;
	size_t nask;
	size_t asked;
	uint8_t ask[ANSWER_GRPC_MAX];
	char body[MESSAGE];
};

static struct grpc *of(struct probe *p)
{
	return CONTAINER_OF(p->h2, struct grpc, h2);
}

static void grpc_field(struct probe *p, struct str name, struct str value)
{
	struct grpc *g = of(p);
	uint64_t n;

	if (str_eq(name, STR(":status"))) {
		g->http = str_to_u64(value, 999, &n) == OK ? (unsigned)n : 0;
	} else if (str_eq(name, STR("grpc-status"))) {
		g->status = str_to_u64(value, 9999, &n) == OK ? (int)n : 9999;
	} else if (str_eq(name, STR("grpc-message"))) {
		(void)answer_grpc_message(value, g->message);
	}
}

static void grpc_data(struct probe *p, struct str data)
{
	struct grpc *g = of(p);

	if (data.len > sizeof(g->body) - g->nbody) {
		g->h2.fault = "message too large";
		return;
	}
	memcpy(g->body + g->nbody, data.s, data.len);
	g->nbody += data.len;
}

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

static void grpc_judge(struct probe *p)
{
	static const char *const health[] = { "UNKNOWN", "SERVING", "NOT_SERVING",
		                              "SERVICE_UNKNOWN" };
	const struct grpc *g = of(p);
	uint64_t status = 0;

	if (g->status < 0 && g->http != 200) {
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

static const struct h2_kind kind = {
	.field = grpc_field,
	.data = grpc_data,
	.judge = grpc_judge,
};

/* --- asking --------------------------------------------------------------------------------- */

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

static void grpc_opened(struct probe *p)
{
	struct str host = p->check->host.len > 0 ? p->check->host : str_from(p->host);
	struct grpc *g = calloc(1, sizeof(*g));
	const nghttp2_data_provider body = { .source.ptr = g, .read_callback = read_ask };
	const nghttp2_nv fields[] = {
		h2_field(STR(":method"), STR("POST")),
		h2_field(STR(":scheme"), p->tls != NULL ? STR("https") : STR("http")),
		h2_field(STR(":path"), STR(PATH)),
		h2_field(STR(":authority"), host),
		h2_field(STR("te"), STR("trailers")),
		h2_field(STR("content-type"), STR("application/grpc")),
		h2_field(STR("user-agent"), STR("holdfast-check")),
	};

	if (g != NULL) {
		g->status = -1;
		g->nask = answer_grpc_ask(p->check->grpc, g->ask);
	}
	h2_ask(p, g != NULL ? &g->h2 : NULL, &kind, fields, ARRAY_LEN(fields), &body);
}

const struct probe_ops probe_grpc = {
	.name = "grpc",
	.start = probe_talk_start,
	.io = probe_talk_io,
	.opened = grpc_opened,
	.take = h2_take,
	.ended = h2_ended,
	.stop = h2_stop,
	.timed_out = probe_link_timed_out,
};
