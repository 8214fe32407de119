/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames for streams that are over, which nghttp2 passes over in silence. What a client had sent
 * before it knew that we reset a stream is no fault of its; anything else is (RFC 9113, 5.1): a
 * number used again, data after the end. Proxy role, one worker thread each.
 */
#include "proxy/http2.h"

#include "base/check.h"

#define STREAMS 256 /* of the last that were opened, of which we remember; bits of http2_ids */

static inline uint64_t *word_of(struct http2_ids *ids, uint32_t id)
{
	return &ids->early[id / 2 % STREAMS / 64];
}

static inline uint64_t bit_of(uint32_t id)
{
	return (uint64_t)1 << (id / 2 % 64);
}

static void opened(struct http2_ids *ids, uint32_t id)
{
	uint32_t at = id - ids->top > 2 * STREAMS ? id - 2 * STREAMS + 2 : ids->top + 2;

	if (ids->top == 0)
		at = id > 2 * STREAMS ? id - 2 * STREAMS + 2 : 1;
	for (; at <= id; at += 2)
		*word_of(ids, at) &= ~bit_of(at);
	ids->top = id;
}

void http2_ids_reset(struct http2_ids *ids, uint32_t id)
{
	if (id % 2 == 1 && id <= ids->top && ids->top - id < 2 * STREAMS)
		*word_of(ids, id) |= bit_of(id);
}

/* What is older than we remember is let pass. */
static bool may_come(struct http2_ids *ids, uint32_t id)
{
	return ids->top - id >= 2 * STREAMS || (*word_of(ids, id) & bit_of(id)) != 0;
}

void http2_ids_look(struct http2 *h, uint8_t type, uint32_t id)
{
	struct http2_ids *ids = &h->ids;

	/* After our last GOAWAY, streams beyond it are not heeded (RFC 9113, 6.8). */
	if (id % 2 == 0 || h->over || h->leave == HTTP2_LEAVING)
		return;
	if (id > ids->top) {
		if (type == NGHTTP2_HEADERS)
			opened(ids, id);
		return; /* idle: nghttp2 knows */
	}
	if (nghttp2_session_find_stream(h->ng, (int32_t)id) != NULL || may_come(ids, id))
		return;
	if (type == NGHTTP2_HEADERS) /* RFC 9113, 5.1.1 */
		http2_violation(h, NGHTTP2_PROTOCOL_ERROR,
		                "number of a stream that was used before");
	else /* RFC 9113, 6.1; as an error of the connection: 5.4.1 */
		http2_violation(h, NGHTTP2_STREAM_CLOSED, "data for a stream that is over");
}

/* A stream that was opened and reset in one read costs no server anything. */
bool http2_ids_doomed(const struct http2_ids *ids, uint32_t id)
{
	return (ids->doomed[id / 2 % STREAMS / 64] & bit_of(id)) != 0;
}

void http2_ids_walk(struct http2 *h, const char *data, size_t len)
{
	struct http2_ids *ids = &h->ids;

	memset(ids->doomed, 0, sizeof(ids->doomed));
	while (len > 0) {
		size_t n = MIN((size_t)ids->skip, len);
		uint32_t id;

		ids->skip -= (uint32_t)n;
		data += n;
		len -= n;
		n = MIN(sizeof(ids->head) - ids->have, len);
		memcpy(ids->head + ids->have, data, n);
		ids->have += (uint8_t)n;
		data += n;
		len -= n;
		if (ids->have < sizeof(ids->head))
			break;
		ids->have = 0;
		ids->skip = http2_number(ids->head) >> 8;
		id = http2_number(ids->head + 5) & INT32_MAX;
		if (ids->head[3] == NGHTTP2_DATA)
			http2_ids_look(h, NGHTTP2_DATA, id);
		else if (ids->head[3] == NGHTTP2_RST_STREAM && id > ids->top &&
		         id - ids->top < 2 * STREAMS)
			ids->doomed[id / 2 % STREAMS / 64] |= bit_of(id);
	}
}
