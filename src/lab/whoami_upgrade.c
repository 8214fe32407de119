/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that leave HTTP: `Upgrade: echo` sends every byte back; `Upgrade: websocket` (RFC
 * 6455) sends every message back, piece by piece as it comes.
 */
#include <stdio.h>

#include "base/check.h"
#include "http/websocket.h"
#include "lab/whoami_impl.h"

#define WS_FIN   0x80
#define WS_MASK  0x80
#define WS_CLOSE 0x8
#define WS_PING  0x9
#define WS_PONG  0xa

static void refuse(struct whoami_conn *c, const struct http_head *h, unsigned status,
                   const char *why)
{
	if (h->body != HTTP_BODY_NONE)
		c->close = true; /* the body has not been read */
	whoami_answer_error(c, h, status, why);
}

void whoami_upgrade(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	const struct str key = websocket_key(h);
	char extra[192], accept[WEBSOCKET_ACCEPT_LEN + 1] = "";
	bool echo, websocket;
	struct str to;

	(void)rest;
	if (!h->upgrade || h->body != HTTP_BODY_NONE) {
		refuse(c, h, 426, "ask with Connection: upgrade, Upgrade: echo or websocket");
		return;
	}
	to = http_field(h, HTTP_FIELD_UPGRADE)->value;
	echo = str_eq_nocase(to, STR("echo"));
	websocket = str_eq_nocase(to, STR("websocket"));
	if (!echo && !websocket) {
		refuse(c, h, 400, "only echo and websocket");
		return;
	}
	if (websocket && (h->method != HTTP_GET || key.len == 0)) {
		refuse(c, h, 400, "GET with a Sec-WebSocket-Key of 16 bytes in base64");
		return;
	}
	if (websocket)
		websocket_accept(key.s, accept);
	c->close = false;
	snprintf(extra, sizeof(extra), "Connection: Upgrade\r\nUpgrade: %s\r\n%s%s%s",
	         echo ? "echo" : "websocket", websocket ? "Sec-WebSocket-Accept: " : "",
	         websocket ? accept : "", websocket ? "\r\n" : "");
	whoami_head(c, h, 101, "", UINT64_MAX, extra);
	if (c->state == WHOAMI_DEAD)
		return;
	c->left = 0;
	c->source_pos = 0;
	c->state = echo ? WHOAMI_TUNNEL : WHOAMI_WEBSOCKET;
}

/* The head of a frame, answered by the same without a mask. */
static ssize_t frame_head(struct whoami_conn *c, const uint8_t *p, size_t len)
{
	unsigned opcode, size, more;
	uint8_t out[10];

	if (len < 2)
		return 0;
	opcode = p[0] & 0xf;
	size = p[1] & 0x7f;
	more = size == 127 ? 8 : size == 126 ? 2 : 0;
	if (!(p[1] & WS_MASK) || (p[0] & 0x70)) /* 5.1: clients mask; no extensions */
		return -1;
	if (opcode >= WS_CLOSE && (more > 0 || opcode > WS_PONG || !(p[0] & WS_FIN)))
		return -1;
	if (len < 2 + more + 4)
		return 0;
	c->left = more ? 0 : size;
	for (unsigned i = 0; i < more; i++)
		c->left = c->left << 8 | p[2 + i];
	if (c->left > INT64_MAX)
		return -1;
	memcpy(c->mask, p + 2 + more, 4);
	c->source_pos = 0;
	c->close = opcode == WS_CLOSE;
	out[0] = opcode == WS_PING ? (uint8_t)(WS_FIN | WS_PONG) : p[0];
	out[1] = (uint8_t)size;
	memcpy(out + 2, p + 2, more);
	whoami_send(c, out, 2 + more);
	return (ssize_t)2 + more + 4;
}

/* A piece of a message, back without its mask. */
static size_t frame_data(struct whoami_conn *c, const char *data, size_t len)
{
	size_t n = MIN(MIN(len, (size_t)WHOAMI_BUFFER), c->left);
	struct buf *b = &c->t->body_out;

	b->len = 0;
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (char)(data[i] ^ (char)c->mask[c->source_pos++ % 4]));
	c->left -= n;
	whoami_send(c, b->p, b->len);
	return n;
}

ssize_t whoami_websocket(struct whoami_conn *c, const char *data, size_t len)
{
	ssize_t n;

	if (c->left == 0)
		n = frame_head(c, (const uint8_t *)data, len);
	else
		n = (ssize_t)frame_data(c, data, len);
	if (n > 0 && c->left == 0 && c->close && c->state != WHOAMI_DEAD)
		c->state = WHOAMI_FLUSH;
	return n;
}
