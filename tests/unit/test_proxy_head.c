/* SPDX-License-Identifier: Apache-2.0 */
/* The heads that go to servers and clients: what is set, what is kept, what goes. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/exchange.h"

/* The program's table of roles; the proxy's folder hangs on it. */
const struct role_ops *const role_table[] = { NULL };

static struct listener listener;
static struct client client;
static struct exchange x;
static struct http_head head;
static char in[128 * 1024], out[256 * 1024 + 1];
static const struct http_limits limits = { 65536, 100000, HTTP_MAX_FIELDS };

static int setup(void **state)
{
	memset(&x, 0, offsetof(struct exchange, head_space));
	memset(&client, 0, sizeof(client));
	memset(&listener, 0, sizeof(listener));
	listener.port = 8080;
	client.listener = &listener;
	client.peer.in4.sin_family = AF_INET;
	client.peer.in4.sin_addr.s_addr = htonl(0xc0000207); /* 192.0.2.7 */
	x.client = &client;
	x.listener = &listener;
	x.minor = 1;
	return 0;
}

static void parse(const char *text)
{
	size_t scanned = 0;

	assert_true(strlen(text) < sizeof(in));
	strcpy(in, text);
	assert_int_equal(http_parse_request(&head, in, strlen(in), &limits, &scanned), strlen(in));
	x.minor = (uint8_t)head.minor;
	x.body = head.body;
	x.upgrade = head.upgrade && head.minor == 1;
	x.expect = head.expect_continue;
}

/* The head that the server gets for this one. */
static const char *request(const char *text)
{
	size_t n;

	parse(text);
	n = head_request(&x, &head, out, sizeof(out) - 1);
	assert_true(n > 0);
	out[n] = '\0';
	/* It must be a well-formed head itself, and not longer than it says. */
	size_t scanned = 0;
	static struct http_head again;

	assert_int_equal(http_parse_request(&again, out, n, &limits, &scanned), n);
	return out;
}

static const char *response(const char *text, enum http_method method)
{
	size_t scanned = 0, n;

	strcpy(in, text);
	assert_int_equal(http_parse_response(&head, in, strlen(in), &limits, &scanned, method),
	                 strlen(in));
	n = head_response(&x, &head, out, sizeof(out) - 1);
	assert_true(n > 0);
	out[n] = '\0';
	return out;
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *p = text; (p = strcasestr(p, part)) != NULL; p++)
		n++;
	return n;
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" is missing in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
	if (strcasestr(text, part) != NULL)
		fail_msg("\"%s\" should not be in:\n%s", part, text);
}

static void is_str(struct str s, const char *text)
{
	if (s.len != strlen(text) || memcmp(s.s, text, s.len) != 0)
		fail_msg("\"%.*s\" instead of \"%s\"", (int)s.len, s.s, text);
}

/* --- requests ------------------------------------------------------------------------------- */

static void test_plain(void **state)
{
	const char *h = request("GET /a/b?c=d HTTP/1.1\r\nhost: shop.test\r\nX-Own: 1 2\r\n"
	                        "Cookie: a=b\r\n\r\n");

	assert_ptr_equal(strstr(h, "GET /a/b?c=d HTTP/1.1\r\nhost: shop.test\r\nX-Own: 1 2\r\n"
	                           "Cookie: a=b\r\n"),
	                 h);
	has(h, "\r\nX-Forwarded-For: 192.0.2.7\r\n");
	has(h, "\r\nX-Forwarded-Proto: http\r\n");
	has(h, "\r\nX-Forwarded-Host: shop.test\r\n");
	has(h, "\r\nX-Forwarded-Port: 8080\r\n");
	lacks(h, "connection:");
	assert_int_equal(count(h, "\r\nhost:"), 1);
}

static void test_client_addresses(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

	client.peer.in4.sin_addr.s_addr = htonl(0xffffffff);
	has(request(text), "\r\nX-Forwarded-For: 255.255.255.255\r\n");
	client.peer.in4.sin_addr.s_addr = htonl(0x0a000001);
	has(request(text), "\r\nX-Forwarded-For: 10.0.0.1\r\n");
	memset(&client.peer, 0, sizeof(client.peer));
	client.peer.in6.sin6_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::7", &client.peer.in6.sin6_addr), 1);
	has(request(text), "\r\nX-Forwarded-For: 2001:db8::7\r\n");
}

static const char forwarded[] = "GET / HTTP/1.1\r\nHost: shop.test\r\n"
                                "X-Forwarded-For: 198.51.100.1\r\n"
                                "x-forwarded-for: 198.51.100.2, 198.51.100.3\r\n"
                                "X-Forwarded-Proto: https\r\nX-Forwarded-Host: outer.test\r\n"
                                "X-Forwarded-Port: 443\r\nForwarded: for=198.51.100.1\r\n\r\n";

static void test_forwarded_of_a_stranger(void **state)
{
	const char *h = request(forwarded);

	lacks(h, "198.51.100");
	lacks(h, "https");
	lacks(h, "outer.test");
	lacks(h, "Port: 443");
	assert_int_equal(count(h, "forwarded:"), 0);
	assert_int_equal(count(h, "x-forwarded-for:"), 1);
	has(h, "\r\nX-Forwarded-For: 192.0.2.7\r\n");
	has(h, "\r\nX-Forwarded-Proto: http\r\n");
	has(h, "\r\nX-Forwarded-Host: shop.test\r\n");
	has(h, "\r\nX-Forwarded-Port: 8080\r\n");
}

static void test_forwarded_of_the_trusted(void **state)
{
	const char *h;

	x.trusted = true;
	h = request(forwarded);
	has(h, "\r\nX-Forwarded-For: 198.51.100.1, 198.51.100.2, 198.51.100.3, 192.0.2.7\r\n");
	has(h, "\r\nX-Forwarded-Proto: https\r\n");
	has(h, "\r\nX-Forwarded-Host: outer.test\r\n");
	has(h, "\r\nX-Forwarded-Port: 443\r\n");
	has(h, "\r\nForwarded: for=198.51.100.1\r\n");
	assert_int_equal(count(h, "x-forwarded-for:"), 1);
	assert_int_equal(count(h, "x-forwarded-proto:"), 1);
	assert_int_equal(count(h, "x-forwarded-host:"), 1);
	assert_int_equal(count(h, "x-forwarded-port:"), 1);
}

static void test_forwarded_named_by_connection(void **state)
{
	/* A client must not be able to take them off the request by calling them hop-by-hop. */
	const char *h = request("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For, "
	                        "X-Forwarded-Proto, X-Forwarded-Host, X-Request-Id, Host\r\n\r\n");

	has(h, "\r\nHost: a\r\n");
	has(h, "\r\nX-Forwarded-For: 192.0.2.7\r\n");
	has(h, "\r\nX-Forwarded-Proto: http\r\n");
	has(h, "\r\nX-Forwarded-Host: a\r\n");
	has(h, "\r\nX-Request-Id: ");
}

static void test_empty_forwarded_for(void **state)
{
	x.trusted = true;
	has(request("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For:\r\n\r\n"),
	    "\r\nX-Forwarded-For: 192.0.2.7\r\n");
}

static void test_id_made(void **state)
{
	char first[33] = "";
	const char *h = request("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: theirs\r\n\r\n");

	lacks(h, "theirs");
	assert_int_equal(count(h, "x-request-id:"), 1);
	assert_int_equal(x.id.len, 32);
	assert_ptr_equal(x.id.s, strstr(h, "X-Request-Id: ") + 14);
	memcpy(first, x.id.s, 32);
	assert_int_equal(strspn(first, "0123456789abcdef"), 32);
	request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_memory_not_equal(x.id.s, first, 32);
}

static void test_id_of_the_trusted(void **state)
{
	const char *h;
	char text[512], longest[130];

	x.trusted = true;
	h = request("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: \r\nx-request-id:  one-2 \r\n"
	            "X-Request-Id: three\r\n\r\n");
	assert_int_equal(count(h, "x-request-id:"), 1);
	lacks(h, "three");
	is_str(x.id, "one-2");
	memset(longest, 'i', sizeof(longest));
	longest[129] = '\0';
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n\r\n",
	         longest);
	lacks(request(text), longest); /* beyond 128 bytes: one of our own */
	assert_int_equal(x.id.len, 32);
	longest[128] = '\0';
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n\r\n",
	         longest);
	has(request(text), longest);
	is_str(x.id, longest);
}

static void test_id_of_a_refused_request(void **state)
{
	head_id(&x);
	assert_int_equal(x.id.len, 32);
	assert_ptr_equal(x.id.s, x.head_space);
}

static void test_hop_by_hop(void **state)
{
	const char *h = request(
	    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-One\r\nConnection: x-two\r\n"
	    "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: "
	    "secret\r\n"
	    "TE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nx-one: 1\r\nX-Two: 2\r\nX-Three: "
	    "3\r\n"
	    "\r\n");

	lacks(h, "\r\nconnection:");
	lacks(h, "keep-alive");
	lacks(h, "proxy-");
	lacks(h, "secret");
	lacks(h, "\r\nte:");
	lacks(h, "trailer");
	lacks(h, "upgrade");
	lacks(h, "x-one");
	lacks(h, "x-two");
	has(h, "\r\nX-Three: 3\r\n");
}

static void test_known_fields_named_by_connection(void **state)
{
	const char *h = request("GET / HTTP/1.1\r\nHost: a\r\n"
	                        "Connection: accept, User-Agent, Referer, Cookie, Authorization\r\n"
	                        "Accept: a/b\r\nUser-Agent: u\r\nReferer: r\r\nCookie: c\r\n"
	                        "Authorization: d\r\n\r\n");

	lacks(h, "accept:");
	lacks(h, "user-agent:");
	lacks(h, "referer:");
	lacks(h, "cookie:");
	lacks(h, "authorization:");
	assert_int_equal(x.agent.len, 0);
}

static void test_connection_cannot_unframe(void **state)
{
	const char *h = request("POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length, "
	                        "transfer-encoding\r\nContent-Length: 5\r\n\r\n");

	has(h, "\r\nContent-Length: 5\r\n");
	setup(NULL);
	h = request("POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\n"
	            "Transfer-Encoding: chunked\r\n\r\n");
	assert_int_equal(count(h, "transfer-encoding:"), 1);
	has(h, "\r\nTransfer-Encoding: chunked\r\n");
}

static void test_remembered(void **state)
{
	request("PATCH /x?y HTTP/1.1\r\nHost: b.test:81\r\nAccept: text/html\r\n"
	        "User-Agent: agent/1 (x)\r\nReferer: http://r.test/\r\n\r\n");
	is_str(x.method_text, "PATCH");
	is_str(x.target, "/x?y");
	is_str(x.host, "b.test:81");
	is_str(x.accept, "text/html");
	is_str(x.agent, "agent/1 (x)");
	is_str(x.referer, "http://r.test/");
	/* They lie in the copy, which outlives the read. */
	assert_true(x.agent.s > out && x.agent.s < out + sizeof(out));
	assert_true(x.method_text.s == out);
}

static void test_absolute_form(void **state)
{
	const char *h =
	    request("GET http://Shop.test:81/a?b HTTP/1.1\r\nHost: shop.test:81\r\n\r\n");

	assert_ptr_equal(strstr(h, "GET /a?b HTTP/1.1\r\n"), h);
	assert_int_equal(count(h, "\r\nhost:"), 1);
	is_str(x.target, "/a?b");
	h = request("GET http://shop.test HTTP/1.1\r\nHost: shop.test\r\n\r\n");
	assert_ptr_equal(strstr(h, "GET / HTTP/1.1\r\n"), h);
	h = request("GET http://shop.test?q HTTP/1.1\r\nHost: shop.test\r\n\r\n");
	assert_ptr_equal(strstr(h, "GET /?q HTTP/1.1\r\n"), h);
	is_str(x.target, "/?q");
	h = request("OPTIONS http://shop.test HTTP/1.1\r\nHost: shop.test\r\n\r\n");
	assert_ptr_equal(strstr(h, "OPTIONS * HTTP/1.1\r\n"), h);
	h = request("OPTIONS * HTTP/1.1\r\nHost: shop.test\r\n\r\n");
	assert_ptr_equal(strstr(h, "OPTIONS * HTTP/1.1\r\n"), h);
}

static void test_http_10(void **state)
{
	const char *h = request("GET / HTTP/1.0\r\n\r\n");

	assert_ptr_equal(strstr(h, "GET / HTTP/1.1\r\n"), h);
	has(h, "\r\nHost: \r\n"); /* RFC 9112, 3.2: empty where there is no authority */
	lacks(h, "x-forwarded-host");
	h = request("GET http://old.test/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_ptr_equal(strstr(h, "GET / HTTP/1.1\r\n"), h);
	has(h, "\r\nHost: old.test\r\n");
	has(h, "\r\nX-Forwarded-Host: old.test\r\n");
	is_str(x.host, "old.test");
	lacks(h, "keep-alive");
	/* HTTP/1.0 knows no upgrade. */
	h = request("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	lacks(h, "upgrade");
}

static void test_upgrade(void **state)
{
	const char *h =
	    request("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
	            "Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n");

	has(h, "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n");
	assert_int_equal(count(h, "\r\nupgrade:"), 1);
	assert_int_equal(count(h, "\r\nconnection:"), 1);
	has(h, "\r\nSec-WebSocket-Key: k\r\n");
}

static void test_framing(void **state)
{
	const char *h = request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n"
	                        "Trailer: X-Sum\r\n\r\n");

	assert_int_equal(count(h, "transfer-encoding:"), 1);
	has(h, "\r\nTransfer-Encoding: chunked\r\n");
	has(h, "\r\nTrailer: X-Sum\r\n");
	setup(NULL);
	h = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTrailer: X-Sum\r\n\r\n");
	has(h, "\r\nContent-Length: 3\r\n");
	lacks(h, "trailer");
	lacks(h, "transfer-encoding");
}

static void test_expect(void **state)
{
	const char *h = request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
	                        "Expect: 100-continue\r\n\r\n");

	has(h, "\r\nExpect: 100-continue\r\n");
	/* Without a body there is nothing to wait for, as the exchange sees it. */
	parse("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
	x.expect = false;
	out[head_request(&x, &head, out, sizeof(out) - 1)] = '\0';
	lacks(out, "expect");
}

static void test_unix_listener(void **state)
{
	listener.port = 0;
	lacks(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "x-forwarded-port");
}

static void test_long_head(void **state)
{
	char *text = malloc(64 * 1024);
	size_t n, whole;

	n = (size_t)sprintf(text, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (unsigned i = 0; i < 200; i++)
		n += (size_t)sprintf(text + n, "X-Field-%u: %0*u\r\n", i, 100 + (int)i, i);
	strcpy(text + n, "\r\n");
	request(text);
	whole = strlen(out);
	assert_true(whole > EXCHANGE_HEAD);
	has(out, "\r\nX-Field-199: 00000");
	/* Every size that does not hold it says so, and none is written beyond. */
	for (size_t size = 0; size < whole; size += size < 64 ? 1 : 97) {
		memset(out + size, 0x5a, 64);
		assert_int_equal(head_request(&x, &head, out, size), 0);
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(out[size + i], 0x5a);
	}
	assert_int_equal(head_request(&x, &head, out, whole - 1), 0);
	assert_int_equal(head_request(&x, &head, out, whole), whole);
	free(text);
}

/* --- responses ------------------------------------------------------------------------------ */

static void test_response_plain(void **state)
{
	assert_string_equal(response("HTTP/1.1 200 Very Well\r\nServer: s\r\nContent-Length: 2\r\n"
	                             "Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
	                             HTTP_GET),
	                    "HTTP/1.1 200 Very Well\r\nServer: s\r\nContent-Length: 2\r\n"
	                    "Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n");
	x.response_close = true;
	has(response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", HTTP_GET),
	    "\r\nConnection: close\r\n\r\n");
}

static void test_response_hop_by_hop(void **state)
{
	const char *h =
	    response("HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
	             "Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
	             HTTP_GET);

	assert_string_equal(h, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	has(response("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
	             HTTP_GET),
	    "\r\nProxy-Authenticate: Basic\r\n");
}

static void test_response_chunked(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	                           "Trailer: X-Sum\r\n\r\n";
	const char *h = response(text, HTTP_GET);

	assert_int_equal(count(h, "transfer-encoding: chunked"), 1);
	has(h, "\r\nTrailer: X-Sum\r\n");
	/* Unpacked for a client that knows no chunks. */
	x.minor = 0;
	x.dechunk = x.response_close = true;
	h = response(text, HTTP_GET);
	lacks(h, "transfer-encoding");
	lacks(h, "trailer");
	has(h, "\r\nConnection: close\r\n");
}

static void test_response_to_http_10(void **state)
{
	x.minor = 0;
	has(response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", HTTP_GET),
	    "\r\nConnection: keep-alive\r\n");
	/* RFC 9112, 6.1: never a Transfer-Encoding, not even without the body. */
	lacks(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_HEAD),
	      "transfer-encoding");
}

static void test_response_of_http_10(void **state)
{
	const char *h = response("HTTP/1.0 404 Not here\r\nX-A: 1\r\n\r\n", HTTP_GET);

	assert_ptr_equal(strstr(h, "HTTP/1.1 404 Not here\r\nX-A: 1\r\n"), h);
	h = response("HTTP/1.0 200 \r\n\r\n", HTTP_GET);
	assert_ptr_equal(strstr(h, "HTTP/1.1 200 \r\n"), h);
}

static void test_response_without_body(void **state)
{
	/* RFC 9110, 8.6; RFC 9112, 6.1: no framing where there is no body … */
	lacks(response("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_GET),
	      "transfer-encoding");
	lacks(response("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", HTTP_GET), "content-length");
	lacks(response("HTTP/1.1 103 Hints\r\nContent-Length: 5\r\nLink: x\r\n\r\n", HTTP_GET),
	      "content-length");
	/* … but where there would be one for GET it tells of that. */
	has(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_HEAD),
	    "\r\nContent-Length: 5\r\n");
	has(response("HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", HTTP_GET),
	    "\r\nContent-Length: 5\r\n");
}

static void test_response_interim(void **state)
{
	x.response_close = true;
	assert_string_equal(response("HTTP/1.1 100 Continue\r\n\r\n", HTTP_POST),
	                    "HTTP/1.1 100 Continue\r\n\r\n");
	assert_string_equal(response("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", HTTP_GET),
	                    "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n");
}

static void test_response_upgrade(void **state)
{
	const char *h = response("HTTP/1.1 101 Go\r\nConnection: Upgrade, X-A\r\nX-A: 1\r\n"
	                         "Upgrade: websocket\r\nSec-WebSocket-Accept: k\r\n\r\n",
	                         HTTP_GET);

	has(h, "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
	has(h, "\r\nSec-WebSocket-Accept: k\r\n");
	assert_int_equal(count(h, "\r\nconnection:"), 1);
	assert_int_equal(count(h, "\r\nupgrade:"), 1);
	lacks(h, "x-a");
}

static void test_response_reason(void **state)
{
	static const char text[] = "HTTP/1.1 503 Away\r\nHoldfast-Reason: server web/a refused\r\n"
	                           "Content-Length: 0\r\n\r\n";

	lacks(response(text, HTTP_GET), "holdfast-reason");
	x.trusted = true;
	has(response(text, HTTP_GET), "\r\nHoldfast-Reason: server web/a refused\r\n");
}

static void test_response_too_long(void **state)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n";
	size_t whole = strlen(response(text, HTTP_GET));

	for (size_t size = 0; size < whole; size++) {
		memset(out, 0x5a, whole + 1);
		assert_int_equal(head_response(&x, &head, out, size), 0);
		assert_int_equal(out[size], 0x5a);
	}
	assert_int_equal(head_response(&x, &head, out, whole), whole);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(test_##name, setup)
	const struct CMUnitTest tests[] = {
		T(plain),
		T(client_addresses),
		T(forwarded_of_a_stranger),
		T(forwarded_of_the_trusted),
		T(forwarded_named_by_connection),
		T(empty_forwarded_for),
		T(id_made),
		T(id_of_the_trusted),
		T(id_of_a_refused_request),
		T(hop_by_hop),
		T(known_fields_named_by_connection),
		T(connection_cannot_unframe),
		T(remembered),
		T(absolute_form),
		T(http_10),
		T(upgrade),
		T(framing),
		T(expect),
		T(unix_listener),
		T(long_head),
		T(response_plain),
		T(response_hop_by_hop),
		T(response_chunked),
		T(response_to_http_10),
		T(response_of_http_10),
		T(response_without_body),
		T(response_interim),
		T(response_upgrade),
		T(response_reason),
		T(response_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
