/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of WebSockets; see websocket.h. */
#include "http/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "http/scan.h"

bool websocket_named(const struct http_head *h)
{
	return http_has(h, HTTP_FIELD_UPGRADE) &&
	       http_list_has(http_field(h, HTTP_FIELD_UPGRADE)->value, STR("websocket"));
}

static bool is_key(struct str s)
{
	size_t i;

	if (s.len != WEBSOCKET_KEY_LEN || !str_ends(s, STR("==")))
		return false;
	for (i = 0; i < WEBSOCKET_KEY_LEN - 2; i++) {
		const uint8_t c = http_lower[(uint8_t)s.s[i]];

		if ((c < 'a' || c > 'z') && !http_is((char)c, HTTP_C_DIGIT) && c != '+' && c != '/')
			return false;
	}
	return true;
}

struct str websocket_key(const struct http_head *h)
{
	struct str key = STR_NONE;
	unsigned i;

	for (i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];

		if (!http_same(f->name, STR("sec-websocket-key")))
			continue;
		if (key.s != NULL || f->hop || !is_key(f->value))
			return STR_NONE;
		key = f->value;
	}
	return key;
}

void websocket_accept(const char key[WEBSOCKET_KEY_LEN], char out[WEBSOCKET_ACCEPT_LEN + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[WEBSOCKET_KEY_LEN + sizeof(guid) - 1], sum[SHA_DIGEST_LENGTH];

	memcpy(text, key, WEBSOCKET_KEY_LEN);
	memcpy(text + WEBSOCKET_KEY_LEN, guid, sizeof(guid) - 1);
	SHA1(text, sizeof(text), sum);
	EVP_EncodeBlock((unsigned char *)out, sum, sizeof(sum));
}
