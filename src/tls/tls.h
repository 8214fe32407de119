/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on a stream (net/stream.h), by OpenSSL. Ciphertext passes through buffers of the thread, so
 * that an idle connection holds no more than its SSL object: one read of the socket serves all the
 * records it brought, and what one turn writes goes out with one send. A stream belongs to one
 * thread, and so does each context.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <openssl/types.h>

#include "net/stream.h"

/* Puts TLS between s and its socket as a server, before anything was received but `early`: bytes
 * that were read already (behind a PROXY header, or to look at the ClientHello). OK, ERR_NOMEM. */
int tls_accept(struct stream *s, SSL_CTX *ctx, struct str early);

/* How to speak to servers of one kind: a context, and the last session with each of them. */
struct tls_client;

struct tls_client_options {
	bool verify;          /* the chain, and the name below */
	struct str ca;        /* PEM; empty: the system's */
	struct str cert, key; /* PEM; empty: none */
	unsigned min_version; /* TLS1_2_VERSION … of OpenSSL */
	bool resumption;
	const char *alpn; /* as on the wire, "\2h2\10http/1.1"; NULL: none */
};

/* NULL with why (for people) when a file's contents are not what they should be. */
struct tls_client *tls_client_new(const struct tls_client_options *o, char *why, size_t why_size);
void tls_client_free(struct tls_client *c);
/* The same for two that were made of the same options. */
uint64_t tls_client_id(const struct tls_client *c);
/* That of the client that a stream was connected with; 0: it speaks no TLS as one. */
uint64_t tls_client_of(const struct stream *s);

/*
 * Puts TLS between s and its socket as a client, once that is connected. name: host name for SNI
 * and, with verify, what the certificate must be for; an IP address as text is verified and not
 * sent as SNI. *session (may be NULL) is offered where it was begun with a client of the same id,
 * or else nobody would verify the server anew; newer ones that come replace it. The caller frees it
 * with tls_session_free and it must live as long as the stream. OK, ERR_NOMEM, ERR_INVALID (nothing
 * to verify the name with); after an error the stream is to be closed.
 */
struct tls_session {
	struct ssl_session_st *session; /* SSL_SESSION */
	uint64_t client;                /* tls_client_id */
};
int tls_connect(struct stream *s, struct tls_client *c, const char *name,
                struct tls_session *session);
void tls_session_free(struct tls_session *session);

/* Goes on with the handshake on each event until it is done. OK: done; ERR_AGAIN; ERR_CLOSED,
 * ERR_SYSTEM, ERR_REFUSED: it failed, tls_why() tells people why. */
int tls_handshake(struct stream *s);
/* Whether anything came: who only connects has not failed. */
bool tls_heard(const struct stream *s);
/* The other side waits for nothing more: closing it says no farewell. */
void tls_mute(struct stream *s);
/* Why the handshake, or the connection after it, failed; static or owned by the stream. */
const char *tls_why(const struct stream *s);
/* The protocol agreed on by ALPN; empty: none. */
struct str tls_alpn(const struct stream *s);
bool tls_resumed(const struct stream *s);
/* For what else is to be asked of it; NULL on a stream in clear text. */
SSL *tls_ssl(const struct stream *s);

#endif
