/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread's buffers and its one BIO; the handshake. Which connection the BIO works for is set by
 * tls_enter(). Any thread that has TLS streams.
 */
#include "tls/engine.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

static _Thread_local struct tls_thread *this_thread;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *method;

struct tls *tls_current(void)
{
	return this_thread->cur;
}

/* What lies in the thread's buffer for a connection moves to that connection. */
static void park(struct tls_thread *e)
{
	struct tls *t = e->owner;

	e->owner = NULL;
	if (t != NULL && e->at < e->len && flow_add(&t->in, e->in + e->at, e->len - e->at) != OK)
		tls_fail(t, ERR_NOMEM, ENOMEM, "out of memory");
}

/* One read of the socket into the thread's buffer. */
static bool fill(struct tls_thread *e, struct tls *t)
{
	ssize_t n;

	if (t->cut || t->error != 0 || !t->s->readable || !e->may_read)
		return false;
	if (e->reads++ == TLS_MAX_READ) {
		t->flooded = true;
		return false;
	}
	if (e->owner != t)
		park(e);
	e->owner = t;
	e->at = e->len = 0;
	n = stream_recv_raw(t->s, e->in, sizeof(e->in));
	t->heard |= n > 0;
	if (n > 0)
		e->len = (size_t)n;
	else if (n == ERR_CLOSED)
		t->cut = true;
	else if (n != ERR_AGAIN)
		t->error = errno;
	return n > 0;
}

static int bio_read(BIO *b, char *p, int size)
{
	struct tls_thread *e = this_thread;
	struct tls *t = e->cur;
	size_t n;

	BIO_clear_retry_flags(b);
	if (!flow_empty(&t->in)) {
		n = MIN((size_t)size, t->in.len);
		memcpy(p, flow_str(&t->in).s, n);
		flow_drop(&t->in, n);
		return (int)n;
	}
	if ((e->owner != t || e->at == e->len) && !fill(e, t)) {
		BIO_set_retry_read(b);
		return -1;
	}
	n = MIN((size_t)size, e->len - e->at);
	memcpy(p, e->in + e->at, n);
	e->at += n;
	return (int)n;
}

static void flush(struct tls_thread *e, struct tls *t)
{
	const struct iovec iov = { .iov_base = e->out, .iov_len = e->out_len };

	if (e->out_len > 0 && e->send_error == OK)
		e->send_error = stream_send_raw(t->s, &iov, 1);
	e->out_len = 0;
}

void tls_unhold(struct tls_thread *e, struct tls *t)
{
	struct str held = flow_str(&t->held);

	if (held.len == 0)
		return;
	CHECK(e->out_len == 0 && held.len <= sizeof(e->out));
	memcpy(e->out, held.s, held.len);
	e->out_len = held.len;
	flow_free(&t->held);
}

/* Takes everything: what the socket does not take waits in the stream. */
static int bio_write(BIO *b, const char *p, int size)
{
	struct tls_thread *e = this_thread;
	size_t left = (size_t)size;

	BIO_clear_retry_flags(b);
	if (unlikely(!flow_empty(&e->cur->held)))
		tls_unhold(e, e->cur); /* records go in the order in which they were made */
	while (left > 0) {
		size_t n = MIN(left, sizeof(e->out) - e->out_len);

		memcpy(e->out + e->out_len, p, n);
		e->out_len += n;
		p += n;
		left -= n;
		if (e->out_len == sizeof(e->out))
			flush(e, e->cur);
	}
	return size;
}

static long bio_ctrl(BIO *b, int cmd, long n, void *p)
{
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP ? 1 : 0;
}

static int bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	if (method == NULL)
		return;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
	BIO_meth_set_create(method, bio_create);
}

struct tls_thread *tls_thread(void)
{
	struct tls_thread *e = this_thread;

	if (likely(e != NULL))
		return e;
	pthread_once(&method_once, make_method);
	if (method == NULL)
		return NULL;
	e = malloc(sizeof(*e));
	if (e == NULL)
		return NULL;
	memset(e, 0, offsetof(struct tls_thread, in));
	TAILQ_INIT(&e->warm);
	e->bio = BIO_new(method);
	if (e->bio == NULL) {
		free(e);
		return NULL;
	}
	this_thread = e;
	return e;
}

/* Keeps the record buffers of those in use and frees the ones of who was silent longest. */
static void warm_up(struct tls_thread *e, struct tls *t)
{
	struct tls *last;

	if (TAILQ_FIRST(&e->warm) == t)
		return;
	if (t->is_warm) {
		TAILQ_REMOVE(&e->warm, t, warm);
	} else if (e->nwarm < TLS_WARM) {
		e->nwarm++;
	} else {
		last = TAILQ_LAST(&e->warm, tls_list);
		TAILQ_REMOVE(&e->warm, last, warm);
		last->is_warm = false;
		SSL_free_buffers(last->ssl); /* one with part of a record keeps them */
	}
	t->is_warm = true;
	TAILQ_INSERT_HEAD(&e->warm, t, warm);
}

struct tls_thread *tls_enter(struct tls *t)
{
	struct tls_thread *e = this_thread;

	e->cur = t;
	e->reads = 0;
	e->may_read = true;
	e->send_error = OK;
	e->out_len = 0;
	warm_up(e, t);
	return e;
}

int tls_leave(struct tls *t)
{
	struct tls_thread *e = this_thread;

	flush(e, t);
	e->cur = NULL;
	return e->send_error;
}

/* OpenSSL's word for what went wrong, with what it lacks. */
static char *explain(struct tls *t)
{
	const unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);
	const long verify = SSL_get_verify_result(t->ssl);
	char *text = NULL;

	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verify != X509_V_OK) {
		const bool name = verify == X509_V_ERR_HOSTNAME_MISMATCH ||
		                  verify == X509_V_ERR_IP_ADDRESS_MISMATCH;

		if (asprintf(&text, "certificate not accepted: %s%s%s",
		             X509_verify_cert_error_string(verify),
		             name && t->name ? ", expected " : "",
		             name && t->name ? t->name : "") < 0)
			return NULL;
		return text;
	}
	return strdup(reason != NULL ? reason : "protocol error");
}

int tls_fail(struct tls *t, int err, int error, const char *text)
{
	t->failed = true;
	t->error = error;
	if (t->why == NULL)
		t->why = text != NULL ? strdup(text) : explain(t);
	ERR_clear_error();
	return err;
}

static int handshake_error(struct tls *t, int r)
{
	switch (SSL_get_error(t->ssl, r)) {
	case SSL_ERROR_WANT_READ:
		if (t->flooded)
			return tls_fail(t, ERR_REFUSED, EPROTO,
			                "too many records in the handshake");
		if (t->error != 0)
			return tls_fail(t, ERR_SYSTEM, t->error, strerror(t->error));
		if (t->cut)
			return tls_fail(t, ERR_CLOSED, ECONNRESET, "closed during the handshake");
		return ERR_AGAIN;
	default:
		return tls_fail(t, ERR_REFUSED, EPROTO, NULL);
	}
}

int tls_handshake(struct stream *s)
{
	struct tls *t = s->layer_data;
	struct tls_thread *e;
	int r, err = OK;

	if (t->failed)
		return ERR_REFUSED;
	if (t->done)
		return OK;
	e = tls_enter(t);
	r = SSL_do_handshake(t->ssl);
	if (r == 1)
		t->done = true;
	else
		err = handshake_error(t, r);
	if (t->done && t->server && tls_rest(t) > 0 && e->out_len <= UINT16_MAX &&
	    flow_add(&t->held, e->out, e->out_len) == OK)
		e->out_len = 0; /* the ticket goes with the answer to what lies here already */
	if (tls_leave(t) != OK && err == OK)
		err = tls_fail(t, ERR_SYSTEM, errno, strerror(errno));
	if (err == ERR_CLOSED || err == ERR_SYSTEM)
		s->eof = true;
	if (err == OK && tls_rest(t) > 0)
		s->readable = true;
	return err;
}

int tls_accept(struct stream *s, SSL_CTX *ctx, struct str early)
{
	struct tls *t = tls_new(s, ctx, early);

	if (t == NULL)
		return ERR_NOMEM;
	t->server = true;
	SSL_set_accept_state(t->ssl);
	return OK;
}
