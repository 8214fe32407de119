/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log, off the hot path: a proxy thread copies a finished request into its own ring
 * (one writer, one reader, never waits; when full the record is dropped and counted) and one writer
 * thread of the process formats and writes to the listeners' files in batches.
 */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include "conf/conf.h"

struct access_log;  /* of the process: the writer thread */
struct access_ring; /* of one proxy thread */

#define ACCESS_HTTP2 20

struct access_record {    /* copied; the strings need to live only during the call */
	uint64_t wall_ms; /* when the request came */
	uint64_t duration_us;
	uint64_t upstream_us; /* till the response's head; 0: none */
	uint64_t bytes_in, bytes_out;
	uint32_t status; /* 0: none was sent */
	uint32_t attempts;
	uint32_t minor; /* HTTP/1.minor; ACCESS_HTTP2 */
	const struct net_addr *client;
	struct str method, target, host, user_agent, referer, request_id;
	struct str listener, route, server; /* "pool/server"; empty: none */
	struct str reason;                  /* of an error answer or an abort; empty: none */
};

struct access_log *access_log_new(unsigned threads);
void access_log_free(struct access_log *a); /* writes out what is there */
/* The ring of a thread, the same each time, of one user at a time; NULL when out of memory. */
struct access_ring *access_log_ring(struct access_log *a, unsigned thread);
/* fd: the file of that listener (slot on the board), -1: none; taken over (dup it before). Called
 * on the main thread at start, commit and reopening. Never blocks: the writer changes over before
 * its next batch. */
void access_log_set(struct access_log *a, uint32_t slot, int fd, enum conf_log_format format);
/* Whether this request is to be written: a 5xx always, else by sample. */
bool access_log_wants(const struct conf_access_log *c, unsigned status);
/* Never waits. Strings longer than 4096 bytes are cut. r NULL: nothing is logged. */
void access_log_put(struct access_ring *r, uint32_t slot, const struct access_record *record);
/* Formats one record as a line with its newline; used by the writer and by tests. */
void access_log_format(const struct access_record *r, enum conf_log_format f, struct buf *out);
/* Lines lost so far: for a full ring, or because their file did not take them. */
uint64_t access_log_dropped(const struct access_log *a);

#endif
