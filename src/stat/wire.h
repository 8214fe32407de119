/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of a listener that belong to its protocols rather than to requests: TLS, HTTP/2, PROXY
 * headers, UDP. As stat_block: one block for each thread of each proxy, written by that thread
 * only.
 */
#ifndef STAT_WIRE_H
#define STAT_WIRE_H

#include <stdint.h>

/* One counter each: name of its series (holdfast_listener_…) and help. */
#define WIRE_ROWS(X) \
	X(TLS_HANDSHAKES, "tls_handshakes_total", \
	  "TLS handshakes completed, resumed ones included") \
	X(TLS_RESUMED, "tls_resumed_total", "TLS handshakes that resumed a session") \
	X(TLS_FAILED, "tls_failed_total", "TLS handshakes that failed") \
	X(H2_CONNECTIONS, "http2_connections_total", "connections that spoke HTTP/2") \
	X(H2_ERRORS, "http2_errors_total", \
	  "HTTP/2 connections ended for a violation of the protocol") \
	X(H2_RESETS, "http2_resets_total", "HTTP/2 streams reset by their clients") \
	X(FLOOD_RESET, "http2_flood_reset_total", \
	  "HTTP/2 connections ended because streams were opened and reset too fast") \
	X(FLOOD_CONTINUATION, "http2_flood_continuation_total", \
	  "HTTP/2 connections ended for a header block without end") \
	X(FLOOD_SETTINGS, "http2_flood_settings_total", \
	  "HTTP/2 connections ended for too many SETTINGS") \
	X(FLOOD_PING, "http2_flood_ping_total", "HTTP/2 connections ended for too many PING") \
	X(FLOOD_EMPTY, "http2_flood_empty_total", \
	  "HTTP/2 connections ended for too many frames without content") \
	X(FLOOD_WINDOW, "http2_flood_window_total", \
	  "HTTP/2 connections ended because they let data wait behind closed windows, or opened " \
	  "them byte by byte") \
	X(PROXY_HEADERS, "proxy_headers_total", "PROXY headers taken") \
	X(PROXY_REFUSED, "proxy_headers_refused_total", \
	  "connections ended for a bad PROXY header") \
	X(UDP_SESSIONS, "udp_sessions_total", "UDP sessions begun") \
	X(UDP_DROPPED, "udp_dropped_total", "datagrams that could not be passed on")

enum wire_counter {
#define WIRE_ENUM(name, series, help) WIRE_##name,
	WIRE_ROWS(WIRE_ENUM)
#undef WIRE_ENUM
	    WIRE_COUNTERS
};

struct wire_block {
	uint64_t c[WIRE_COUNTERS];
} __attribute__((aligned(64)));

#endif
