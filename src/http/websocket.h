/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake of WebSockets on HTTP/1.1 (RFC 6455, 4): a request's key and what answers it. Pure
 * functions; any thread. */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "http/http.h"

#define WEBSOCKET_KEY_LEN    24 /* of a Sec-WebSocket-Key: 16 bytes in Base64 */
#define WEBSOCKET_ACCEPT_LEN 28 /* of a Sec-WebSocket-Accept: 20 bytes in Base64 */

/* Whether an Upgrade of a request or of a 101 names websocket. */
bool websocket_named(const struct http_head *h);
/* The request's Sec-WebSocket-Key, WEBSOCKET_KEY_LEN bytes; empty where there is none, or more than
 * one, or none that stands for 16 bytes (RFC 6455, 4.1 and 11.3.1), or where Connection names it,
 * so that nobody passes it on. */
struct str websocket_key(const struct http_head *h);
/* The Sec-WebSocket-Accept that answers a key (RFC 6455, 4.2.2), with a zero byte behind it. */
void websocket_accept(const char key[WEBSOCKET_KEY_LEN], char out[WEBSOCKET_ACCEPT_LEN + 1]);

#endif
