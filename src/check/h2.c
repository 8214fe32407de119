/* SPDX-License-Identifier: Apache-2.0 */
/* One question over HTTP/2; see h2.h. */
#include "check/h2.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "check/answer.h"

#define FRAME_HEAD 9

/* --- what nghttp2 calls --------------------------------------------------------------------- */

/* Whether what comes is still looked at. */
static bool is_open(const struct h2 *h)
{
	return !h->enough && !h->no_memory && h->fault == NULL;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
	struct probe *p = arg;

	(void)session;
	if (hd->type == NGHTTP2_PUSH_PROMISE) { /* RFC 9113 section 8.4: our SETTINGS forbid it */
		p->h2->fault = "a push, which was not allowed";
	}
	return 0;
}

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct probe *p = arg;

	(void)session;
	(void)frame;
	if (is_open(p->h2) && p->h2->kind->begin != NULL) {
		p->h2->kind->begin(p);
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t nname, const uint8_t *value, size_t nvalue, uint8_t flags, void *arg)
{
	struct probe *p = arg;
	struct h2 *h = p->h2;

	(void)session;
	(void)frame;
	(void)flags;
	h->fields += nname + nvalue + 32; /* as RFC 9113 section 6.5.2 counts */
	if (h->fields > H2_FIELDS) {
		h->fault = "header fields too large";
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	if (is_open(h)) {
		h->kind->field(p, str_n((const char *)name, nname),
		               str_n((const char *)value, nvalue));
	}
	return 0;
}

/* nghttp2 would leave such a field out: the answer is malformed (RFC 9113 section 8.2.1). */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t nname, const uint8_t *value, size_t nvalue,
                             uint8_t flags, void *arg)
{
	return on_header(session, frame, name, nname, value, nvalue, flags, arg);
}

static int on_chunk(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                    size_t len, void *arg)
{
	struct probe *p = arg;

	(void)session;
	(void)flags;
	(void)stream;
	if (is_open(p->h2)) {
		p->h2->kind->data(p, str_n((const char *)data, len));
	}
	return 0;
}

static void on_goaway(struct h2 *h, const nghttp2_goaway *frame)
{
	char words[ANSWER_WORDS];

	h->goaway = true;
	h->goaway_error = frame->error_code;
	(void)answer_words(str_n((const char *)frame->opaque_data, frame->opaque_data_len), words);
	(void)snprintf(h->words, sizeof(h->words), "%.*s", (int)sizeof(h->words) - 1, words);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct probe *p = arg;
	struct h2 *h = p->h2;
	bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		h->answered = true;
		if (is_open(h) && h->kind->head != NULL) {
			h->kind->head(p, end);
		}
		h->whole = h->whole || end;
		break;
	case NGHTTP2_DATA:
		h->whole = h->whole || end;
		break;
	case NGHTTP2_GOAWAY:
		on_goaway(h, &frame->goaway);
		break;
	default:
		break;
	}
	return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *arg)
{
	struct probe *p = arg;

	(void)session;
	(void)frame;
	p->h2->violation = error;
	return 0;
}

static int on_closed(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
	struct probe *p = arg;

	(void)session;
	(void)stream;
	p->h2->closed = true;
	p->h2->error = error;
	return 0;
}

/* What we end with an error, the server has broken. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct probe *p = arg;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		p->h2->told = frame->goaway.error_code;
	} else if (frame->hd.type == NGHTTP2_RST_STREAM && p->h2->told == NGHTTP2_NO_ERROR) {
		p->h2->told = frame->rst_stream.error_code;
	}
	return 0;
}

/* --- asking --------------------------------------------------------------------------------- */

static nghttp2_session *session_new(struct probe *p)
{
	nghttp2_session_callbacks *cb;
	nghttp2_session *session = NULL;

	if (nghttp2_session_callbacks_new(&cb) != 0) {
		return NULL;
	}
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_closed);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	if (nghttp2_session_client_new(&session, cb, p) != 0) {
		session = NULL;
	}
	nghttp2_session_callbacks_del(cb);
	return session;
}

static bool submit(struct h2 *h, const nghttp2_nv *fields, size_t n,
                   const nghttp2_data_provider *body)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, H2_FIELDS },
	};

	return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, settings,
	                               ARRAY_LEN(settings)) == 0 &&
	       nghttp2_submit_request(h->session, NULL, fields, n, body, NULL) > 0;
}

/* Sends what nghttp2 has to say. */
static bool pump(struct probe *p)
{
	for (;;) {
		const uint8_t *out;
		ssize_t n = nghttp2_session_mem_send(p->h2->session, &out);

		if (n < 0) {
			probe_no_memory(p);
			return false;
		}
		if (n == 0) {
			return true;
		}
		probe_say(p, out, (size_t)n);
	}
}

void h2_ask(struct probe *p, struct h2 *h, const struct h2_kind *kind, const nghttp2_nv *fields,
            size_t n, const nghttp2_data_provider *body)
{
	CHECK(p->h2 == NULL);
	p->h2 = h;
	if (h == NULL) {
		probe_no_memory(p);
		return;
	}
	h->kind = kind;
	if (p->tls != NULL && !str_eq(tls_alpn(&p->s), STR("h2"))) {
		probe_ill(p, FAIL_TLS, "does not speak HTTP/2 (no \"h2\" by ALPN)");
		return;
	}
	h->session = session_new(p);
	if (h->session == NULL || !submit(h, fields, n, body)) {
		probe_no_memory(p);
		return;
	}
	(void)pump(p);
}

/* --- what comes back ------------------------------------------------------------------------ */

/* RFC 9113 section 3.4: a server begins with SETTINGS. False: this one does not. */
static bool begins_well(struct probe *p, struct str got)
{
	char words[ANSWER_WORDS];
	struct str rest, line = str_split(str_split(got, '\n', &rest), '\r', &rest);

	if (str_starts(got, STR("HTTP/"))) {
		(void)answer_words(line, words);
		probe_ill(p, FAIL_BAD_RESPONSE, "not HTTP/2: it answers %.40s", words);
		return false;
	}
	if ((uint8_t)got.s[3] != NGHTTP2_SETTINGS || (got.s[4] & NGHTTP2_FLAG_ACK) != 0) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not HTTP/2: it does not begin with SETTINGS");
		return false;
	}
	return true;
}

static const char *violation(const struct h2 *h, int error)
{
	return error != 0          ? nghttp2_strerror(error)
	       : h->violation != 0 ? nghttp2_strerror(h->violation)
	                           : nghttp2_http2_strerror(h->told);
}

static void ended_by_goaway(struct probe *p)
{
	struct h2 *h = p->h2;

	probe_ill(p, FAIL_BAD_RESPONSE, "GOAWAY: %s%s%s", nghttp2_http2_strerror(h->goaway_error),
	          h->words[0] != '\0' ? ": " : "", h->words);
}

/* What came last may be the end of it. error: of nghttp2, or 0. */
static void decide(struct probe *p, int error)
{
	struct h2 *h = p->h2;

	if (h->no_memory || error == NGHTTP2_ERR_NOMEM) {
		probe_no_memory(p);
	} else if (h->fault != NULL) {
		probe_ill(p, FAIL_BAD_RESPONSE, "%s", h->fault);
	} else if (h->enough || (h->whole && h->closed && h->error == NGHTTP2_NO_ERROR)) {
		(void)nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
		if (pump(p)) {
			h->kind->judge(p);
		}
	} else if (h->received > H2_RECEIVED || error == NGHTTP2_ERR_FLOODED) {
		probe_ill(p, FAIL_BAD_RESPONSE, "answer too large");
	} else if (error != 0 || h->told != NGHTTP2_NO_ERROR) {
		probe_ill(p, FAIL_BAD_RESPONSE, "not HTTP/2 as it should be: %s",
		          violation(h, error));
	} else if (h->goaway && (h->goaway_error != NGHTTP2_NO_ERROR || h->closed)) {
		ended_by_goaway(p);
	} else if (h->closed) {
		probe_ill(p, FAIL_BAD_RESPONSE, "stream reset: %s",
		          nghttp2_http2_strerror(h->error));
	}
}

size_t h2_take(struct probe *p, struct str got)
{
	struct h2 *h = p->h2;
	ssize_t n;

	if (!h->begun && got.len < FRAME_HEAD) {
		return 0;
	}
	if (!h->begun && !begins_well(p, got)) {
		return 0;
	}
	h->begun = true;
	h->received += got.len;
	n = nghttp2_session_mem_recv(h->session, (const uint8_t *)got.s, got.len);
	if (n < 0 || pump(p)) {
		decide(p, n < 0 ? (int)n : 0);
	}
	return got.len;
}

void h2_ended(struct probe *p)
{
	struct h2 *h = p->h2;

	if (h != NULL && h->goaway) {
		ended_by_goaway(p);
	} else if (h != NULL && h->answered) {
		probe_ill(p, FAIL_CUT, "%s", fail_text(FAIL_CUT));
	} else {
		probe_ill(p, FAIL_CLOSED, "%s", fail_text(FAIL_CLOSED));
	}
}

void h2_stop(struct probe *p)
{
	struct h2 *h = p->h2;

	if (h != NULL) {
		if (h->kind != NULL && h->kind->free != NULL) {
			h->kind->free(p);
		}
		nghttp2_session_del(h->session);
		p->h2 = NULL;
		free(h);
	}
	probe_talk_stop(p);
}
