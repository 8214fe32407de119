/* SPDX-License-Identifier: Apache-2.0 */
/* Webhooks against a receiver that answers as it is told, on this thread's loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "control/webhook.h"
#include "ipc/httpd.h"
#include "net/sock.h"

#define PATIENCE (30 * NS_PER_S)
#define RETRY    (5 * NS_PER_MS)

static struct loop *loop;
static struct httpd *server;
static int listening;
static char url[64];
static struct webhooks *hooks;
static struct conf_vip vips[2];
static struct conf conf;
static struct buf order; /* "web1 mail1 web2 ": as they came in */
static unsigned refuse;  /* so many answers are 503 */
static unsigned status = 200;
static const char *hang; /* posts of this virtual IP get no answer */
static json_t *last;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[4096];

static void remember(const struct log_line *line, void *arg)
{
	size_t at;

	(void)arg;
	pthread_mutex_lock(&log_lock);
	at = strlen(log_text);
	snprintf(log_text + at, sizeof(log_text) - at, "%s %s: %s\n", line->event,
	         line->object != NULL ? line->object : "", line->text);
	pthread_mutex_unlock(&log_lock);
}

static bool logged(const char *words)
{
	bool found;

	pthread_mutex_lock(&log_lock);
	found = strstr(log_text, words) != NULL;
	pthread_mutex_unlock(&log_lock);
	return found;
}

static void receive(struct httpd *h, const struct httpd_request *r, void *arg)
{
	struct httpd_answer a = { .status = status, .type = "text/plain" };
	json_t *j = json_loadb(r->body.s, r->body.len, 0, NULL);
	const char *vip = json_string_value(json_object_get(j, "vip"));

	(void)arg;
	assert_non_null(vip);
	buf_printf(&order, "%s%lld ", vip,
	           (long long)json_integer_value(json_object_get(j, "number")));
	json_decref(last);
	last = j;
	if (hang != NULL && strcmp(vip, hang) == 0)
		return;
	if (refuse > 0) {
		refuse--;
		a.status = 503;
	}
	httpd_answer(h, r->id, &a);
}

static int set_up(void **state)
{
	struct net_addr address;
	socklen_t len = sizeof(address.in);

	(void)state;
	buf_free(&order);
	refuse = 0;
	status = 200;
	hang = NULL;
	log_text[0] = '\0';
	log_set_sink(remember, NULL);
	log_set_level(LOG_LEVEL_INFO);
	loop = loop_new();
	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &address, NULL), OK);
	address.in.sin_port = 0;
	listening = net_listen(&address, 128, 0);
	assert_int_equal(getsockname(listening, &address.sa, &len), 0);
	server = httpd_new(loop, &httpd_limits_default, receive, NULL);
	assert_int_equal(httpd_listen(server, listening, false), OK);
	snprintf(url, sizeof(url), "http://me:pw@127.0.0.1:%u/hook?key=s3cret",
	         net_addr_port(&address));
	for (unsigned i = 0; i < 2; i++)
		vips[i] = (struct conf_vip){ .name = i == 0 ? STR("mail") : STR("web"),
			                     .notify = { .webhook = str_from(url),
			                                 .timeout = 10 * NS_PER_S } };
	conf = (struct conf){ .cluster = STR("shop"), .vips = vips, .nvips = 2 };
	hooks = webhooks_new("lb1", RETRY);
	webhooks_configure(hooks, &conf);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	webhooks_free(hooks);
	httpd_free(server);
	loop_turn(loop, 0);
	loop_free(loop);
	close(listening);
	json_decref(last);
	last = NULL;
	buf_free(&order);
	return 0;
}

static void post(const char *vip, uint64_t number)
{
	struct ipc_hook h = { .number = number, .wall_ms = 1700000000000, .priority = 200 };

	snprintf(h.vip, sizeof(h.vip), "%s", vip);
	snprintf(h.from, sizeof(h.from), "backup");
	snprintf(h.to, sizeof(h.to), "active");
	snprintf(h.reason, sizeof(h.reason), "the active node was not heard for 130ms");
	snprintf(h.addresses, sizeof(h.addresses), "10.77.0.100/24, 10.77.0.110/24");
	snprintf(h.interface, sizeof(h.interface), "eth0");
	webhooks_post(hooks, &h);
}

static bool came(const char *want)
{
	return strcmp(buf_cstr(&order), want) == 0;
}

#define UNTIL(condition) \
	do { \
		uint64_t deadline_ = clock_mono() + PATIENCE; \
		while (!(condition)) { \
			if (clock_mono() > deadline_) \
				fail_msg("in vain: %s (came: %s)", #condition, buf_cstr(&order)); \
			loop_turn(loop, 5 * NS_PER_MS); \
		} \
	} while (0)

static void test_what_is_told(void **state)
{
	static const char want[] =
	    "{\"addresses\": [\"10.77.0.100/24\", \"10.77.0.110/24\"], \"cluster\": \"shop\", "
	    "\"from\": \"backup\", \"interface\": \"eth0\", \"node\": \"lb1\", \"number\": 7, "
	    "\"priority\": 200, \"reason\": \"the active node was not heard for 130ms\", "
	    "\"time\": \"2023-11-14T22:13:20.000Z\", \"to\": \"active\", \"vip\": \"web\"}";
	char *text;

	(void)state;
	post("web", 7);
	UNTIL(webhooks_idle(hooks));
	text = json_dumps(last, JSON_SORT_KEYS);
	assert_string_equal(text, want);
	free(text);
	assert_true(
	    logged("webhook web: transition 7, backup to active, told to http://127.0.0.1:"));
	assert_false(logged("s3cret"));
	assert_false(logged("pw"));
}

static void test_order_and_tries(void **state)
{
	(void)state;
	refuse = 2; /* the third try of the first one is taken */
	for (uint64_t n = 1; n <= 3; n++)
		post("web", n);
	UNTIL(webhooks_idle(hooks));
	assert_true(came("web1 web1 web1 web2 web3 "));
	assert_false(logged("webhook_failed"));
}

static void test_given_up_after_three_tries(void **state)
{
	(void)state;
	refuse = 3;
	post("web", 1);
	post("web", 2);
	UNTIL(webhooks_idle(hooks));
	assert_true(came("web1 web1 web1 web2 "));
	assert_true(logged("webhook_failed web: transition 1, backup to active, not told to"));
	assert_true(logged("status 503 (try 3)"));
	assert_false(logged("s3cret"));
}

static void test_a_refusal_is_not_repeated(void **state)
{
	(void)state;
	status = 404;
	post("web", 1);
	UNTIL(webhooks_idle(hooks));
	assert_true(came("web1 "));
	assert_true(logged("status 404 (try 1)"));
}

static void test_one_that_hangs_holds_up_only_itself(void **state)
{
	uint64_t begin = clock_mono();

	(void)state;
	hang = "mail";
	post("mail", 1);
	UNTIL(came("mail1 "));
	for (uint64_t n = 1; n <= 3; n++)
		post("web", n);
	UNTIL(came("mail1 web1 web2 web3 "));
	assert_false(webhooks_idle(hooks));
	assert_true(clock_mono() - begin < PATIENCE);
	webhooks_free(hooks); /* at once */
	hooks = NULL;
	assert_true(logged("webhook_failed mail: transition 1"));
}

static void test_a_time_limit(void **state)
{
	(void)state;
	hang = "web";
	vips[1].notify.timeout = 50 * NS_PER_MS;
	webhooks_configure(hooks, &conf);
	post("web", 1);
	UNTIL(webhooks_idle(hooks));
	assert_true(logged("(try 3)"));
}

static void test_the_queue_is_bounded(void **state)
{
	(void)state;
	hang = "web";
	post("web", 1);
	UNTIL(came("web1 "));
	for (uint64_t n = 2; n <= WEBHOOK_QUEUE + 2; n++)
		post("web", n);
	/* The oldest that waited went, not the one on its way. */
	assert_true(logged("transition 2, backup to active, not told"));
	assert_true(logged("transition 3, backup to active, not told"));
	assert_false(logged("transition 1, "));
	assert_false(logged("transition 4, "));
}

static void test_what_a_reload_removed(void **state)
{
	struct conf none = { .cluster = STR("shop") };

	(void)state;
	webhooks_configure(hooks, &none);
	post("web", 1); /* given up after the commit */
	UNTIL(webhooks_idle(hooks));
	assert_true(came("web1 "));
	webhooks_configure(hooks, &none);
	post("web", 2);
	assert_true(webhooks_idle(hooks));
}

static void test_what_is_shown_of_a_url(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(webhook_shown("https://u:p@h.test:8443/a@b?k=v", out, sizeof(out)),
	                    "https://h.test:8443");
	assert_string_equal(webhook_shown("http://h.test", out, sizeof(out)), "http://h.test");
	assert_string_equal(webhook_shown("http://[::1]:1#x", out, sizeof(out)), "http://[::1]:1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_is_told),
		TEST(order_and_tries),
		TEST(given_up_after_three_tries),
		TEST(a_refusal_is_not_repeated),
		TEST(one_that_hangs_holds_up_only_itself),
		TEST(a_time_limit),
		TEST(the_queue_is_bounded),
		TEST(what_a_reload_removed),
		TEST(what_is_shown_of_a_url),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
