/* SPDX-License-Identifier: Apache-2.0 */
/* Pages for people: tables, numbers, the pages of status, top, events and explain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/views.h"

const struct cli_command *const cli_commands[] = { NULL };

static json_t *parse(const char *text)
{
	json_error_t e;
	json_t *j = json_loads(text, 0, &e);

	if (j == NULL)
		fail_msg("%s: %s", e.text, text);
	return j;
}

static void expect(struct buf *page, const char *want)
{
	if (strcmp(buf_cstr(page), want) != 0)
		fail_msg("got:\n%s\nwanted:\n%s", buf_cstr(page), want);
	buf_free(page);
}

/* --- tables --------------------------------------------------------------------------------- */

static void test_table_aligns(void **state)
{
	static const char *const heads[] = { "name", ">n", NULL };
	struct out_table t;
	struct buf b = BUF_INIT;

	(void)state;
	out_table_init(&t, heads);
	out_cell(&t, OUT_PLAIN, "a");
	out_cell(&t, OUT_RED, "%d", 1);
	out_cell(&t, OUT_PLAIN, "longer");
	out_cell(&t, OUT_PLAIN, "%d", 1000);
	out_table_write(&t, false, 0, &b);
	expect(&b, "  name       n\n  a          1\n  longer  1000\n");
}

static void test_table_colours(void **state)
{
	static const char *const heads[] = { "x", NULL };
	struct out_table t;
	struct buf b = BUF_INIT;

	(void)state;
	out_table_init(&t, heads);
	out_cell(&t, OUT_GREEN, "up");
	out_table_write(&t, true, 0, &b);
	expect(&b, "  \033[2mx\033[0m\n  \033[32mup\033[0m\n");
}

static void test_table_leaves_empty_columns_out(void **state)
{
	static const char *const heads[] = { "a", "empty", "b", NULL };
	struct out_table t;
	struct buf b = BUF_INIT;

	(void)state;
	out_table_init(&t, heads);
	out_cell(&t, OUT_PLAIN, "1");
	out_cell(&t, OUT_PLAIN, "%s", "");
	out_cell(&t, OUT_PLAIN, "2");
	out_table_write(&t, false, 0, &b);
	expect(&b, "  a  b\n  1  2\n");
}

static void test_table_is_cut_to_the_width(void **state)
{
	static const char *const heads[] = { "a", "reason", NULL };
	struct out_table t;
	struct buf b = BUF_INIT;

	(void)state;
	out_table_init(&t, heads);
	out_cell(&t, OUT_PLAIN, "x");
	out_cell(&t, OUT_PLAIN, "very long indeed");
	out_table_write(&t, false, 12, &b);
	expect(&b, "  a  reason\n  x  very lo\n");
}

static void test_table_masks_control_bytes(void **state)
{
	static const char *const heads[] = { "a", NULL };
	struct out_table t;
	struct buf b = BUF_INIT;

	(void)state;
	out_table_init(&t, heads);
	out_cell(&t, OUT_PLAIN, "x\033[31my\n");
	out_table_write(&t, false, 0, &b);
	expect(&b, "  a\n  x?[31my?\n");
}

static void test_table_counts_characters(void **state)
{
	static const char *const heads[] = { "a", "b", NULL };
	struct out_table t;
	struct buf b = BUF_INIT;

	(void)state;
	out_table_init(&t, heads);
	out_cell(&t, OUT_PLAIN, "\xc3\xa4\xc3\xb6");
	out_cell(&t, OUT_PLAIN, "1");
	out_cell(&t, OUT_PLAIN, "ao");
	out_cell(&t, OUT_PLAIN, "2");
	out_table_write(&t, false, 0, &b);
	expect(&b, "  a   b\n  \xc3\xa4\xc3\xb6  1\n  ao  2\n");
}

static void test_numbers(void **state)
{
	static const struct {
		double n;
		const char *want;
	} rows[] = { { 0, "0" },       { 0.5, "0.5" },     { 7, "7" },         { 999, "999" },
		     { 1000, "1.0k" }, { 12345, "12.3k" }, { 123456, "123k" }, { 4.5e6, "4.5M" },
		     { 1e9, "1.0G" },  { 999.7, "1.0k" } };
	char out[16];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(out_number(rows[i].n, out), rows[i].want);
}

static void test_latencies(void **state)
{
	static const struct {
		double us;
		const char *want;
	} rows[] = { { 0, "-" },
		     { 350, "350us" },
		     { 1500, "1.5ms" },
		     { 250e3, "250ms" },
		     { 1.5e6, "1.50s" } };
	char out[16];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(out_latency(rows[i].us, out), rows[i].want);
}

static void test_times(void **state)
{
	json_t *j = parse("{\"a\": \"2023-11-14T22:13:22.007Z\", \"b\": null, \"c\": \"x\"}");

	(void)state;
	assert_true(view_time(j, "a") == 1700000002007);
	assert_true(view_time(j, "b") == 0);
	assert_true(view_time(j, "c") == 0);
	json_decref(j);
}

/* --- status --------------------------------------------------------------------------------- */

static const char status_json[] =
    "{\"node\": \"lb1\", \"cluster\": \"shop\", \"version\": \"1.2.3\","
    " \"time\": \"2023-11-14T22:14:20.000Z\", \"started\": \"2023-11-14T22:13:20.000Z\","
    " \"health\": \"degraded\", \"generation\": 2, \"file\": \"/etc/h.yaml\","
    " \"loaded\": \"2023-11-14T22:14:10.000Z\","
    " \"reloads\": {\"error\": \"\"},"
    " \"roles\": [{\"name\": \"proxy\", \"pid\": 7, \"ready\": true, \"restarts\": 0,"
    "  \"since\": \"2023-11-14T22:13:20.000Z\", \"reason\": \"\"}],"
    " \"listeners\": [{\"name\": \"http\", \"bind\": [\"*:80\"], \"open\": 3, \"active\": 1,"
    "  \"requests\": 10, \"errors\": 0}],"
    " \"routes\": [], \"pools\": [],"
    " \"servers\": ["
    "  {\"id\": \"web/a\", \"address\": \"10.0.0.1:80\", \"state\": \"up\", \"order\":"
    "   \"ready\", \"ramp\": 100, \"since\": \"2023-11-14T22:14:00.000Z\", \"weight\": 1,"
    "   \"active\": 0, \"requests\": 5, \"errors\": 0, \"reason\": \"first check succeeded\"},"
    "  {\"id\": \"web/b\", \"address\": \"10.0.0.2:80\", \"state\": \"down\", \"order\":"
    "   \"ready\", \"ramp\": 100, \"since\": \"2023-11-14T22:14:00.000Z\", \"weight\": 1,"
    "   \"active\": 0, \"requests\": 5, \"errors\": 2, \"reason\": \"connect refused\"}]}";

static void test_status_page(void **state)
{
	json_t *j = parse(status_json);
	struct buf b = BUF_INIT;

	(void)state;
	status_render(j, false, 0, &b);
	json_decref(j);
	expect(&b, "shop/lb1 degraded, up 1m00s, version 1.2.3\n"
	           "configuration 2 from /etc/h.yaml, loaded 10.0s ago\n"
	           "\nRoles\n"
	           "  role   state  pid  since  restarts\n"
	           "  proxy  ready    7  1m00s         0\n"
	           "\nListeners\n"
	           "  listener  address  connections  active  requests  errors\n"
	           "  http      *:80               3       1        10       0\n"
	           "\nServers\n"
	           "  server  address      state  since  weight  active  requests  errors  reason\n"
	           "  web/a   10.0.0.1:80  up     20.0s       1       0         5       0  first "
	           "check succeeded\n"
	           "  web/b   10.0.0.2:80  down   20.0s       1       0         5       2  connect "
	           "refused\n");
}

/* A backup that is not well, and an address that others hold. */
static const char vips_json[] =
    "{\"node\": \"lb1\", \"health\": \"degraded\", \"drained\": true,"
    " \"time\": \"2023-11-14T22:14:20.000Z\","
    " \"virtual_ips\": ["
    "  {\"name\": \"mail\", \"addresses\": [\"10.77.0.101/24\"], \"member\": false,"
    "   \"state\": \"out\", \"holder\": \"\", \"since\": null, \"priority\": 0,"
    "   \"base_priority\": 0, \"reason\": \"this node may not hold it\", \"conditions\": []},"
    "  {\"name\": \"web\", \"addresses\": [\"10.77.0.100/24\", \"10.77.0.110/24\"],"
    "   \"member\": true, \"state\": \"backup\", \"holder\": \"lb2\","
    "   \"since\": \"2023-11-14T22:14:00.000Z\", \"priority\": 2, \"base_priority\": 200,"
    "   \"conflict\": true, \"yielded\": true, \"reason\": \"pool.web failed\","
    "   \"conditions\": ["
    "    {\"name\": \"proxy\", \"known\": true, \"well\": true, \"reason\": \"\","
    "     \"since\": \"2023-11-14T22:14:00.000Z\"},"
    "    {\"name\": \"gateway\", \"known\": false, \"well\": true,"
    "     \"reason\": \"not answered yet\", \"since\": null},"
    "    {\"name\": \"pool.web\", \"known\": true, \"well\": false,"
    "     \"reason\": \"0 of 3 servers\", \"since\": \"2023-11-14T22:14:10.000Z\"}]}],"
    " \"checks\": [{\"name\": \"disk\", \"state\": \"down\", \"reason\": \"exit status 1\","
    "  \"since\": \"2023-11-14T22:14:00.000Z\"}]}";

static void test_virtual_ips(void **state)
{
	json_t *j = parse(vips_json);
	struct buf b = BUF_INIT;
	const char *page;

	(void)state;
	status_render(j, false, 0, &b);
	json_decref(j);
	page = strstr(buf_cstr(&b), "drained by order");
	assert_non_null(page);
	page = strstr(page, "\nVirtual IPs\n");
	assert_non_null(page);
	assert_memory_equal(
	    page,
	    "\nVirtual IPs\n"
	    "  virtual IP  address                         state      since  holder  priority  "
	    "                   reason\n"
	    "  mail        10.77.0.101/24                  elsewhere                           "
	    "                   this node may not hold it\n"
	    "  web         10.77.0.100/24, 10.77.0.110/24  backup     20.0s  lb2        2/200  "
	    "conflict, yielded  pool.web failed\n"
	    "\nConditions\n"
	    "  virtual IP  condition  state    since  reason\n"
	    "  web         proxy      well     20.0s\n"
	    "  web         gateway    assumed         not answered yet\n"
	    "  web         pool.web   failed   10.0s  0 of 3 servers\n"
	    "\nChecks\n"
	    "  check  state  since  reason\n"
	    "  disk   down   20.0s  exit status 1\n",
	    strlen(page) - strlen(strstr(page, "exit status 1\n") + 14));
	buf_free(&b);
}

/* The state column for a server's members. */
static void expect_state(const char *members, const char *want)
{
	struct buf text = BUF_INIT;
	struct buf b = BUF_INIT;
	json_t *j;

	buf_printf(&text,
	           "{\"time\": \"2023-11-14T22:14:20.000Z\", \"servers\": [{\"id\": \"web/a\", "
	           "%s}]}",
	           members);
	j = parse(buf_cstr(&text));
	status_render(j, false, 0, &b);
	if (strstr(buf_cstr(&b), want) == NULL)
		fail_msg("no \"%s\" in %s", want, buf_cstr(&b));
	json_decref(j);
	buf_free(&b);
	buf_free(&text);
}

static void test_server_states(void **state)
{
	(void)state;
	expect_state("\"state\": \"up\", \"order\": \"drain\"", "draining");
	expect_state("\"state\": \"up\", \"order\": \"disable\"", "disabled");
	expect_state("\"state\": \"up\", \"order\": \"ready\", \"ramp\": 35", "up, 35 %");
	expect_state("\"state\": \"down\", \"order\": \"ready\", \"ejected\": true", "ejected");
	expect_state("\"state\": \"starting\", \"order\": \"ready\"", "starting");
	expect_state("\"state\": \"up\", \"backup\": true", "backup");
	expect_state("\"order\": \"drain\", \"reason\": \"by order\", \"ended\": 0, \"end_at\": "
	             "\"2023-11-14T22:24:22.000Z\"",
	             "by order; what is open is ended in 10m02s\n");
	expect_state("\"order\": \"drain\", \"reason\": \"by order\", \"ended\": 0, \"end_at\": "
	             "\"2023-11-14T22:14:19.900Z\"",
	             "by order; what is open is ended in 0ms\n");
	expect_state("\"order\": \"drain\", \"reason\": \"by order\", \"ended\": 3, \"end_at\": "
	             "null",
	             "by order; its time is over: 3 ended\n");
}

static void test_refused_reload_and_orphan(void **state)
{
	json_t *j = parse("{\"node\": \"n\", \"health\": \"degraded\", \"orphan\": true,"
	                  " \"reloads\": {\"error\": \"h.yaml:1:1: error: x\"}}");
	struct buf b = BUF_INIT;

	(void)state;
	status_render(j, false, 0, &b);
	assert_non_null(strstr(buf_cstr(&b), "the last reload was refused"));
	assert_non_null(strstr(buf_cstr(&b), "h.yaml:1:1: error: x"));
	assert_non_null(strstr(buf_cstr(&b), "the parent process has gone"));
	json_decref(j);
	buf_free(&b);
}

static void test_pages_of_nothing(void **state)
{
	json_t *j = parse("{}");
	struct buf b = BUF_INIT;

	(void)state;
	status_render(j, true, 80, &b);
	top_render(j, true, 80, 24, &b);
	event_render(j, true, &b);
	explain_render(j, true, &b);
	assert_false(b.failed);
	buf_free(&b);
	json_decref(j);
}

/* --- top ------------------------------------------------------------------------------------ */

static json_t *stats(unsigned at_ms, unsigned requests, unsigned errors, unsigned fast)
{
	return json_pack("{s:s, s:s, s:i, s:[{s:s, s:i, s:i, s:[i,i], s:i, s:i}]}", "node", "lb1",
	                 "health", "healthy", "at_us", at_ms * 1000, "servers", "name", "web/a",
	                 "requests", requests, "errors", errors, "latency", fast, 0,
	                 "active_requests", 3, "bytes_out_total", requests * 100);
}

static double rate(const json_t *rates, const char *key)
{
	const json_t *o = json_array_get(json_object_get(rates, "servers"), 0);

	return json_number_value(json_object_get(o, key));
}

static void test_top_differences(void **state)
{
	json_t *a = stats(1000, 100, 10, 50);
	json_t *b = stats(3000, 300, 20, 250);
	json_t *r = top_compute(a, b);

	(void)state;
	assert_true(rate(r, "requests_per_s") == 100);
	assert_true(rate(r, "error_share") == 0.05);
	assert_true(rate(r, "bytes_out_per_s") == 10000);
	assert_true(rate(r, "p99_us") > 0 && rate(r, "p99_us") <= 1000);
	assert_int_equal(rate(r, "active"), 3);
	json_decref(a);
	json_decref(b);
	json_decref(r);
}

static void test_top_shows_virtual_ips(void **state)
{
	json_t *a = parse("{\"at_us\": 0}");
	json_t *b = parse(vips_json);
	json_t *r = top_compute(a, b);
	struct buf page = BUF_INIT;

	(void)state;
	top_render(r, false, 0, 0, &page);
	assert_non_null(strstr(buf_cstr(&page),
	                       "  web         backup  lb2            2  another node "
	                       "is active as well\n"));
	buf_free(&page);
	json_decref(a);
	json_decref(b);
	json_decref(r);
}

static void test_top_after_a_restart(void **state)
{
	json_t *a = stats(1000, 1000, 10, 50);
	json_t *b = stats(2000, 30, 0, 30);
	json_t *r = top_compute(a, b);

	(void)state;
	assert_true(rate(r, "requests_per_s") == 30);
	json_decref(a);
	json_decref(b);
	json_decref(r);
}

static void test_top_new_object(void **state)
{
	json_t *a = parse("{\"at_us\": 0, \"servers\": []}");
	json_t *b = stats(1000, 5, 0, 5);
	json_t *r = top_compute(a, b);

	(void)state;
	assert_true(rate(r, "requests_per_s") == 5);
	json_decref(a);
	json_decref(b);
	json_decref(r);
}

static void test_top_page(void **state)
{
	json_t *a = stats(1000, 0, 0, 0);
	json_t *b = stats(2000, 2000, 100, 2000);
	json_t *r = top_compute(a, b);
	struct buf page = BUF_INIT;

	(void)state;
	top_render(r, false, 0, 0, &page);
	assert_non_null(strstr(buf_cstr(&page), "lb1 healthy, over 1.0 s\n"));
	assert_non_null(strstr(buf_cstr(&page), "  web/a    2.0k  5.00 %"));
	buf_free(&page);
	json_decref(a);
	json_decref(b);
	json_decref(r);
}

static void test_top_fits_the_screen(void **state)
{
	json_t *r = parse("{\"servers\": []}");
	struct buf page = BUF_INIT;
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		json_array_append_new(json_object_get(r, "servers"),
		                      json_pack("{s:s}", "name", "web/x"));
	top_render(r, false, 80, 24, &page);
	for (const char *p = buf_cstr(&page); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_true(lines <= 24);
	assert_non_null(strstr(buf_cstr(&page), "more\n"));
	buf_free(&page);
	json_decref(r);
}

/* --- events, explain ------------------------------------------------------------------------ */

static void test_event_line(void **state)
{
	json_t *j = parse("{\"time\": \"2023-11-14T22:13:22.000Z\", \"level\": \"warning\","
	                  " \"area\": \"check\", \"event\": \"server_down\","
	                  " \"object\": \"web/a\", \"text\": \"connect\\u001b refused\"}");
	struct buf b = BUF_INIT;

	(void)state;
	event_render(j, false, &b);
	json_decref(j);
	expect(&b, "2023-11-14T22:13:22.000Z warning check server_down web/a: connect? refused");
}

static void test_explain_page(void **state)
{
	json_t *j = parse("{\"listener\": {\"name\": \"http\", \"address\": \"*:80\", \"why\": "
	                  "\"port 80\"}, \"route\": {\"name\": \"all\", \"why\": \"any host\", "
	                  "\"candidates\": [\"shop: host differs\"]}, \"pool\": {\"name\": "
	                  "\"web\"}, \"servers\": [{\"id\": \"web/a\", \"state\": \"down\", "
	                  "\"why\": \"refused\"}], \"answer\": \"503\"}");
	struct buf b = BUF_INIT;

	(void)state;
	explain_render(j, false, &b);
	json_decref(j);
	expect(&b, "listener  http (*:80): port 80\n"
	           "route     all: any host\n"
	           "            shop: host differs\n"
	           "pool      web\n"
	           "            web/a down: refused\n"
	           "answer    503\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_aligns),
		cmocka_unit_test(test_table_colours),
		cmocka_unit_test(test_table_leaves_empty_columns_out),
		cmocka_unit_test(test_table_is_cut_to_the_width),
		cmocka_unit_test(test_table_masks_control_bytes),
		cmocka_unit_test(test_table_counts_characters),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_latencies),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_status_page),
		cmocka_unit_test(test_virtual_ips),
		cmocka_unit_test(test_top_shows_virtual_ips),
		cmocka_unit_test(test_server_states),
		cmocka_unit_test(test_refused_reload_and_orphan),
		cmocka_unit_test(test_pages_of_nothing),
		cmocka_unit_test(test_top_differences),
		cmocka_unit_test(test_top_after_a_restart),
		cmocka_unit_test(test_top_new_object),
		cmocka_unit_test(test_top_page),
		cmocka_unit_test(test_top_fits_the_screen),
		cmocka_unit_test(test_event_line),
		cmocka_unit_test(test_explain_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
