/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Signatures; see jws.h. Role acme, any thread. */
#include "acme/jws.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/err.h"

#define COORDINATE 32 /* bytes, of P-256 */

/* --- base64url ------------------------------------------------------------------------------ */

void acme_b64url(struct buf *out, const void *data, size_t len)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) |
		             (i + 2 < len ? p[i + 2] : 0);

		buf_addc(out, digits[v >> 18]);
		buf_addc(out, digits[v >> 12 & 63]);
		if (i + 1 < len)
			buf_addc(out, digits[v >> 6 & 63]);
		if (i + 2 < len)
			buf_addc(out, digits[v & 63]);
	}
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' || c == '+' ? 62 : c == '_' || c == '/' ? 63 : -1;
}

int acme_b64_decode(struct str text, uint8_t *out, size_t size, size_t *ret_len)
{
	uint32_t v = 0;
	unsigned bits = 0;

	*ret_len = 0;
	while (text.len > 0 && text.s[text.len - 1] == '=')
		text.len--;
	if (text.len % 4 == 1)
		return ERR_INVALID;
	for (size_t i = 0; i < text.len; i++) {
		int d = value_of(text.s[i]);

		if (d < 0)
			return ERR_INVALID;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits < 8)
			continue;
		if (*ret_len == size)
			return ERR_TOO_LARGE;
		bits -= 8;
		out[(*ret_len)++] = (uint8_t)(v >> bits);
	}
	return OK;
}

/* --- the key -------------------------------------------------------------------------------- */

int acme_jwk(EVP_PKEY *key, struct buf *out)
{
	uint8_t point[1 + 2 * COORDINATE];
	char group[64] = "";
	size_t len = 0;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1 ||
	    strcmp(group, "prime256v1") != 0 ||
	    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point),
	                                    &len) != 1 ||
	    len != sizeof(point) || point[0] != 4)
		return ERR_INVALID;
	buf_adds(out, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	acme_b64url(out, point + 1, COORDINATE);
	buf_adds(out, "\",\"y\":\"");
	acme_b64url(out, point + 1 + COORDINATE, COORDINATE);
	buf_adds(out, "\"}");
	return OK;
}

void acme_digest(struct str text, char out[ACME_THUMBPRINT])
{
	uint8_t hash[32] = { 0 };
	struct buf b = BUF_INIT;

	EVP_Digest(text.s, text.len, hash, NULL, EVP_sha256(), NULL);
	acme_b64url(&b, hash, sizeof(hash));
	out[0] = '\0';
	if (b.len < ACME_THUMBPRINT)
		memcpy(out, buf_cstr(&b), b.len + 1);
	buf_free(&b);
}

int acme_thumbprint(EVP_PKEY *key, char out[ACME_THUMBPRINT])
{
	struct buf jwk = BUF_INIT;
	int err = acme_jwk(key, &jwk);

	if (err == OK)
		acme_digest(buf_str(&jwk), out);
	buf_free(&jwk);
	return err;
}

/* --- signatures ----------------------------------------------------------------------------- */

/* ES256 wants both numbers beside each other (RFC 7518 section 3.4), OpenSSL writes DER. */
static bool es256(EVP_PKEY *key, struct str input, uint8_t out[2 * COORDINATE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[128];
	const uint8_t *p = der;
	size_t len = sizeof(der);
	ECDSA_SIG *sig = NULL;
	bool done = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	            EVP_DigestSign(ctx, der, &len, (const uint8_t *)input.s, input.len) == 1;

	EVP_MD_CTX_free(ctx);
	sig = done ? d2i_ECDSA_SIG(NULL, &p, (long)len) : NULL;
	done = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, COORDINATE) == COORDINATE &&
	       BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + COORDINATE, COORDINATE) == COORDINATE;
	ECDSA_SIG_free(sig);
	return done;
}

/* {"protected": ..., "payload": ..., "signature": ...}; mac_len 0: signed by the key. */
static int flattened(EVP_PKEY *key, const uint8_t *mac, size_t mac_len, struct str header,
                     struct str payload, struct buf *out)
{
	struct buf input = BUF_INIT;
	uint8_t sig[2 * COORDINATE];
	unsigned len = sizeof(sig);
	size_t dot;
	bool done;

	acme_b64url(&input, header.s, header.len);
	dot = input.len;
	buf_addc(&input, '.');
	acme_b64url(&input, payload.s, payload.len);
	done = !input.failed;
	if (done && mac_len > 0)
		done = HMAC(EVP_sha256(), mac, (int)mac_len, (const uint8_t *)input.p, input.len,
		            sig, &len) != NULL;
	else if (done)
		done = es256(key, buf_str(&input), sig);
	if (done) {
		buf_printf(out, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"",
		           (int)dot, input.p, (int)(input.len - dot - 1), input.p + dot + 1);
		acme_b64url(out, sig, len);
		buf_adds(out, "\"}");
	}
	buf_free(&input);
	return !done ? ERR_INVALID : out->failed ? ERR_NOMEM : OK;
}

int acme_jws(EVP_PKEY *key, const struct acme_jws *j, struct buf *out)
{
	struct buf header = BUF_INIT;
	int err = OK;

	buf_adds(&header, "{\"alg\":\"ES256\",");
	if (j->kid.len > 0) {
		buf_adds(&header, "\"kid\":");
		buf_json(&header, j->kid);
	} else {
		buf_adds(&header, "\"jwk\":");
		err = acme_jwk(key, &header);
	}
	if (j->nonce.len > 0) {
		buf_adds(&header, ",\"nonce\":");
		buf_json(&header, j->nonce);
	}
	buf_adds(&header, ",\"url\":");
	buf_json(&header, j->url);
	buf_addc(&header, '}');
	if (err == OK)
		err = header.failed ? ERR_NOMEM
		                    : flattened(key, NULL, 0, buf_str(&header), j->payload, out);
	buf_free(&header);
	return err;
}

int acme_eab(EVP_PKEY *key, struct str kid, struct str mac_key, struct str url, struct buf *out)
{
	struct buf header = BUF_INIT;
	struct buf jwk = BUF_INIT;
	uint8_t mac[512];
	size_t len;
	int err = acme_b64_decode(mac_key, mac, sizeof(mac), &len);

	if (err == OK && len == 0)
		err = ERR_INVALID;
	if (err == OK)
		err = acme_jwk(key, &jwk);
	buf_adds(&header, "{\"alg\":\"HS256\",\"kid\":");
	buf_json(&header, kid);
	buf_adds(&header, ",\"url\":");
	buf_json(&header, url);
	buf_addc(&header, '}');
	if (err == OK)
		err = flattened(NULL, mac, len, buf_str(&header), buf_str(&jwk), out);
	buf_free(&header);
	buf_free(&jwk);
	return err;
}
