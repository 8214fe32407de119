/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question over HTTP/2, for the kinds of probes that ask so: on a connection of its own, in
 * clear text with prior knowledge (RFC 9113 section 3.3) or over TLS with ALPN "h2" (3.2). nghttp2
 * keeps the protocol, this part the limits and the words for what is not as it should be; the kind
 * judges the answer. Main thread of the role check.
 */
#ifndef CHECK_H2_H
#define CHECK_H2_H

#include <nghttp2/nghttp2.h>

#include "check/probe.h"

#define H2_FIELDS   65536  /* bytes of all fields of an answer, as RFC 9113 section 6.5.2 counts */
#define H2_RECEIVED 262144 /* bytes of all that a server may send for one question */

/* What a kind does with an answer; nothing of it may give a verdict but `judge`. */
struct h2_kind {
	/* A head begins: an interim one, the answer's or the trailers. May be NULL. */
	void (*begin)(struct probe *p);
	void (*field)(struct probe *p, struct str name, struct str value);
	/* It is whole; end: so is the answer. May be NULL. */
	void (*head)(struct probe *p, bool end);
	void (*data)(struct probe *p, struct str data);
	/* The answer is whole, or enough of it is there: gives the verdict. */
	void (*judge)(struct probe *p);
	/* Frees what the kind has allocated besides its struct. May be NULL. */
	void (*free)(struct probe *p);
};

/* The first member of the kind's own struct. */
struct h2 {
	const struct h2_kind *kind;
	nghttp2_session *session;
	/* The kind's: it need not see more, it is out of memory, or why the answer is a bad one. */
	bool enough;
	bool no_memory;
	const char *fault; /* static words */
	/* What came. */
	bool begun;    /* a frame of SETTINGS */
	bool answered; /* a head */
	bool whole;    /* the end of the answer */
	bool closed;   /* no more of the stream … */
	uint32_t error;
	bool goaway; /* the server ends the connection … */
	uint32_t goaway_error;
	char words[48]; /* … and says why */
	int violation;  /* of the protocol, by nghttp2's numbers; 0: none */
	uint32_t told;  /* the error that we ended the stream or the connection with */
	size_t fields;
	size_t received;
};

/*
 * Asks, on a connection that is open now. h is the first member of what malloc gave, NULL where it
 * gave nothing; it is the probe's from now on, whatever comes of it. body may be NULL. Gives the
 * verdict when there is no asking.
 */
void h2_ask(struct probe *p, struct h2 *h, const struct h2_kind *kind, const nghttp2_nv *fields,
            size_t n, const nghttp2_data_provider *body);

/* Of the kinds' struct probe_ops. */
size_t h2_take(struct probe *p, struct str got);
void h2_ended(struct probe *p);
void h2_stop(struct probe *p);

static inline nghttp2_nv h2_field(struct str name, struct str value)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.s,
		             .namelen = name.len,
		             .value = (uint8_t *)(uintptr_t)value.s,
		             .valuelen = value.len };
}

#endif
