/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session tickets (RFC 5077, RFC 8446 4.6.1) under the keys of the store: the first one encrypts,
 * all of them decrypt. Where the store has none for a listener, the process makes one. The
 * algorithms are fetched once: that is slow in OpenSSL 3.0.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "tls/server_impl.h"

#define LIFETIME 7200 /* s that a session may be resumed */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *cipher;
static uint8_t process_key[80];

static void prepare(void)
{
	cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	random_secret(process_key, sizeof(process_key));
}

static bool set_keys(const uint8_t *key, const uint8_t *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *mac,
                     int enc)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(key + 16), 32),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
	       EVP_CipherInit_ex(c, cipher, NULL, key + 48, iv, enc) == 1;
}

/* 1: done; 0: no such key; 2: decrypted, and the ticket wants to be renewed; -1: error. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *c,
                     EVP_MAC_CTX *mac, int enc)
{
	const struct store_tickets *t = tls_current()->context->tickets;
	uint32_t i;

	if (enc) {
		if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return -1;
		memcpy(name, t->keys[0], 16);
		return set_keys(t->keys[0], iv, c, mac, 1) ? 1 : -1;
	}
	for (i = 0; i < t->n; i++) {
		if (CRYPTO_memcmp(name, t->keys[i], 16) != 0)
			continue;
		if (!set_keys(t->keys[i], iv, c, mac, 0))
			return -1;
		/* RFC 8446, C.4: a client should use a ticket once; it gets the next one. */
		return i == 0 && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
	}
	return 0;
}

/* A resumed session brings the client's certificate along, and nobody looks at it again: one that
 * has ended since, or whose list of revoked ones has, is asked for anew. */
static SSL_TICKET_RETURN on_session(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                    size_t len, SSL_TICKET_STATUS status, void *arg)
{
	const struct tls *t = tls_current();
	const X509 *peer = session != NULL ? SSL_SESSION_get0_peer(session) : NULL;

	switch (status) {
	case SSL_TICKET_EMPTY:
	case SSL_TICKET_NO_DECRYPT:
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	default:
		break;
	}
	if (peer != NULL && !tls_rule_still(t->context, t->rule, peer))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS_RENEW ? SSL_TICKET_RETURN_USE_RENEW
	                                          : SSL_TICKET_RETURN_USE;
}

int tls_tickets_set_up(struct tls_server *s)
{
	uint32_t i;

	pthread_once(&once, prepare);
	if (cipher == NULL)
		return ERR_NOMEM;
	for (i = 0; i < s->store->ntickets; i++) {
		const struct store_tickets *t = &s->store->tickets[i];

		if (t->listener == s->listener && t->n > 0 && t->n <= STORE_TICKET_KEYS)
			s->tickets = t;
	}
	if (s->tickets == NULL) {
		s->own.n = 1;
		memcpy(s->own.keys[0], process_key, sizeof(process_key));
		s->tickets = &s->own;
	}
	SSL_CTX_set_timeout(s->ctx, LIFETIME);
	SSL_CTX_set_num_tickets(s->ctx, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(s->ctx, on_ticket);
	for (i = 0; i < s->nrules; i++)
		if (s->rules[i].mode != TLS_CLIENTS_OFF)
			SSL_CTX_set_session_ticket_cb(s->ctx, NULL, on_session, NULL);
	return OK;
}
