/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections through planned handovers, with real TCP between network namespaces: nodes that hold
 * an address one after the other, and a client that has it in its neighbour table only as ARP and
 * neighbour discovery say.
 */
#include "vip_net.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <linux/capability.h>
#include <sys/syscall.h>

#include "vrrp/relay.h"

#define PORT     7070
#define PAIRS    12
#define LONG_NS  (300ULL * 1000000000)
#define MILLI_NS 1000000ULL

/* --- one address, its nodes and connections ------------------------------------------------- */

static struct family {
	const char *vip;
	uint32_t prefix;
	int family;
} families[] = {
	{ "10.88.0.100", 24, AF_INET },
	{ "fd88::100", 64, AF_INET6 },
};

static const struct family *fam;
static struct net_addr vip;
static struct relay *relays[VIP_NODES];
static int listeners[VIP_NODES] = { -1, -1, -1 };

struct pair {
	int c; /* the client's end */
	int s; /* the node's */
};

static const struct net_addr *own(unsigned node)
{
	return fam->family == AF_INET ? &nodes[node].four : &nodes[node].six;
}

static void hold(unsigned node)
{
	assert_int_equal(netlink_address_set(nodes[node].n, nodes[node].link, &vip, fam->prefix,
	                                     NETLINK_FOREVER),
	                 OK);
}

static void let_go(unsigned node)
{
	assert_int_equal(netlink_address_delete(nodes[node].n, nodes[node].link, &vip, fam->prefix),
	                 OK);
}

/* As a switch and a client that heard the announcement. */
static void forget(void)
{
	assert_int_equal(run_in(&client, "ip neigh flush dev br"), 0);
}

static void move(unsigned from, unsigned to, uint64_t ns)
{
	char why[160] = "";

	enter(&nodes[from]);
	if (relay_keep(relays[from], nodes[from].link, ns, why, sizeof(why)) != OK) {
		fail_msg("relay_keep: %s", why);
	}
	let_go(from);
	enter(&nodes[to]);
	if (relay_take(relays[to], nodes[to].link, own(from), ns, why, sizeof(why)) != OK) {
		fail_msg("relay_take: %s", why);
	}
	relay_back(relays[to]);
	hold(to);
	/* Who is not the holder hears who is. */
	for (unsigned i = 0; i < VIP_NODES; i++) {
		if (i != to) {
			relay_heard(relays[i], own(to));
		}
	}
	forget();
}

static int listen_at(unsigned node, const char *address)
{
	char text[NET_ADDR_TEXT];
	struct net_addr a;
	int fd;

	snprintf(text, sizeof(text), strchr(address, ':') != NULL ? "[%s]:%d" : "%s:%d", address,
	         PORT);
	assert_int_equal(net_addr_parse(str_from(text), &a, NULL), OK);
	enter(&nodes[node]);
	fd = net_listen(&a, 64, 0);
	assert_true(fd >= 0);
	return fd;
}

static bool ready(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1;
}

/* Connects through the address; the node that answers must be that one. */
static struct pair connect_to(unsigned node)
{
	struct net_addr to = vip, peer;
	bool done;
	struct pair p;

	if (fam->family == AF_INET) {
		to.in.sin_port = htons(PORT);
	} else {
		to.in6.sin6_port = htons(PORT);
	}
	enter(&client);
	p.c = net_connect(&to, &done);
	assert_true(p.c >= 0);
	assert_true(ready(p.c, POLLOUT, WAIT_MS));
	assert_int_equal(net_connect_error(p.c), 0);
	assert_true(ready(listeners[node], POLLIN, WAIT_MS));
	p.s = net_accept(listeners[node], &peer);
	assert_true(p.s >= 0);
	return p;
}

static void hang_up(struct pair *p)
{
	close(p->c);
	close(p->s);
	p->c = p->s = -1;
}

/* One byte from one end to the other: false when the connection is broken or silent. */
static bool passes(int from, int to, int ms)
{
	char sent = 'x', got = 0;

	return send(from, &sent, 1, MSG_NOSIGNAL) == 1 && ready(to, POLLIN, ms) &&
	       recv(to, &got, 1, 0) == 1 && got == sent;
}

static bool alive(const struct pair *p)
{
	return passes(p->c, p->s, WAIT_MS) && passes(p->s, p->c, WAIT_MS);
}

/* As much as both ends take now, downwards. Bytes that arrived; -1: broken. */
static long pour(const struct pair *p)
{
	static char bytes[65536];
	long got = 0;
	ssize_t n;

	n = send(p->s, bytes, sizeof(bytes), MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		return -1;
	}
	while ((n = recv(p->c, bytes, sizeof(bytes), 0)) > 0) {
		got += n;
	}
	return n < 0 && errno == EAGAIN ? got : -1;
}

/* A download that goes on: so many bytes more must come. */
static bool pours(const struct pair *p, long want)
{
	for (unsigned quiet = 0; want > 0 && quiet < WAIT_MS; quiet++) {
		long n = pour(p);

		if (n < 0) {
			return false;
		}
		want -= n;
		if (n > 0) {
			quiet = 0;
		}
		usleep(n > 0 ? 0 : 1000);
	}
	return want <= 0;
}

static void begin(const struct family *f)
{
	struct conf_vip_address address = { .ip = ip(f->vip), .prefix = f->prefix };
	struct conf_vip conf = { .name = STR("web"), .addresses = &address, .naddresses = 1 };

	fam = f;
	vip = address.ip;
	for (unsigned i = 0; i < VIP_NODES; i++) {
		enter(&nodes[i]);
		assert_int_equal(relay_new(loop, nodes[i].n, &conf, &relays[i]), OK);
		listeners[i] = listen_at(i, "*");
	}
}

static void note(void *arg, const struct net_ifaddr *a)
{
	unsigned *n = arg;

	*n += net_addr_same_ip(&a->ip, &vip);
}

static unsigned held(unsigned node)
{
	unsigned n = 0;

	assert_int_equal(netlink_addresses(nodes[node].n, note, &n), OK);
	return n;
}

/* Neither rules nor addresses of a handover. */
static bool clean(unsigned node)
{
	return held(node) == 0 && run_in(&nodes[node], "test -z \"$(nft list ruleset)\"") == 0;
}

static void end(void)
{
	for (unsigned i = 0; i < VIP_NODES; i++) {
		let_go(i);
		enter(&nodes[i]);
		relay_free(relays[i]);
		relays[i] = NULL;
		if (listeners[i] >= 0) {
			close(listeners[i]);
		}
		assert_true(clean(i));
	}
	forget();
}

/* --- what survives -------------------------------------------------------------------------- */

static void one_way(const struct family *f)
{
	struct pair busy[PAIRS], idle[PAIRS], later;

	begin(f);
	hold(0);
	for (unsigned i = 0; i < PAIRS; i++) {
		busy[i] = connect_to(0);
		idle[i] = connect_to(0);
		assert_true(pours(&busy[i], 1000));
	}
	move(0, 1, LONG_NS);
	for (unsigned i = 0; i < PAIRS; i++) {
		assert_true(pours(&busy[i], 4L << 20));
		assert_true(alive(&idle[i]));
	}
	later = connect_to(1);
	assert_true(alive(&later));
	assert_true(relay_active(relays[0]) && relay_active(relays[1]));
	assert_int_equal(held(0), 1);
	/* The last one's end is the end of it: the address leaves the node. */
	for (unsigned i = 0; i < PAIRS; i++) {
		hang_up(&busy[i]);
		hang_up(&idle[i]);
	}
	WAIT_FOR(!relay_active(relays[0]));
	assert_int_equal(held(0), 0);
	assert_true(alive(&later));
	hang_up(&later);
	end();
}

static void test_one_way(void **state)
{
	(void)state;
	one_way(&families[0]);
	one_way(&families[1]);
}

/* A→B→A→C: connections begun at each stage are all well at the end. */
static void back_and_on(const struct family *f)
{
	static const unsigned path[] = { 0, 1, 0, 2, 1 };
	struct pair p[ARRAY_LEN(path)];

	begin(f);
	hold(path[0]);
	for (unsigned i = 0; i < ARRAY_LEN(path); i++) {
		if (i > 0) {
			move(path[i - 1], path[i], LONG_NS);
		}
		p[i] = connect_to(path[i]);
		for (unsigned j = 0; j <= i; j++) {
			assert_true(alive(&p[j]));
			assert_true(pours(&p[j], 1L << 20));
		}
	}
	for (unsigned i = 0; i < ARRAY_LEN(path); i++) {
		hang_up(&p[i]);
	}
	end();
}

static void test_back_and_on(void **state)
{
	(void)state;
	back_and_on(&families[0]);
	back_and_on(&families[1]);
}

/* Listeners bound to the address itself: they look like connections to the rules. */
static void bound(const struct family *f)
{
	struct pair first, second;
	int on = 1;

	begin(f);
	for (unsigned i = 0; i < VIP_NODES; i++) {
		close(listeners[i]);
		enter(&nodes[i]);
		if (i == 0) {
			hold(0);
		}
		/* As an administrator allows it on the nodes of such an address. */
		assert_int_equal(run_in(&nodes[i], "sysctl -qw net.ipv4.ip_nonlocal_bind=1 "
		                                   "net.ipv6.ip_nonlocal_bind=1"),
		                 0);
		listeners[i] = listen_at(i, f->vip);
		(void)setsockopt(listeners[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
	first = connect_to(0);
	move(0, 1, LONG_NS);
	assert_true(alive(&first));
	second = connect_to(1);
	assert_true(alive(&second));
	assert_true(alive(&first));
	move(1, 0, LONG_NS);
	assert_true(alive(&first));
	assert_true(alive(&second));
	hang_up(&first);
	hang_up(&second);
	end();
}

static void test_listeners_at_the_address(void **state)
{
	(void)state;
	bound(&families[0]);
	bound(&families[1]);
}

/* What all of this is for. */
static void test_without_it_they_break(void **state)
{
	struct pair p;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
		begin(&families[i]);
		hold(0);
		p = connect_to(0);
		assert_true(alive(&p));
		let_go(0);
		hold(1);
		forget();
		assert_false(passes(p.c, p.s, 2000));
		hang_up(&p);
		end();
	}
}

/* --- how it ends ---------------------------------------------------------------------------- */

static void test_deadline(void **state)
{
	struct pair p;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
		begin(&families[i]);
		hold(0);
		p = connect_to(0);
		move(0, 1, 100 * MILLI_NS);
		assert_true(alive(&p));
		WAIT_FOR(!relay_active(relays[0]) && !relay_active(relays[1]));
		assert_true(clean(0));
		let_go(1);
		assert_true(clean(1));
		hang_up(&p);
		end();
	}
}

static unsigned sent_on(unsigned node)
{
	enter(&nodes[node]);
	return run_in(&nodes[node], "nft list ruleset | grep -q 'dup to'") == 0;
}

/* Nothing is passed on to the node that is the holder now: it would pass it back. Nor is it
 * refused: what still takes the old way is a connection of the holder. */
static void test_heard(void **state)
{
	struct pair p;

	(void)state;
	begin(&families[0]);
	hold(0);
	p = connect_to(0);
	move(0, 1, LONG_NS);
	relay_heard(relays[1], own(2));
	assert_true(sent_on(1));
	assert_true(alive(&p));
	relay_heard(relays[1], own(0));
	assert_false(sent_on(1));
	assert_true(relay_active(relays[1]));
	assert_int_equal(send(p.c, "x", 1, MSG_NOSIGNAL), 1);
	assert_false(ready(p.c, POLLIN | POLLHUP, 1000));
	/* The client learns the new way: nothing is lost. */
	let_go(1);
	relay_back(relays[0]);
	hold(0);
	forget();
	assert_true(ready(p.s, POLLIN, WAIT_MS));
	assert_true(recv(p.s, &(char){ 0 }, 1, 0) == 1 && alive(&p));
	hang_up(&p);
	end();
}

/* The old holder dies while its connections are passed on: clients are told, they do not hang. */
static void test_old_holder_dies(void **state)
{
	struct pair p;

	(void)state;
	begin(&families[0]);
	hold(0);
	p = connect_to(0);
	move(0, 1, LONG_NS);
	assert_true(alive(&p));
	assert_int_equal(netlink_link_set(client.n, index_of(&client, "port0"), false), OK);
	/* The kernel would find out by itself in half a minute. */
	assert_int_equal(run_in(&nodes[1], "sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=50; "
	                                   "ip neigh flush dev eth0"),
	                 0);
	assert_int_equal(send(p.c, "x", 1, MSG_NOSIGNAL), 1);
	WAIT_FOR(!relay_active(relays[1]));
	assert_true(ready(p.c, POLLIN, WAIT_MS));
	assert_int_equal(net_connect_error(p.c), ECONNRESET);
	assert_int_equal(netlink_link_set(client.n, index_of(&client, "port0"), true), OK);
	hang_up(&p);
	end();
}

/* The daemon is killed in the middle. */
static void test_killed(void **state)
{
	char why[160] = "", byte = 0;
	int told[2], status;
	pid_t pid;

	(void)state;
	begin(&families[0]);
	assert_int_equal(pipe(told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct conf_vip_address address = { .ip = vip, .prefix = 24 };
		struct conf_vip conf = { .name = STR("web"),
			                 .addresses = &address,
			                 .naddresses = 1 };
		struct relay *r;

		enter(&nodes[0]);
		if (relay_new(loop, nodes[0].n, &conf, &r) == OK &&
		    relay_keep(r, nodes[0].link, LONG_NS, why, sizeof(why)) == OK &&
		    relay_take(r, nodes[0].link, own(1), LONG_NS, why, sizeof(why)) == OK) {
			byte = 'y';
		}
		(void)!write(told[1], &byte, 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(told[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(held(0), 1);
	assert_int_not_equal(run_in(&nodes[0], "test -z \"$(nft list ruleset)\""), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* Rules go at once, the address with its life, or when the next process cleans up. */
	assert_int_equal(run_in(&nodes[0], "test -z \"$(nft list ruleset)\""), 0);
	relay_clean(nodes[0].n);
	assert_true(clean(0));
	close(told[0]);
	close(told[1]);
	end();
}

/* --- rights --------------------------------------------------------------------------------- */

static bool keep_rights(uint64_t rights)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)rights, .permitted = (uint32_t)rights },
		{ .effective = 0 },
	};

	/* In a user namespace of one id there is no other. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
	    (setresuid(65534, 65534, 65534) != 0 && errno != EINVAL)) {
		return false;
	}
	return syscall(SYS_capset, &head, data) == 0;
}

static int supported_with(uint64_t rights, char *why, size_t why_size)
{
	int told[2], status;
	pid_t pid;

	assert_int_equal(pipe(told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct netlink *n;
		bool yes;

		enter(&nodes[0]);
		if (!keep_rights(rights) || netlink_open(&n) != OK) {
			_exit(2);
		}
		yes = relay_supported(n, why, why_size) == OK;
		(void)!write(told[1], why, strlen(why) + 1);
		_exit(yes ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 0) {
		assert_true(read(told[0], why, why_size) > 0);
	}
	close(told[0]);
	close(told[1]);
	return WEXITSTATUS(status);
}

static void test_rights(void **state)
{
	char why[160] = "";

	(void)state;
	assert_int_equal(supported_with(1ULL << CAP_NET_ADMIN, why, sizeof(why)), 1);
	assert_int_equal(supported_with(0, why, sizeof(why)), 0);
	assert_non_null(strstr(why, "CAP_NET_ADMIN"));
	enter(&nodes[0]);
	assert_int_equal(run_in(&nodes[0], "test -z \"$(nft list ruleset)\""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_way),
		cmocka_unit_test(test_back_and_on),
		cmocka_unit_test(test_listeners_at_the_address),
		cmocka_unit_test(test_without_it_they_break),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_heard),
		cmocka_unit_test(test_old_holder_dies),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_rights),
	};
	int status = vip_net_make();
	char why[160];

	if (status != 0) {
		return status;
	}
	enter(&nodes[0]);
	if (relay_supported(nodes[0].n, why, sizeof(why)) != OK) {
		fprintf(stderr, "skipped: no relay here: %s\n", why);
		return 77;
	}
	status = cmocka_run_group_tests(tests, NULL, NULL);
	vip_net_free();
	return status;
}
