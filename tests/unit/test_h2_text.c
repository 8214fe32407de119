/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 fields as HTTP/1.1 text and back: what becomes of them, what is refused and why. */
#include "rows.h"

#include "base/check.h"
#include "http/h2_text.h"

#define MAX_HEAD 4096

static const struct http_limits limits = { .max_line = 4096,
	                                   .max_head = MAX_HEAD,
	                                   .max_fields = 16 };
static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==";

struct field {
	const char *name, *value;
	size_t value_len; /* 0: strlen(value) */
};

struct row {
	const char *name;
	enum h2_text_kind kind;
	bool end;
	enum h2_fault fault;
	const char *text; /* where nothing is wrong */
	struct field fields[12];
	bool offered; /* extended CONNECT; of a response: it was asked for */
};

static size_t count(const struct field *f)
{
	size_t n = 0;

	while (n < 12 && f[n].name != NULL)
		n++;
	return n;
}

/* move: memory for the text in the making that fits exactly, behind each field. */
static enum h2_fault translate(const struct row *r, bool move, char *out, size_t *len)
{
	struct h2_text t;
	size_t i, n = count(r->fields), size = H2_TEXT_ROOM(MAX_HEAD);
	enum h2_fault fault;
	char *own = malloc(size), *small = NULL;

	memset(own, 0xa5, size);
	h2_text_begin(&t, r->kind, own, size, &limits);
	if (r->offered)
		h2_text_websocket(&t, key);
	if (r->offered && r->kind == H2_TEXT_RESPONSE)
		h2_text_accept(&t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	for (i = 0; i < n; i++) {
		const struct field *f = &r->fields[i];
		size_t vlen = f->value_len > 0 ? f->value_len : strlen(f->value);
		char *name = malloc(strlen(f->name) + 1), *value = malloc(vlen + 1);

		/* Memory of their own that ends where they end: what is read beyond shows. */
		name = realloc(name, MAX(strlen(f->name), (size_t)1));
		memcpy(name, f->name, strlen(f->name));
		value = realloc(value, MAX(vlen, (size_t)1));
		memcpy(value, f->value, vlen);
		h2_text_field(&t, str_n(name, strlen(f->name)), str_n(value, vlen));
		free(name);
		free(value);
		if (move) {
			size_t used = h2_text_used(&t);

			small = malloc(used + 1);
			h2_text_move(&t, small, used);
			memset(own, 0x5a, size);
			h2_text_move(&t, own, size);
			free(small);
		}
	}
	fault = h2_text_end(&t, r->end);
	if (fault == H2_FAULT_NONE) {
		assert_true(t.len <= MAX_HEAD);
		memcpy(out, own, t.len);
		out[t.len] = '\0';
		*len = t.len;
	}
	free(own);
	return fault;
}

static void parses(const struct row *r, const char *text, size_t len)
{
	static struct http_head h;
	size_t scanned = 0;
	int n;

	if (r->kind == H2_TEXT_REQUEST)
		n = http_parse_request(&h, text, len, &limits, &scanned);
	else
		n = http_parse_response(&h, text, len, &limits, &scanned, HTTP_GET);
	assert_int_equal(n, (int)len);
	if (r->kind == H2_TEXT_REQUEST && r->end)
		assert_int_equal(h.body, HTTP_BODY_NONE);
}

static void run(void **state)
{
	const struct row *r = *state;
	char text[MAX_HEAD + 1], moved[MAX_HEAD + 1];
	size_t len = 0, moved_len = 0;
	enum h2_fault fault = translate(r, false, text, &len);

	if (fault != r->fault)
		fail_msg("%s", h2_fault_text(fault));
	assert_int_equal(translate(r, true, moved, &moved_len), fault);
	if (fault != H2_FAULT_NONE)
		return;
	assert_int_equal(len, moved_len);
	assert_memory_equal(text, moved, len);
	if (r->text != NULL)
		assert_string_equal(text, r->text);
	if (r->kind != H2_TEXT_TRAILERS)
		parses(r, text, len);
}

/* --- the table ------------------------------------------------------------------------------ */

#define GET \
	{ ":method", "GET" }, { ":scheme", "https" }, { ":authority", "a.test" }, \
	{ \
		":path", "/x" \
	}
#define POST \
	{ ":method", "POST" }, { ":scheme", "http" }, { ":authority", "a.test" }, \
	{ \
		":path", "/" \
	}
#define GET_TEXT  "GET /x HTTP/1.1\r\nhost: a.test\r\n"
#define POST_TEXT "POST / HTTP/1.1\r\nhost: a.test\r\n"

#define WELL(name, body, text, ...) \
	{ \
		name, H2_TEXT_REQUEST, !(body), H2_FAULT_NONE, text, \
		{ \
			__VA_ARGS__ \
		} \
	}
#define BAD(name, fault, ...) \
	{ \
		name, H2_TEXT_REQUEST, true, H2_FAULT_##fault, NULL, \
		{ \
			__VA_ARGS__ \
		} \
	}
#define BAD_BODY(name, fault, ...) \
	{ \
		name, H2_TEXT_REQUEST, false, H2_FAULT_##fault, NULL, \
		{ \
			__VA_ARGS__ \
		} \
	}
#define ANSWER(name, ended, text, ...) \
	{ \
		name, H2_TEXT_RESPONSE, ended, H2_FAULT_NONE, text, \
		{ \
			__VA_ARGS__ \
		} \
	}
#define BAD_ANSWER(name, fault, ...) \
	{ \
		name, H2_TEXT_RESPONSE, false, H2_FAULT_##fault, NULL, \
		{ \
			__VA_ARGS__ \
		} \
	}
#define TRAILERS(name, text, ...) \
	{ \
		name, H2_TEXT_TRAILERS, true, H2_FAULT_NONE, text, \
		{ \
			__VA_ARGS__ \
		} \
	}
#define BAD_TRAILERS(name, fault, ...) \
	{ \
		name, H2_TEXT_TRAILERS, true, H2_FAULT_##fault, NULL, \
		{ \
			__VA_ARGS__ \
		} \
	}
#define GRANT(name, ended, text, ...) \
	{ \
		name, H2_TEXT_RESPONSE, ended, H2_FAULT_NONE, text, { __VA_ARGS__ }, true \
	}
#define SOCKET(name, fault, text, ...) \
	{ \
		name, H2_TEXT_REQUEST, false, H2_FAULT_##fault, text, { __VA_ARGS__ }, true \
	}

static const struct row requests[] = {
	WELL("get", false, GET_TEXT "accept: */*\r\n\r\n", GET, { "accept", "*/*" }),
	WELL("get_without_fields", false, GET_TEXT "\r\n", GET),
	WELL("pseudo_fields_in_any_order", false, GET_TEXT "\r\n", { ":path", "/x" },
	     { ":authority", "a.test" }, { ":method", "GET" }, { ":scheme", "HTTPS" }),
	WELL("host_instead_of_authority", false, "GET /x HTTP/1.1\r\na: b\r\nhost: b.test\r\n\r\n",
	     { ":method", "GET" }, { ":scheme", "https" }, { ":path", "/x" }, { "a", "b" },
	     { "host", "b.test" }),
	WELL("host_equal_to_authority", false, GET_TEXT "\r\n", GET, { "host", "A.TEST" }),
	WELL("post_of_unknown_length", true, POST_TEXT "transfer-encoding: chunked\r\n\r\n", POST),
	WELL("post_of_known_length", true, POST_TEXT "content-length: 12\r\n\r\n", POST,
	     { "content-length", "12" }),
	WELL("post_of_no_length", false, POST_TEXT "content-length: 0\r\n\r\n", POST,
	     { "content-length", "0" }),
	WELL("te_trailers", false, GET_TEXT "te: trailers\r\n\r\n", GET, { "te", "trailers" }),
	WELL("one_cookie", false, GET_TEXT "cookie: a=b\r\n\r\n", GET, { "cookie", "a=b" }),
	WELL("crumbs", false, GET_TEXT "cookie: a=b; c=d; e=f\r\n\r\n", GET, { "cookie", "a=b" },
	     { "cookie", "c=d" }, { "cookie", "e=f" }),
	WELL("crumbs_apart", false,
	     GET_TEXT "x: 1\r\ncookie: a=b; c=d; e=f\r\ny: 2\r\nz: 3\r\n\r\n", GET, { "x", "1" },
	     { "cookie", "a=b" }, { "y", "2" }, { "cookie", "c=d" }, { "cookie", "" }, { "z", "3" },
	     { "cookie", "e=f" }),
	WELL("empty_value", false, GET_TEXT "a: \r\n\r\n", GET, { "a", "" }),
	WELL("all_bytes_of_names", false, GET_TEXT "!#$%&'*+-.^_`|~09az: 1\r\n\r\n", GET,
	     { "!#$%&'*+-.^_`|~09az", "1" }),
	WELL("obs_text", false, GET_TEXT "a: \xc3\xa4\tb\r\n\r\n", GET, { "a", "\xc3\xa4\tb" }),
	WELL("options_star", false, "OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n",
	     { ":method", "OPTIONS" }, { ":scheme", "http" }, { ":authority", "a.test" },
	     { ":path", "*" }),
	WELL("connect", false, "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n",
	     { ":method", "CONNECT" }, { ":authority", "a.test:443" }),
	WELL("ipv6", false, "GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", { ":method", "GET" },
	     { ":scheme", "http" }, { ":authority", "[::1]:80" }, { ":path", "/" }),
	WELL("method_of_any_token", false, "Purge / HTTP/1.1\r\nhost: a.test\r\n\r\n",
	     { ":method", "Purge" }, { ":scheme", "http" }, { ":authority", "a.test" },
	     { ":path", "/" }),

	BAD("empty_name", EMPTY_NAME, GET, { "", "x" }),
	BAD("uppercase_name", UPPERCASE, GET, { "Accept", "x" }),
	BAD("uppercase_inside", UPPERCASE, GET, { "x-aZ", "x" }),
	BAD("colon_inside", BAD_NAME, GET, { "a:b", "x" }),
	BAD("blank_in_name", BAD_NAME, GET, { "a b", "x" }),
	BAD("high_byte_in_name", BAD_NAME, GET, { "a\x80", "x" }),
	BAD("crlf_in_name", BAD_NAME, GET, { "a\r\nb", "x" }),
	BAD("del_in_name", BAD_NAME, GET, { "a\x7f", "x" }),
	BAD("uppercase_pseudo", UNKNOWN_PSEUDO, GET, { ":Method", "x" }),
	BAD("lf_in_value", BAD_VALUE, GET, { "a", "b\nc" }),
	BAD("cr_in_value", BAD_VALUE, GET, { "a", "b\rc" }),
	BAD("nul_in_value", BAD_VALUE, GET, { "a", "b\0c", 3 }),
	BAD("bell_in_value", BAD_VALUE, GET,
	    { "a", "b\x07"
	           "c" }),
	BAD("del_in_value", BAD_VALUE, GET, { "a", "b\x7f" }),
	BAD("lf_far_in_value", BAD_VALUE, GET, { "a", "0123456789abcdef0123456789\nc" }),
	BAD("blank_before_value", BLANK_EDGE, GET, { "a", " b" }),
	BAD("tab_behind_value", BLANK_EDGE, GET, { "a", "b\t" }),
	BAD("a_blank_alone", BLANK_EDGE, GET, { "a", " " }),
	BAD("request_in_value", BAD_VALUE, GET, { "a", "b\r\n\r\nGET / HTTP/1.1" }),
	BAD("late_pseudo", LATE_PSEUDO, GET, { "a", "b" }, { ":path", "/" }),
	BAD("late_and_missing", LATE_PSEUDO, { ":method", "GET" }, { "a", "b" }, { ":path", "/" }),
	BAD("two_methods", TWICE_PSEUDO, GET, { ":method", "GET" }),
	BAD("two_paths", TWICE_PSEUDO, GET, { ":path", "/x" }),
	BAD("two_schemes", TWICE_PSEUDO, GET, { ":scheme", "https" }),
	BAD("two_authorities", TWICE_PSEUDO, GET, { ":authority", "a.test" }),
	BAD("unknown_pseudo", UNKNOWN_PSEUDO, GET, { ":x", "y" }),
	BAD("status_in_request", UNKNOWN_PSEUDO, GET, { ":status", "200" }),
	BAD("colon_alone", UNKNOWN_PSEUDO, GET, { ":", "200" }),
	BAD("nothing", NO_METHOD, { NULL }),
	BAD("no_method", NO_METHOD, { ":scheme", "http" }, { ":authority", "a" }, { ":path", "/" }),
	BAD("empty_method", BAD_METHOD, { ":method", "" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "/" }),
	BAD("blank_in_method", BAD_METHOD, { ":method", "GET /admin" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "/" }),
	BAD("crlf_in_method", BAD_VALUE, { ":method", "GET / HTTP/1.1\r\nx: y" },
	    { ":scheme", "http" }, { ":authority", "a" }, { ":path", "/" }),
	BAD("no_scheme", NO_SCHEME, { ":method", "GET" }, { ":authority", "a" }, { ":path", "/" }),
	BAD("malformed_scheme", BAD_SCHEME, { ":method", "GET" }, { ":scheme", "ht tp" },
	    { ":authority", "a" }, { ":path", "/" }),
	BAD("scheme_with_url", BAD_SCHEME, { ":method", "GET" }, { ":scheme", "https://a/?" },
	    { ":authority", "a" }, { ":path", "/" }),
	BAD("empty_scheme", BAD_SCHEME, { ":method", "GET" }, { ":scheme", "" },
	    { ":authority", "a" }, { ":path", "/" }),
	BAD("other_scheme", OTHER_SCHEME, { ":method", "GET" }, { ":scheme", "ftp" },
	    { ":authority", "a" }, { ":path", "/" }),
	BAD("no_path", NO_PATH, { ":method", "GET" }, { ":scheme", "http" }, { ":authority", "a" }),
	BAD("empty_path", NO_PATH, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "" }),
	BAD("relative_path", BAD_PATH, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "x" }),
	BAD("absolute_path", BAD_PATH, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "http://b/" }),
	BAD("star_for_get", BAD_PATH, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "*" }),
	BAD("fragment", BAD_PATH, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "/#x" }),
	BAD("blank_in_path", BAD_PATH, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "/ HTTP/1.1" }),
	BAD("crlf_in_path", BAD_VALUE, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "/ HTTP/1.1\r\nx: y" }),
	BAD("no_authority", NO_AUTHORITY, { ":method", "GET" }, { ":scheme", "http" },
	    { ":path", "/" }),
	BAD("empty_authority", NO_AUTHORITY, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "" }, { ":path", "/" }),
	BAD("empty_host", NO_AUTHORITY, { ":method", "GET" }, { ":scheme", "http" },
	    { ":path", "/" }, { "host", "" }),
	BAD("user_in_authority", BAD_AUTHORITY, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "u:p@a" }, { ":path", "/" }),
	BAD("path_in_authority", BAD_AUTHORITY, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a/b" }, { ":path", "/" }),
	BAD("port_too_large", BAD_AUTHORITY, { ":method", "GET" }, { ":scheme", "http" },
	    { ":authority", "a:70000" }, { ":path", "/" }),
	BAD("other_host", OTHER_HOST, GET, { "host", "b.test" }),
	BAD("connection", CONNECTION, GET, { "connection", "close" }),
	BAD("keep_alive", CONNECTION, GET, { "keep-alive", "1" }),
	BAD("proxy_connection", CONNECTION, GET, { "proxy-connection", "x" }),
	BAD("transfer_encoding", CONNECTION, GET, { "transfer-encoding", "chunked" }),
	BAD("upgrade", CONNECTION, GET, { "upgrade", "websocket" }),
	BAD("te_gzip", BAD_TE, GET, { "te", "gzip" }),
	BAD("te_more", BAD_TE, GET, { "te", "trailers, deflate" }),
	BAD("length_and_no_body", BAD_LENGTH, POST, { "content-length", "5" }),
	BAD_BODY("two_lengths", BAD_LENGTH, POST, { "content-length", "5" },
	         { "content-length", "5" }),
	BAD_BODY("length_with_sign", BAD_LENGTH, POST, { "content-length", "+5" }),
	BAD_BODY("length_of_list", BAD_LENGTH, POST, { "content-length", "5,5" }),
	BAD_BODY("empty_length", BAD_LENGTH, POST, { "content-length", "" }),
	BAD_BODY("endless_length", BAD_LENGTH, POST, { "content-length", "1234567890123456789" }),
	BAD("connect_with_path", CONNECT_FIELDS, { ":method", "CONNECT" }, { ":authority", "a:1" },
	    { ":path", "/" }),
	BAD("connect_with_scheme", CONNECT_FIELDS, { ":method", "CONNECT" },
	    { ":authority", "a:1" }, { ":scheme", "http" }),
	BAD("connect_to_nobody", CONNECT_FIELDS, { ":method", "CONNECT" }),
	BAD("protocol_not_offered", PROTOCOL_OFF, { ":method", "CONNECT" }, { ":scheme", "http" },
	    { ":authority", "a" }, { ":path", "/" }, { ":protocol", "websocket" }),

	SOCKET("websocket", NONE,
	       "GET /chat HTTP/1.1\r\nhost: a\r\nsec-websocket-version: 13\r\n"
	       "connection: upgrade\r\nupgrade: websocket\r\n"
	       "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	       { ":method", "CONNECT" }, { ":protocol", "websocket" }, { ":scheme", "http" },
	       { ":authority", "a" }, { ":path", "/chat" }, { "sec-websocket-version", "13" },
	       { "sec-websocket-key", "x" }),
	SOCKET("other_protocol", OTHER_PROTOCOL, NULL, { ":method", "CONNECT" },
	       { ":protocol", "connect-udp" }, { ":scheme", "http" }, { ":authority", "a" },
	       { ":path", "/" }),
	SOCKET("protocol_with_get", PROTOCOL_METHOD, NULL, GET, { ":protocol", "websocket" }),
	SOCKET("extended_without_path", NO_PATH, NULL, { ":method", "CONNECT" },
	       { ":protocol", "websocket" }, { ":scheme", "http" }, { ":authority", "a" }),
	SOCKET("extended_with_length", BAD_LENGTH, NULL, { ":method", "CONNECT" },
	       { ":protocol", "websocket" }, { ":scheme", "http" }, { ":authority", "a" },
	       { ":path", "/" }, { "content-length", "5" }),
	SOCKET("plain_connect_where_offered", NONE, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
	       { ":method", "CONNECT" }, { ":authority", "a:1" }),
};

#define UPGRADED \
	"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n" \
	"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static const struct row others[] = {
	ANSWER("ok", false, "HTTP/1.1 200 OK\r\nserver: x\r\n\r\n", { ":status", "200" },
	       { "server", "x" }),
	ANSWER("known_length", false, "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n",
	       { ":status", "404" }, { "content-length", "9" }),
	ANSWER("head_with_length", true, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
	       { ":status", "200" }, { "content-length", "9" }),
	ANSWER(
	    "cookies_stay_apart", true,
	    "HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\ncookie: c\r\ncookie: d\r\n\r\n",
	    { ":status", "200" }, { "set-cookie", "a" }, { "set-cookie", "b" }, { "cookie", "c" },
	    { "cookie", "d" }),
	ANSWER("early_hints", false, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
	       { ":status", "103" }, { "link", "x" }),
	ANSWER("unknown_status", false, "HTTP/1.1 799 \r\n\r\n", { ":status", "799" }),
	GRANT("websocket_granted", false, UPGRADED "sec-websocket-protocol: chat\r\n\r\n",
	      { ":status", "200" }, { "content-length", "5" }, { "sec-websocket-protocol", "chat" },
	      { "sec-websocket-accept", "x" }),
	GRANT("websocket_granted_and_ended", true, UPGRADED "\r\n", { ":status", "204" }),
	GRANT("websocket_refused", false, "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n",
	      { ":status", "403" }, { "content-length", "2" }),
	GRANT("hints_before_a_websocket", false, "HTTP/1.1 103 Early Hints\r\n\r\n",
	      { ":status", "103" }),
	BAD_ANSWER("no_status", NO_STATUS, { "a", "b" }),
	BAD_ANSWER("no_fields", NO_STATUS, { NULL }),
	BAD_ANSWER("two_status", TWICE_PSEUDO, { ":status", "200" }, { ":status", "200" }),
	BAD_ANSWER("late_status", LATE_PSEUDO, { "a", "b" }, { ":status", "200" }),
	BAD_ANSWER("short_status", BAD_STATUS, { ":status", "20" }),
	BAD_ANSWER("long_status", BAD_STATUS, { ":status", "2000" }),
	BAD_ANSWER("low_status", BAD_STATUS, { ":status", "099" }),
	BAD_ANSWER("status_with_reason", BAD_STATUS, { ":status", "200 OK" }),
	BAD_ANSWER("letters_in_status", BAD_STATUS, { ":status", "2x0" }),
	BAD_ANSWER("switching_protocols", BAD_STATUS, { ":status", "101" }),
	BAD_ANSWER("path_in_response", UNKNOWN_PSEUDO, { ":status", "200" }, { ":path", "/" }),
	BAD_ANSWER("connection_in_response", CONNECTION, { ":status", "200" },
	           { "connection", "close" }),
	BAD_ANSWER("te_in_response", CONNECTION, { ":status", "200" }, { "te", "trailers" }),
	{ "interim_that_ends",
	  H2_TEXT_RESPONSE,
	  true,
	  H2_FAULT_INTERIM_END,
	  NULL,
	  { { ":status", "103" } } },

	TRAILERS("trailers", "grpc-status: 0\r\ngrpc-message: \r\n", { "grpc-status", "0" },
	         { "grpc-message", "" }),
	TRAILERS("no_trailers", "", { NULL }),
	TRAILERS("framing_left_out", "a: b\r\n", { "content-length", "5" }, { "host", "x" },
	         { "trailer", "y" }, { "a", "b" }),
	BAD_TRAILERS("pseudo_in_trailers", PSEUDO_IN_TRAILERS, { ":path", "/" }),
	BAD_TRAILERS("connection_in_trailers", CONNECTION, { "connection", "x" }),
	BAD_TRAILERS("chunked_in_trailers", CONNECTION, { "transfer-encoding", "chunked" }),
	BAD_TRAILERS("uppercase_in_trailers", UPPERCASE, { "A", "x" }),
	BAD_TRAILERS("crlf_in_trailers", BAD_VALUE, { "a", "x\r\n" }),
};

/* --- limits --------------------------------------------------------------------------------- */

static enum h2_fault with_fields(size_t n, size_t name_len, size_t value_len)
{
	char name[5000], value[5000], out[H2_TEXT_ROOM(MAX_HEAD)];
	struct h2_text t;
	size_t i;

	memset(name, 'n', sizeof(name));
	memset(value, 'v', sizeof(value));
	h2_text_begin(&t, H2_TEXT_REQUEST, out, sizeof(out), &limits);
	h2_text_field(&t, STR(":method"), STR("GET"));
	h2_text_field(&t, STR(":scheme"), STR("http"));
	h2_text_field(&t, STR(":authority"), STR("a"));
	h2_text_field(&t, STR(":path"), STR("/"));
	for (i = 0; i < n; i++)
		h2_text_field(&t, str_n(name, name_len), str_n(value, value_len));
	return h2_text_end(&t, true);
}

static void limits_hold(void **state)
{
	const size_t first = STR("GET / HTTP/1.1\r\nhost: a\r\n").len, rest = MAX_HEAD - first - 2;

	assert_int_equal(with_fields(1, 1, rest - 5), H2_FAULT_NONE);
	assert_int_equal(with_fields(1, 1, rest - 4), H2_FAULT_TOO_LARGE);
	assert_int_equal(with_fields(1, rest - 5, 1), H2_FAULT_NONE);
	assert_int_equal(with_fields(1, rest - 4, 1), H2_FAULT_TOO_LARGE);
	assert_int_equal(with_fields(1, 1, 5000), H2_FAULT_TOO_LARGE);
	assert_int_equal(with_fields(16, 1, 1), H2_FAULT_NONE);
	assert_int_equal(with_fields(19, 1, 1), H2_FAULT_TOO_MANY);
	assert_int_equal(with_fields(100000, 1, 1), H2_FAULT_TOO_MANY);
}

/* Long pseudo-header fields: the sum of what is kept is bounded. */
static void long_pseudo_fields(void **state)
{
	char path[MAX_HEAD], out[H2_TEXT_ROOM(MAX_HEAD)];
	struct h2_text t;

	memset(path, '/', sizeof(path));
	h2_text_begin(&t, H2_TEXT_REQUEST, out, sizeof(out), &limits);
	h2_text_field(&t, STR(":method"), STR("GET"));
	h2_text_field(&t, STR(":scheme"), STR("http"));
	h2_text_field(&t, STR(":authority"), STR("a"));
	assert_int_equal(h2_text_field(&t, STR(":path"), str_n(path, sizeof(path))),
	                 H2_FAULT_TOO_LARGE);
	h2_text_begin(&t, H2_TEXT_REQUEST, out, sizeof(out), &limits);
	h2_text_field(&t, STR(":method"), STR("GET"));
	h2_text_field(&t, STR(":scheme"), STR("http"));
	h2_text_field(&t, STR(":authority"), STR("a"));
	assert_int_equal(h2_text_field(&t, STR(":path"), str_n(path, MAX_HEAD - 20)),
	                 H2_FAULT_NONE);
	assert_int_equal(h2_text_end(&t, true), H2_FAULT_TOO_LARGE);
}

/* A hostile number of crumbs between other fields: bounded by max_fields. */
static void many_crumbs(void **state)
{
	char out[H2_TEXT_ROOM(MAX_HEAD)];
	struct h2_text t;
	int i;

	h2_text_begin(&t, H2_TEXT_REQUEST, out, sizeof(out), &limits);
	h2_text_field(&t, STR(":method"), STR("GET"));
	for (i = 0; i < 1000; i++)
		h2_text_field(&t, STR("cookie"), STR("a=b"));
	assert_int_equal(t.fault, H2_FAULT_TOO_MANY);
	assert_int_equal(h2_fault_status(H2_FAULT_TOO_MANY), 431);
	assert_int_equal(h2_fault_status(H2_FAULT_CONNECTION), 0);
}

/* --- the reverse ---------------------------------------------------------------------------- */

static const char *listed(const nghttp2_nv *nva, size_t n)
{
	static char text[4096];
	size_t i, len = 0;

	text[0] = '\0';
	for (i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s=%.*s\n",
		                        (int)nva[i].namelen, (const char *)nva[i].name,
		                        (int)nva[i].valuelen, (const char *)nva[i].value);
	return text;
}

static struct http_head head;
static nghttp2_nv nva[H2_TEXT_NV];

static const char *response_nv(const char *text)
{
	size_t scanned = 0;
	static char status[4];

	assert_int_equal(http_parse_response(&head, text, strlen(text), &limits, &scanned,
	                                     HTTP_GET),
	                 strlen(text));
	return listed(nva, h2_text_response_nv(&head, status, nva));
}

static void responses_as_fields(void **state)
{
	assert_string_equal(response_nv("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n"
	                                "Connection: close, X-Hop\r\nX-Hop: 1\r\n\r\n"),
	                    ":status=200\nServer=x\nContent-Length=5\n");
	assert_string_equal(response_nv("HTTP/1.0 204 No\r\nContent-Length: 0\r\n"
	                                "Keep-Alive: 1\r\nA:  b \r\n\r\n"),
	                    ":status=204\nA=b\n");
	assert_string_equal(response_nv("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	                                "Trailer: a\r\nUpgrade: h2c\r\n\r\n"),
	                    ":status=200\nTrailer=a\n");
	assert_string_equal(response_nv("HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n"),
	                    ":status=407\nProxy-Authenticate=Basic\n");
}

static const char *request_nv(const char *text)
{
	size_t scanned = 0;

	assert_int_equal(http_parse_request(&head, text, strlen(text), &limits, &scanned),
	                 strlen(text));
	return listed(nva, h2_text_request_nv(&head, STR("https"), nva));
}

static void requests_as_fields(void **state)
{
	assert_string_equal(request_nv("GET /x?y HTTP/1.1\r\nHost: a\r\nAccept: b\r\n"
	                               "Connection: c\r\nC: d\r\nTE: gzip\r\n\r\n"),
	                    ":method=GET\n:scheme=https\n:authority=a\n:path=/x?y\nAccept=b\n"
	                    "te=trailers\n");
	assert_string_equal(request_nv("POST / HTTP/1.1\r\nHost: a\r\n"
	                               "Transfer-Encoding: chunked\r\nTrailer: z\r\n\r\n"),
	                    ":method=POST\n:scheme=https\n:authority=a\n:path=/\nTrailer=z\n"
	                    "te=trailers\n");
	assert_string_equal(request_nv("GET /c HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
	                               "Upgrade: x, WebSocket\r\nSec-WebSocket-Key: x\r\n"
	                               "Sec-WebSocket-Version: 13\r\n\r\n"),
	                    ":method=CONNECT\n:scheme=https\n:authority=a\n:path=/c\n"
	                    ":protocol=websocket\nSec-WebSocket-Version=13\n");
}

static void trailers_as_fields(void **state)
{
	const struct str lines = STR(
	    "Grpc-Status: 0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nB:\r\n: x\r\nx\r\n");

	assert_string_equal(listed(nva, h2_text_trailers_nv(lines, nva, 8)), "Grpc-Status=0\nB=\n");
	assert_int_equal(h2_text_trailers_nv(lines, nva, 1), 1);
	assert_int_equal(h2_text_trailers_nv(STR_NONE, nva, 8), 0);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, requests, run);
	ROWS_ADD_TABLE(&r, others, run);
	rows_add(&r, "limits_hold", limits_hold, NULL);
	rows_add(&r, "long_pseudo_fields", long_pseudo_fields, NULL);
	rows_add(&r, "many_crumbs", many_crumbs, NULL);
	rows_add(&r, "responses_as_fields", responses_as_fields, NULL);
	rows_add(&r, "requests_as_fields", requests_as_fields, NULL);
	rows_add(&r, "trailers_as_fields", trailers_as_fields, NULL);
	return rows_run(&r, "h2_text");
}
