/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS layer between two streams: all sizes and kinds of pieces, ends in order and not,
 * sessions, tickets on idle connections, verification. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tls_fixture.h"

#define BIG ((size_t)3 * 1024 * 1024)

static struct made ca, leaf, other_ca;
static struct store_cert cert;
static struct store store;
static struct tls_server *server;
static struct tls_client *client;
static struct stream s, c;
static char *big, *got;
static char why[256];

static struct tls_server_options server_options(void)
{
	return (struct tls_server_options){ .store = &store,
		                            .context = STR("web"),
		                            .min_version = TLS1_2_VERSION,
		                            .max_version = TLS1_3_VERSION,
		                            .alpn = "\2h2\10http/1.1",
		                            .resumption = true };
}

static struct tls_client_options client_options(void)
{
	return (struct tls_client_options){ .verify = true,
		                            .ca = str_from(ca.cert_pem),
		                            .min_version = TLS1_2_VERSION,
		                            .resumption = true };
}

static struct tls_server *serve(struct tls_server_options o)
{
	struct tls_server *r = tls_server_new(&o, why, sizeof(why));

	if (r == NULL)
		fail_msg("%s", why);
	return r;
}

static struct tls_client *speak(struct tls_client_options o)
{
	struct tls_client *r = tls_client_new(&o, why, sizeof(why));

	if (r == NULL)
		fail_msg("%s", why);
	return r;
}

static int group_setup(void **state)
{
	make(&ca, "ca", NULL, true, NULL);
	make(&other_ca, "other", NULL, true, NULL);
	make(&leaf, "a.test", "DNS:a.test,IP:192.0.2.1", true, &ca);
	cert = stored(&leaf, "a.test", 0, true);
	store = (struct store){ .certs = &cert, .ncerts = 1 };
	big = malloc(BIG);
	got = malloc(BIG);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (char)(i * 7 + i / 4096);
	return 0;
}

static int group_teardown(void **state)
{
	unmake(&ca);
	unmake(&other_ca);
	unmake(&leaf);
	free(big);
	free(got);
	return 0;
}

static int setup(void **state)
{
	server = serve(server_options());
	client = speak(client_options());
	streams(&s, &c);
	return 0;
}

static int teardown(void **state)
{
	stream_close(&s, false);
	stream_close(&c, false);
	tls_server_free(server);
	tls_client_free(client);
	return 0;
}

/* Both sides until neither goes on; the results of each. */
static void shake(int *rs, int *rc)
{
	int i;

	*rs = *rc = ERR_AGAIN;
	for (i = 0; i < 20; i++) {
		wake(&c);
		if (*rc == ERR_AGAIN)
			*rc = tls_handshake(&c);
		wake(&s);
		if (*rs == ERR_AGAIN)
			*rs = tls_handshake(&s);
	}
}

static void begin(const char *name, struct tls_session *session)
{
	assert_int_equal(tls_server_accept(server, &s, STR_NONE), OK);
	assert_int_equal(tls_connect(&c, client, name, session), OK);
}

static void connected(struct tls_session *session)
{
	int rs, rc;

	begin("a.test", session);
	shake(&rs, &rc);
	if (rs != OK || rc != OK)
		fail_msg("server: %d %s, client: %d %s", rs, tls_why(&s), rc, tls_why(&c));
}

static void again(void)
{
	stream_close(&s, false);
	stream_close(&c, false);
	streams(&s, &c);
}

static int send_all(struct stream *to, const void *p, size_t len)
{
	const struct iovec iov = { (void *)p, len };

	return stream_send(to, &iov, 1);
}

/* Sends in pieces and reads in others until all is there. */
static void carry(struct stream *from, struct stream *to, size_t len, size_t piece, size_t room)
{
	size_t sent = 0, have = 0;

	while (have < len) {
		ssize_t n;

		if (sent < len && flow_empty(&from->out)) {
			const size_t take = MIN(piece, len - sent);

			assert_int_equal(send_all(from, big + sent, take), OK);
			sent += take;
		}
		wake(from);
		wake(to);
		while (have < len && to->readable &&
		       (n = stream_recv(to, got + have, MIN(room, len - have))) != ERR_AGAIN) {
			if (n <= 0)
				fail_msg("%zd after %zu: %s", n, have, tls_why(to));
			have += (size_t)n;
		}
	}
	assert_memory_equal(got, big, len);
}

static void test_pieces(void **state)
{
	static const size_t sizes[] = { 1, 5, 100, 16383, 16384, 16385, 40000, 65536, 300000 };
	unsigned i, j;

	connected(NULL);
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		for (j = 0; j < ARRAY_LEN(sizes); j++) {
			const size_t len = MIN(sizes[i] * 3, 400000u);

			if (sizes[i] < 100 && sizes[j] > 100)
				continue;
			carry(&s, &c, len, sizes[i], sizes[j]);
			carry(&c, &s, len, sizes[i], sizes[j]);
		}
	}
}

static void test_much(void **state)
{
	const int size = 8192;

	assert_int_equal(setsockopt(s.io.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	connected(NULL);
	carry(&s, &c, BIG, BIG, 65536);
	assert_true(flow_empty(&s.out));
	carry(&c, &s, BIG, 65536, 1000);
}

/* A head and a body that come as two go out as one record where they are small. */
static void test_gathered(void **state)
{
	struct iovec iov[3] = { { big, 10 }, { big + 10, 0 }, { big + 10, 90 } };
	char raw[4096];
	ssize_t n;

	connected(NULL);
	while (recv(c.io.fd, raw, sizeof(raw), 0) > 0) /* the ticket */
		;
	assert_int_equal(stream_send(&s, iov, 3), OK);
	n = recv(c.io.fd, raw, sizeof(raw), 0);
	assert_int_equal(n, 5 + 100 + 1 + 16);
	assert_int_equal(raw[0], 23);
	iov[1] = (struct iovec){ big + 10, 50000 };
	iov[2] = (struct iovec){ big + 50010, 3 };
	again();
	connected(NULL);
	assert_int_equal(stream_send(&s, iov, 3), OK);
	for (n = 0; n < 50013;) {
		ssize_t k;

		wake(&s);
		wake(&c);
		k = stream_recv(&c, got + n, BIG);
		assert_true(k > 0 || k == ERR_AGAIN);
		n += k > 0 ? k : 0;
	}
	assert_memory_equal(got, big, 50013);
}

/* Every byte of the handshake and of data by itself. */
static void test_byte_by_byte(void **state)
{
	struct stream x, y; /* the other ends of what the two see */
	bool moved = true, more = true, s_done = false, c_done = false;
	char b;
	int err;

	stream_close(&s, false);
	stream_close(&c, false);
	streams(&s, &x);
	streams(&c, &y);
	begin("a.test", NULL);
	tls_handshake(&c);
	while (moved) {
		moved = false;
		if (recv(y.io.fd, &b, 1, 0) == 1) {
			assert_int_equal(send(x.io.fd, &b, 1, 0), 1);
			wake(&s);
			if (!s_done) {
				err = tls_handshake(&s);
				assert_true(err == OK || err == ERR_AGAIN);
				s_done = err == OK;
			} else {
				ssize_t n = stream_recv(&s, got, BIG);

				assert_true(n == ERR_AGAIN || n == 7);
				if (n == 7)
					more = false;
			}
			moved = true;
		}
		if (recv(x.io.fd, &b, 1, 0) == 1) {
			assert_int_equal(send(y.io.fd, &b, 1, 0), 1);
			wake(&c);
			if (!c_done) {
				c_done = tls_handshake(&c) == OK;
				if (c_done)
					assert_int_equal(send_all(&c, "message", 7), OK);
			} else {
				assert_int_equal(stream_recv(&c, got + 10, 10), ERR_AGAIN);
			}
			moved = true;
		}
	}
	assert_false(more);
	assert_memory_equal(got, "message", 7);
	stream_close(&x, false);
	stream_close(&y, false);
}

/* What was read before TLS began, and a request that came with the end of the handshake. */
static void test_early_bytes(void **state)
{
	char raw[4096];
	ssize_t n;
	int rs, rc;

	assert_int_equal(tls_connect(&c, client, "a.test", NULL), OK);
	assert_int_equal(tls_handshake(&c), ERR_AGAIN);
	n = recv(s.io.fd, raw, sizeof(raw), 0);
	assert_true(n > 0);
	assert_int_equal(tls_server_accept(server, &s, str_n(raw, (size_t)n)), OK);
	assert_true(s.readable);
	assert_int_equal(tls_handshake(&s), ERR_AGAIN);
	wake(&c);
	assert_int_equal(tls_handshake(&c), OK);
	assert_int_equal(send_all(&c, "request", 7), OK);
	wake(&s);
	assert_int_equal(tls_handshake(&s), OK);
	assert_true(s.readable);
	/* The ticket waits for the answer. */
	assert_true(recv(c.io.fd, raw, 1, MSG_PEEK) < 0 && errno == EAGAIN);
	assert_int_equal(stream_recv(&s, got, BIG), 7);
	assert_int_equal(send_all(&s, "answer", 6), OK);
	wake(&c);
	assert_int_equal(stream_recv(&c, got, BIG), 6);
	assert_memory_equal(got, "answer", 6);
	/* And goes alone where the rest is no request. */
	again();
	begin("a.test", NULL);
	shake(&rs, &rc);
	assert_true(recv(c.io.fd, raw, 1, MSG_PEEK) == 1);
}

static void test_ends(void **state)
{
	char raw[4096];

	connected(NULL);
	assert_int_equal(send_all(&s, big, 100), OK);
	stream_shutdown(&s);
	wake(&c);
	assert_int_equal(stream_recv(&c, got, BIG), 100);
	assert_true(c.readable);
	assert_int_equal(stream_recv(&c, got, BIG), ERR_CLOSED);
	assert_true(c.eof && !c.broken);
	/* Its own direction is open still. */
	assert_int_equal(send_all(&c, big, 50), OK);
	wake(&s);
	assert_int_equal(stream_recv(&s, got, BIG), 50);
	assert_int_equal(send_all(&s, big, 1), ERR_SYSTEM);
	/* Without close_notify it is no end. */
	again();
	connected(NULL);
	assert_int_equal(send_all(&s, big, 100), OK);
	assert_int_equal(shutdown(s.io.fd, SHUT_WR), 0);
	wake(&c);
	c.hup = true;
	assert_int_equal(stream_recv(&c, got, BIG), 100);
	errno = 0;
	assert_int_equal(stream_recv(&c, got, BIG), ERR_SYSTEM);
	assert_int_equal(errno, ECONNRESET);
	assert_string_equal(tls_why(&c), "the connection ended without close_notify");
	/* Bytes that are no record. */
	again();
	connected(NULL);
	while (recv(c.io.fd, raw, sizeof(raw), 0) > 0)
		;
	assert_true(send(s.io.fd, "HTTP/1.1 200 OK\r\n\r\n", 19, 0) == 19);
	wake(&c);
	assert_int_equal(stream_recv(&c, got, BIG), ERR_SYSTEM);
	assert_true(c.broken);
	/* Closed in the handshake, and garbage there. */
	again();
	begin("a.test", NULL);
	assert_int_equal(shutdown(c.io.fd, SHUT_WR), 0);
	wake(&s);
	assert_int_equal(tls_handshake(&s), ERR_CLOSED);
	again();
	begin("a.test", NULL);
	assert_true(send(c.io.fd, "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
	wake(&s);
	assert_int_equal(tls_handshake(&s), ERR_REFUSED);
	assert_string_equal(tls_why(&s), "http request");
}

static void test_muted(void **state)
{
	char raw[4096];

	connected(NULL);
	while (recv(c.io.fd, raw, sizeof(raw), 0) > 0)
		;
	tls_mute(&s);
	stream_close(&s, false);
	assert_int_equal(recv(c.io.fd, raw, sizeof(raw), 0), 0);
	again();
	connected(NULL);
	while (recv(c.io.fd, raw, sizeof(raw), 0) > 0)
		;
	stream_close(&s, false);
	assert_int_equal(recv(c.io.fd, raw, sizeof(raw), 0), 24);
}

/* A session comes with the first read after the handshake. */
static void read_ticket(void)
{
	wake(&c);
	assert_int_equal(stream_recv(&c, got, BIG), ERR_AGAIN);
}

static void resumes(unsigned version)
{
	struct tls_server_options so = server_options();
	struct tls_session session = { NULL };
	SSL_SESSION *first;
	int i;

	so.max_version = version;
	tls_server_free(server);
	server = serve(so);
	connected(&session);
	assert_false(tls_resumed(&s));
	read_ticket();
	assert_non_null(session.session);
	for (i = 0; i < 3; i++) {
		first = session.session;
		again();
		connected(&session);
		assert_true(tls_resumed(&s) && tls_resumed(&c));
		read_ticket();
		if (version == TLS1_3_VERSION)
			assert_ptr_not_equal(session.session, first);
	}
	again();
	tls_session_free(&session);
}

static void test_resumption(void **state)
{
	resumes(TLS1_3_VERSION);
	resumes(TLS1_2_VERSION);
}

/* Keys of the store: nodes that share them take one another's tickets; a key that is there no more
 * opens nothing. */
static void test_ticket_keys(void **state)
{
	static struct store_tickets keys[2] = { { .n = 1 }, { .n = 2 } };
	static struct store stores[3]; /* the last server goes after the test */
	struct tls_server_options o = server_options();
	struct tls_session session = { NULL };
	struct tls_server *nodes[3];
	int i;

	memset(keys[0].keys[0], 1, 80);
	memset(keys[1].keys[0], 2, 80);
	memset(keys[1].keys[1], 1, 80); /* the former one */
	for (i = 0; i < 3; i++) {
		stores[i] = store;
		if (i < 2) {
			stores[i].tickets = &keys[i];
			stores[i].ntickets = 1;
		}
		o.store = &stores[i];
		nodes[i] = serve(o);
	}
	tls_server_free(server);
	server = nodes[0];
	connected(&session);
	read_ticket();
	again();
	server = nodes[1]; /* has rotated */
	connected(&session);
	assert_true(tls_resumed(&s));
	read_ticket();
	again();
	server = nodes[0]; /* has not: does not know the new key */
	connected(&session);
	assert_false(tls_resumed(&s));
	again();
	server = nodes[2];
	connected(&session);
	assert_false(tls_resumed(&s));
	again();
	tls_session_free(&session);
	tls_server_free(nodes[0]);
	tls_server_free(nodes[1]);
}

static void test_quiet(void **state)
{
	struct tls_session session = { NULL };

	connected(&session);
	wake(&c);
	assert_null(session.session);
	assert_true(stream_quiet(&c)); /* a ticket only */
	assert_non_null(session.session);
	assert_true(stream_quiet(&c));
	assert_int_equal(send_all(&s, "x", 1), OK);
	wake(&c);
	assert_false(stream_quiet(&c));
	assert_int_equal(stream_recv(&c, got, BIG), 1);
	assert_true(stream_quiet(&c));
	stream_shutdown(&s);
	assert_false(stream_quiet(&c));
	again();
	tls_session_free(&session);
}

static void refused(const char *name, struct tls_client_options o, const char *text)
{
	int rs, rc;

	again();
	tls_client_free(client);
	client = speak(o);
	begin(name, NULL);
	shake(&rs, &rc);
	assert_int_equal(rc, ERR_REFUSED);
	assert_true(rs != OK && rs != ERR_AGAIN);
	if (strstr(tls_why(&c), text) == NULL)
		fail_msg("\"%s\" instead of \"%s\"", tls_why(&c), text);
}

static void test_verification(void **state)
{
	struct tls_client_options o = client_options();
	int rs, rc;

	refused("b.test", o, "hostname mismatch, expected b.test");
	refused("192.0.2.2", o, "IP address mismatch, expected 192.0.2.2");
	o.ca = str_from(other_ca.cert_pem);
	refused("a.test", o, "unable to get local issuer certificate");
	o = client_options();
	o.ca = STR_NONE; /* the system's */
	refused("a.test", o, "certificate not accepted: ");
	again();
	tls_client_free(client);
	client = speak(client_options());
	begin("192.0.2.1", NULL);
	shake(&rs, &rc);
	assert_int_equal(rc, OK);
	assert_null(SSL_get_servername(tls_ssl(&s), TLSEXT_NAMETYPE_host_name));
	again();
	assert_int_equal(tls_connect(&c, client, NULL, NULL), ERR_INVALID);
	again();
	o = client_options();
	o.verify = false;
	tls_client_free(client);
	client = speak(o);
	begin("b.test", NULL);
	shake(&rs, &rc);
	assert_int_equal(rc, OK);
	assert_string_equal(SSL_get_servername(tls_ssl(&s), TLSEXT_NAMETYPE_host_name), "b.test");
}

static void test_bad_files(void **state)
{
	struct tls_client_options o = client_options();

	o.ca = STR("no certificate");
	assert_null(tls_client_new(&o, why, sizeof(why)));
	assert_string_equal(why, "ca: there is no certificate in it");
	o = client_options();
	o.cert = str_from(leaf.cert_pem);
	o.key = STR("nothing");
	assert_null(tls_client_new(&o, why, sizeof(why)));
	assert_string_equal(why, "cert: there is no private key in it");
	o.key = str_from(ca.key_pem);
	assert_null(tls_client_new(&o, why, sizeof(why)));
	assert_string_equal(why, "cert: the private key does not belong to the certificate");
}

/* What the reader of files lets pass is taken: another order, DER, an authority below another. */
static void test_forms_of_files(void **state)
{
	struct tls_client_options o = client_options();
	struct tls_server_options so = server_options();
	char text[sizeof(ca.cert_pem) + sizeof(leaf.cert_pem) + sizeof(leaf.key_pem)];
	struct made middle = { 0 };
	int rs, rc;

	snprintf(text, sizeof(text), "%s%s%s", leaf.key_pem, ca.cert_pem, leaf.cert_pem);
	make(&middle, "middle", NULL, true, &other_ca);
	o.ca = ca.chain;
	o.cert = str_from(text);
	so.clients = (struct tls_rule){ TLS_CLIENTS_REQUIRE, ca.chain, STR_NONE };
	tls_server_free(server);
	tls_client_free(client);
	server = serve(so);
	client = speak(o);
	connected(NULL);
	assert_int_equal(SSL_get_verify_result(tls_ssl(&s)), X509_V_OK);
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(tls_ssl(&s)), leaf.x), 0);
	again();
	/* Of `leaf` itself, and of an authority that did not sign it. */
	o.ca = leaf.chain;
	tls_client_free(client);
	client = speak(o);
	connected(NULL);
	again();
	o.ca = middle.chain;
	tls_client_free(client);
	client = speak(o);
	begin("a.test", NULL);
	shake(&rs, &rc);
	assert_int_equal(rc, ERR_REFUSED);
	unmake(&middle);
}

/* A session stands for a verification: with other authorities there has to be another one. */
static void test_sessions_end_with_the_authority(void **state)
{
	struct tls_client_options o = client_options();
	struct tls_session session = { 0 };
	char both[2 * sizeof(ca.cert_pem)];
	int rs, rc;
	char byte;

	connected(&session);
	wake(&c);
	stream_recv(&c, &byte, 1); /* its ticket */
	assert_non_null(session.session);
	again();
	tls_client_free(client);
	client = speak(client_options());
	connected(&session);
	assert_true(tls_resumed(&c));
	again();
	snprintf(both, sizeof(both), "%s%s", other_ca.cert_pem, ca.cert_pem);
	o.ca = str_from(both);
	tls_client_free(client);
	client = speak(o);
	connected(&session);
	assert_false(tls_resumed(&c));
	again();
	o.ca = str_from(other_ca.cert_pem);
	tls_client_free(client);
	client = speak(o);
	begin("a.test", &session);
	shake(&rs, &rc);
	assert_int_equal(rc, ERR_REFUSED);
	tls_session_free(&session);
}

static void test_authority_below(void **state)
{
	struct tls_client_options o = client_options();
	struct made middle = { 0 }, below = { 0 };
	struct store_cert c1;

	make(&middle, "middle", NULL, true, &other_ca);
	make(&below, "below", "DNS:a.test", true, &middle);
	c1 = stored(&below, "a.test", 0, true);
	store.certs = &c1;
	o.ca = str_from(middle.cert_pem);
	tls_client_free(client);
	client = speak(o);
	tls_server_free(server);
	server = serve(server_options());
	connected(NULL);
	assert_int_equal(SSL_get_verify_result(tls_ssl(&c)), X509_V_OK);
	store.certs = &cert;
	unmake(&below);
	unmake(&middle);
}

static void test_alpn(void **state)
{
	struct tls_client_options o = client_options();
	int rs, rc;

	o.alpn = "\10http/1.1\2h2";
	tls_client_free(client);
	client = speak(o);
	connected(NULL);
	assert_true(str_eq(tls_alpn(&s), STR("h2")) && str_eq(tls_alpn(&c), STR("h2")));
	again();
	o.alpn = "\3foo";
	tls_client_free(client);
	client = speak(o);
	begin("a.test", NULL);
	shake(&rs, &rc);
	assert_int_equal(rs, ERR_REFUSED); /* RFC 7301, 3.2 */
	assert_non_null(strstr(tls_why(&c), "no application protocol"));
}

/* More connections than keep their record buffers, with records in parts on some of them. */
static void test_many(void **state)
{
	enum { MANY = 100 };
	static struct stream ss[MANY], cc[MANY];
	char raw[4096];
	int i, round, rs, rc;

	for (i = 0; i < MANY; i++) {
		streams(&ss[i], &cc[i]);
		assert_int_equal(tls_server_accept(server, &ss[i], STR_NONE), OK);
		assert_int_equal(tls_connect(&cc[i], client, "a.test", NULL), OK);
	}
	for (round = 0; round < 6; round++) {
		for (i = 0; i < MANY; i++) {
			wake(&cc[i]);
			rc = tls_handshake(&cc[i]);
			wake(&ss[i]);
			rs = tls_handshake(&ss[i]);
			assert_true(rs == OK || rs == ERR_AGAIN);
			assert_true(rc == OK || rc == ERR_AGAIN);
		}
	}
	for (i = 0; i < MANY; i++) { /* tickets are out of the way */
		wake(&cc[i]);
		assert_int_equal(stream_recv(&cc[i], got, BIG), ERR_AGAIN);
	}
	for (i = 0; i < MANY; i++) { /* the first half of a record, then the other one */
		ssize_t n;

		assert_int_equal(send_all(&ss[i], big + i, 1000), OK);
		n = recv(cc[i].io.fd, raw, sizeof(raw), 0);
		assert_int_equal(n, 1022);
		assert_int_equal(send(ss[i].io.fd, raw, 500, 0), 500);
		wake(&cc[i]);
		assert_int_equal(stream_recv(&cc[i], got, BIG), ERR_AGAIN);
		assert_int_equal(send(ss[i].io.fd, raw + 500, 522, 0), 522);
	}
	for (i = 0; i < MANY; i++) {
		wake(&cc[i]);
		assert_int_equal(stream_recv(&cc[i], got, BIG), 1000);
		assert_memory_equal(got, big + i, 1000);
		stream_close(&ss[i], false);
		stream_close(&cc[i], false);
	}
}

/* Bytes of one connection wait in the thread's buffer while another one is read. */
static void test_two_in_turn(void **state)
{
	struct stream s2, c2;
	int i, n = 0;

	connected(NULL);
	streams(&s2, &c2);
	assert_int_equal(tls_server_accept(server, &s2, STR_NONE), OK);
	assert_int_equal(tls_connect(&c2, client, "a.test", NULL), OK);
	for (i = 0; i < 6; i++) {
		wake(&c2);
		tls_handshake(&c2);
		wake(&s2);
		tls_handshake(&s2);
	}
	assert_int_equal(send_all(&c, big, 40000), OK);
	assert_int_equal(send_all(&c2, big + 1, 40000), OK);
	wake(&s);
	wake(&s2);
	for (i = 0; i < 40000; i += 1000) {
		assert_int_equal(stream_recv(&s, got + i, 1000), 1000);
		assert_int_equal(stream_recv(&s2, got + 100000 + i, 1000), 1000);
		n++;
	}
	assert_int_equal(n, 40);
	assert_memory_equal(got, big, 40000);
	assert_memory_equal(got + 100000, big + 1, 40000);
	assert_int_equal(stream_recv(&s, got, 10), ERR_AGAIN);
	assert_int_equal(stream_recv(&s2, got, 10), ERR_AGAIN);
	stream_close(&s2, false);
	stream_close(&c2, false);
}

static void bare_client(SSL *ssl)
{
	int i, err = ERR_AGAIN;

	SSL_set_fd(ssl, c.io.fd);
	SSL_set_connect_state(ssl);
	assert_int_equal(tls_server_accept(server, &s, STR_NONE), OK);
	for (i = 0; i < 10; i++) {
		SSL_do_handshake(ssl);
		wake(&s);
		err = tls_handshake(&s);
	}
	assert_int_equal(err, OK);
}

/* CVE-2011-1473: a client that negotiates anew and anew. */
static void test_renegotiation(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	int i;

	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	ssl = SSL_new(ctx);
	bare_client(ssl);
	assert_int_equal(SSL_renegotiate(ssl), 1);
	for (i = 0; i < 10; i++) {
		ssize_t n;

		SSL_do_handshake(ssl);
		wake(&s);
		n = stream_recv(&s, got, BIG);
		assert_true(n == ERR_AGAIN || n == ERR_SYSTEM);
	}
	assert_int_equal(SSL_num_renegotiations(ssl), 1);
	assert_int_not_equal(SSL_get_state(ssl), TLS_ST_OK);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pieces),
		TEST(test_much),
		TEST(test_gathered),
		TEST(test_byte_by_byte),
		TEST(test_early_bytes),
		TEST(test_ends),
		TEST(test_muted),
		TEST(test_resumption),
		TEST(test_ticket_keys),
		TEST(test_quiet),
		TEST(test_verification),
		TEST(test_bad_files),
		TEST(test_alpn),
		TEST(test_many),
		TEST(test_two_in_turn),
		TEST(test_renegotiation),
		TEST(test_forms_of_files),
		TEST(test_authority_below),
		TEST(test_sessions_end_with_the_authority),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
