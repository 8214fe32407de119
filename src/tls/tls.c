/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream layer: what is read, written and said at the end once the handshake is done. All
 * connections of a thread share one BIO, whose input and output are buffers of the thread: OpenSSL
 * never sees the socket, and what it writes in one call goes out with one send.
 */
#include "tls/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/engine.h"

static struct tls *tls_of(const struct stream *s);

size_t tls_rest(const struct tls *t)
{
	const struct tls_thread *e = tls_thread();

	return t->in.len + (e->owner == t ? e->len - e->at : 0);
}

/* Runs an SSL read or peek; OK with *n, ERR_AGAIN, ERR_CLOSED, ERR_SYSTEM with errno. */
static int read_some(struct tls *t, void *p, size_t size, size_t *n, bool peek)
{
	int ok = peek ? SSL_peek_ex(t->ssl, p, size, n) : SSL_read_ex(t->ssl, p, size, n);

	if (ok)
		return OK;
	*n = 0;
	switch (SSL_get_error(t->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		if (t->flooded)
			return tls_fail(t, ERR_SYSTEM, EPROTO, "too many records without data");
		if (t->error != 0)
			return tls_fail(t, ERR_SYSTEM, t->error, strerror(t->error));
		/* RFC 8446, 6.1: an end without close_notify may be an attacker's. */
		if (t->cut)
			return tls_fail(t, ERR_SYSTEM, ECONNRESET,
			                "the connection ended without close_notify");
		return ERR_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		t->closed = true;
		return ERR_CLOSED;
	default:
		return tls_fail(t, ERR_SYSTEM, EPROTO, NULL);
	}
}

/* What a read tells its caller, and what it leaves for the next one. */
static ssize_t read_result(struct tls *t, size_t got, int err)
{
	struct stream *s = t->s;

	if (got > 0) {
		/* An end behind the data is told of by the next call. */
		if (err != ERR_AGAIN || tls_rest(t) > 0 || SSL_pending(t->ssl) > 0)
			s->readable = true;
		return (ssize_t)got;
	}
	if (err == ERR_AGAIN)
		return ERR_AGAIN;
	s->readable = false;
	s->eof = true;
	if (err == ERR_CLOSED)
		return ERR_CLOSED;
	if (t->error != ECONNRESET || !t->cut)
		s->broken = true;
	errno = t->error;
	return ERR_SYSTEM;
}

static ssize_t layer_recv(struct stream *s, void *p, size_t size)
{
	struct tls *t = tls_of(s);
	struct tls_thread *e;
	int err = t->failed ? ERR_SYSTEM : t->closed ? ERR_CLOSED : OK;
	size_t got = 0;

	if (err != OK)
		return read_result(t, 0, err);
	e = tls_enter(t);
	while (err == OK && got < size) {
		size_t n;

		/* Data is handed on before the socket is asked for more. */
		e->may_read = got == 0;
		err = read_some(t, (char *)p + got, size - got, &n, false);
		got += n;
		if (got > 0 && tls_rest(t) == 0 && SSL_pending(t->ssl) == 0)
			break;
	}
	if (err == OK)
		err = ERR_AGAIN;
	/* A held ticket waits for the answer to what was read; nothing was: it goes. */
	if (got == 0)
		tls_unhold(e, t);
	tls_leave(t);
	return read_result(t, got, err);
}

static int write_all(struct tls *t, const void *p, size_t len)
{
	size_t n;

	if (len == 0 || SSL_write_ex(t->ssl, p, len, &n))
		return OK;
	return tls_fail(t, ERR_SYSTEM, EPROTO, NULL);
}

/* Few and full records: small pieces are put together, large ones written from where they lie. */
static int write_pieces(struct tls *t, struct tls_thread *e, const struct iovec *iov, int n)
{
	size_t len = 0;
	int i, err = OK;

	for (i = 0; i < n && err == OK; i++) {
		const char *p = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		if (n == 1 || (len == 0 && i == n - 1))
			return write_all(t, p, left);
		while (left > 0 && err == OK) {
			size_t take = MIN(left, sizeof(e->plain) - len);

			if (len == 0 && left >= sizeof(e->plain)) {
				take = left - left % sizeof(e->plain);
				err = write_all(t, p, take);
			} else {
				memcpy(e->plain + len, p, take);
				len += take;
			}
			p += take;
			left -= take;
			if (len == sizeof(e->plain)) {
				err = write_all(t, e->plain, len);
				len = 0;
			}
		}
	}
	return err == OK ? write_all(t, e->plain, len) : err;
}

static int layer_send(struct stream *s, const struct iovec *iov, int n)
{
	struct tls *t = tls_of(s);
	struct tls_thread *e;
	int err, sent;

	if (t->failed || t->said || !t->done || s->broken) {
		errno = EPIPE;
		return ERR_SYSTEM;
	}
	e = tls_enter(t);
	err = write_pieces(t, e, iov, n);
	sent = tls_leave(t);
	if (err != OK)
		errno = t->error;
	return err != OK ? err : sent;
}

/* Whether nothing but what the protocol says to itself (tickets) has come. */
static bool layer_quiet(struct stream *s)
{
	struct tls *t = tls_of(s);
	char byte;
	size_t n;
	int err;

	if (t->failed || t->closed || t->cut || s->broken)
		return false;
	if (tls_rest(t) == 0 && SSL_pending(t->ssl) == 0 &&
	    recv(s->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		return errno == EAGAIN;
	s->readable = true;
	tls_enter(t);
	err = read_some(t, &byte, 1, &n, true);
	tls_leave(t);
	if (err == OK)
		s->readable = true;
	return err == ERR_AGAIN;
}

static void layer_shutdown(struct stream *s)
{
	struct tls *t = tls_of(s);

	if (!t->done || t->failed || t->said || s->broken)
		return;
	t->said = true;
	tls_enter(t);
	if (SSL_shutdown(t->ssl) < 0)
		ERR_clear_error();
	tls_leave(t);
}

static void layer_close(struct stream *s, bool reset)
{
	struct tls *t = tls_of(s);
	struct tls_thread *e = tls_thread();

	if (!reset && !t->mute && flow_empty(&s->out))
		layer_shutdown(s);
	if (e->owner == t)
		e->owner = NULL;
	if (t->is_warm) {
		TAILQ_REMOVE(&e->warm, t, warm);
		e->nwarm--;
	}
	/* Else OpenSSL would take the session for a bad one. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	flow_free(&t->in);
	flow_free(&t->held);
	free(t->why);
	free(t->name);
	if (t->client != NULL)
		tls_client_unuse(t->client);
	if (t->context != NULL)
		tls_server_unuse(t->context);
	free(t);
	s->layer_data = NULL;
}

static const struct stream_layer tls_layer = {
	.recv = layer_recv,
	.send = layer_send,
	.quiet = layer_quiet,
	.shutdown = layer_shutdown,
	.close = layer_close,
};

static struct tls *tls_of(const struct stream *s)
{
	return s->layer == &tls_layer ? s->layer_data : NULL;
}

struct tls *tls_new(struct stream *s, SSL_CTX *ctx, struct str early)
{
	struct tls_thread *e = tls_thread();
	struct tls *t = e != NULL ? calloc(1, sizeof(*t)) : NULL;

	if (t == NULL)
		return NULL;
	t->s = s;
	t->ssl = SSL_new(ctx);
	if (t->ssl == NULL || flow_add(&t->in, early.s, early.len) != OK) {
		SSL_free(t->ssl);
		free(t);
		return NULL;
	}
	BIO_up_ref(e->bio);
	SSL_set_bio(t->ssl, e->bio, e->bio);
	t->heard = early.len > 0;
	if (early.len > 0)
		s->readable = true;
	s->layer = &tls_layer;
	s->layer_data = t;
	return t;
}

void tls_mute(struct stream *s)
{
	struct tls *t = tls_of(s);

	if (t != NULL)
		t->mute = true;
}

bool tls_heard(const struct stream *s)
{
	const struct tls *t = tls_of(s);

	return t != NULL && t->heard;
}

const char *tls_why(const struct stream *s)
{
	const struct tls *t = tls_of(s);

	return t != NULL && t->why != NULL ? t->why : "";
}

struct str tls_alpn(const struct stream *s)
{
	const struct tls *t = tls_of(s);
	const unsigned char *p = NULL;
	unsigned len = 0;

	if (t != NULL)
		SSL_get0_alpn_selected(t->ssl, &p, &len);
	return str_n((const char *)p, len);
}

bool tls_resumed(const struct stream *s)
{
	const struct tls *t = tls_of(s);

	return t != NULL && SSL_session_reused(t->ssl);
}

SSL *tls_ssl(const struct stream *s)
{
	const struct tls *t = tls_of(s);

	return t != NULL ? t->ssl : NULL;
}
