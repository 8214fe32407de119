/* SPDX-License-Identifier: Apache-2.0 */
/* SCRAM-SHA-256; see scram.h. */
#include "check/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "base/err.h"

#define SALT_MAX    64
#define MESSAGE_MAX 1024

int scram_first(struct scram *s, const char *nonce, struct buf *out)
{
	uint8_t random[SCRAM_NONCE / 4 * 3];

	if (nonce != NULL) {
		CHECK(strlen(nonce) <= SCRAM_NONCE);
		memcpy(s->nonce, nonce, strlen(nonce) + 1);
	} else {
		if (RAND_bytes(random, sizeof(random)) != 1) {
			return ERR_SYSTEM;
		}
		EVP_EncodeBlock((uint8_t *)s->nonce, random, sizeof(random));
	}
	buf_printf(out, "n,,n=,r=%s", s->nonce);
	return OK;
}

/* The value of the attribute that comes next; false: another one does. */
static bool attribute(struct str *rest, char name, struct str *ret)
{
	struct str one = str_split(*rest, ',', rest);

	if (one.len < 2 || one.s[0] != name || one.s[1] != '=') {
		return false;
	}
	*ret = str_n(one.s + 2, one.len - 2);
	return true;
}

/* Bytes of a base64 text; -1: it is none, or too long. */
static int decode(struct str text, uint8_t *out, size_t size)
{
	uint8_t plain[MESSAGE_MAX];
	int n;

	if (text.len == 0 || text.len % 4 != 0 || text.len / 4 * 3 > sizeof(plain)) {
		return -1;
	}
	n = EVP_DecodeBlock(plain, (const uint8_t *)text.s, (int)text.len);
	if (n < 0) {
		return -1;
	}
	n -= text.s[text.len - 1] == '=';
	n -= text.s[text.len - 2] == '=';
	if (n < 0 || (size_t)n > size) {
		return -1;
	}
	memcpy(out, plain, (size_t)n);
	return n;
}

static void mac(const uint8_t key[32], struct str text, uint8_t out[32])
{
	HMAC(EVP_sha256(), key, 32, (const uint8_t *)text.s, text.len, out, NULL);
}

/* RFC 5802 section 3: the proof, and what the server has to show. */
static int prove(struct scram *s, struct str password, const uint8_t *salt, int nsalt, int rounds,
                 struct str message, uint8_t proof[32])
{
	uint8_t salted[32], client[32], stored[32], server[32], signature[32];

	if (PKCS5_PBKDF2_HMAC(password.s, (int)password.len, salt, nsalt, rounds, EVP_sha256(), 32,
	                      salted) != 1) {
		return ERR_SYSTEM;
	}
	mac(salted, STR("Client Key"), client);
	SHA256(client, sizeof(client), stored);
	mac(stored, message, signature);
	for (size_t i = 0; i < sizeof(signature); i++) {
		proof[i] = client[i] ^ signature[i];
	}
	mac(salted, STR("Server Key"), server);
	mac(server, message, s->server);
	OPENSSL_cleanse(salted, sizeof(salted));
	return OK;
}

int scram_final(struct scram *s, struct str server_first, struct str password, struct buf *out)
{
	struct str rest = server_first, nonce, salt_text, rounds_text;
	uint8_t salt[SALT_MAX], proof[32], proof_text[48];
	struct buf message = BUF_INIT;
	uint64_t rounds;
	int nsalt, err;

	if (server_first.len > MESSAGE_MAX || !attribute(&rest, 'r', &nonce) ||
	    !attribute(&rest, 's', &salt_text) || !attribute(&rest, 'i', &rounds_text) ||
	    nonce.len <= strlen(s->nonce) || !str_starts(nonce, str_from(s->nonce)) ||
	    str_to_u64(rounds_text, UINT32_MAX, &rounds) != OK || rounds == 0) {
		return ERR_SYNTAX;
	}
	if (rounds > SCRAM_MAX_ROUNDS) {
		return ERR_TOO_LARGE;
	}
	nsalt = decode(salt_text, salt, sizeof(salt));
	if (nsalt < 0) {
		return ERR_SYNTAX;
	}
	buf_printf(&message, "n=,r=%s,%.*s,c=biws,r=%.*s", s->nonce, STR_ARG(server_first),
	           STR_ARG(nonce));
	err = prove(s, password, salt, nsalt, (int)rounds, buf_str(&message), proof);
	buf_free(&message);
	if (err != OK) {
		return err;
	}
	EVP_EncodeBlock(proof_text, proof, sizeof(proof));
	buf_printf(out, "c=biws,r=%.*s,p=%s", STR_ARG(nonce), (const char *)proof_text);
	return OK;
}

bool scram_proved(const struct scram *s, struct str server_final)
{
	struct str rest = server_final, text;
	uint8_t shown[32];

	return attribute(&rest, 'v', &text) && decode(text, shown, sizeof(shown)) == 32 &&
	       CRYPTO_memcmp(shown, s->server, sizeof(shown)) == 0;
}
