/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the engine share: a connection, and the buffers of a thread. */
#ifndef TLS_ENGINE_H
#define TLS_ENGINE_H

#include <openssl/ssl.h>
#include <sys/queue.h>

#include "tls/tls.h"

#define TLS_RECORD   16384                    /* plaintext of one record (RFC 8446, 5.1) */
#define TLS_IN       65536                    /* ciphertext of one read */
#define TLS_OUT      (5 * (TLS_RECORD + 256)) /* ciphertext of one send */
#define TLS_WARM     64 /* connections of a thread that keep OpenSSL's record buffers */
#define TLS_MAX_READ 8  /* reads of the socket in one call that bring no data */

struct tls_server;

struct tls {
	SSL *ssl;
	struct stream *s;
	TAILQ_ENTRY(tls) warm;
	struct flow in;   /* ciphertext that came and was not looked at */
	struct flow held; /* ciphertext that goes out in front of what is sent next */
	bool is_warm;
	bool server;
	bool heard;     /* the other side has said anything */
	bool done;      /* the handshake */
	bool closed;    /* close_notify came */
	bool cut;       /* the socket's end came */
	bool said;      /* close_notify was sent */
	bool mute;      /* no close_notify is due */
	bool failed;    /* nothing works any more */
	bool flooded;   /* records without data, without end */
	bool challenge; /* an ACME authority asks (RFC 8737) */
	int error;      /* errno of the failure */
	char *why;
	/* of servers, see server.h */
	struct tls_server *context;
	uint32_t shown[2]; /* certificates of the store */
	uint64_t rule;
	int first_error; /* of a client's certificate that is taken all the same */
	/* of clients */
	struct tls_client *client;
	struct tls_session *session;
	char *name; /* whom the server has to be, or whom the client has asked for */
};

TAILQ_HEAD(tls_list, tls);

/* A thread's: made with its first connection, kept. */
struct tls_thread {
	BIO *bio;             /* the one of all its connections: it works for `cur` */
	struct tls *cur;      /* whose SSL object is at work */
	struct tls *owner;    /* whose bytes lie in `in` */
	size_t at, len;       /* in `in` */
	unsigned reads;       /* of the socket, in this call */
	bool may_read;        /* the socket in this call */
	int send_error;       /* of this call */
	struct tls_list warm; /* the latest used first */
	unsigned nwarm;
	size_t out_len;
	char in[TLS_IN];
	char out[TLS_OUT];
	char plain[TLS_RECORD];
};

/* The thread's, made when it is not there. NULL: out of memory. */
struct tls_thread *tls_thread(void);
/* The connection whose SSL object is at work: for OpenSSL's callbacks. */
struct tls *tls_current(void);
/* Makes the connection around an SSL object made of ctx. NULL: out of memory. */
struct tls *tls_new(struct stream *s, SSL_CTX *ctx, struct str early);
/* Before and after calls of OpenSSL for it. leave: an error when what is to be sent cannot be. */
struct tls_thread *tls_enter(struct tls *t);
int tls_leave(struct tls *t);
/* What was held back goes to the thread's output, in front of all else. */
void tls_unhold(struct tls_thread *e, struct tls *t);
/* Bytes of ciphertext that are here and were not looked at. */
size_t tls_rest(const struct tls *t);
/* Notes the failure; text may be NULL: OpenSSL's own word is taken. Returns err. */
int tls_fail(struct tls *t, int err, int error, const char *text);

void tls_client_unuse(struct tls_client *c);
void tls_server_unuse(struct tls_server *s);

#endif
