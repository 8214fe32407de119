/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast top`: the rates of everything, once or live. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/views.h"

#define INTERVAL_MS 1000
#define FETCH_MS    10000

static const struct cli_option top_options[] = {
	{ "--once", 0, NULL, "print one page over one second and end" },
	{ NULL, 0, NULL, NULL },
};

static volatile sig_atomic_t ended;

static void on_signal(int signo)
{
	(void)signo;
	ended = 1;
}

/* --- the terminal --------------------------------------------------------------------------- */

struct screen {
	bool live; /* standard output is a terminal */
	bool keys; /* standard input is one, and gives single keys */
	struct termios before;
};

static void screen_open(struct screen *s)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct termios raw;

	s->live = isatty(STDOUT_FILENO) != 0;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	if (!s->live)
		return;
	if (tcgetattr(STDIN_FILENO, &s->before) == 0) {
		raw = s->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		s->keys = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	fputs("\033[?1049h\033[?25l", stdout); /* another screen, no cursor */
}

static void screen_close(struct screen *s)
{
	if (s->live)
		fputs("\033[?25h\033[?1049l", stdout);
	if (s->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
	fflush(stdout);
}

/* Waits for the rest of the interval. Whether to go on. */
static bool screen_wait(const struct screen *s, uint64_t until)
{
	while (!ended) {
		uint64_t now = clock_mono();
		struct pollfd p = { .fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN };
		char key;

		if (now >= until)
			return true;
		if (poll(&p, 1, (int)((until - now) / NS_PER_MS) + 1) > 0 &&
		    (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q'))
			return false;
	}
	return false;
}

/* --- pages ---------------------------------------------------------------------------------- */

static void print_page(const struct screen *s, const json_t *rates, bool json)
{
	struct buf page = BUF_INIT;
	unsigned rows = 0;
	unsigned width = out_terminal(STDOUT_FILENO, &rows);

	if (json) {
		json_dumpf(rates, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		top_render(rates, cli_colour(STDOUT_FILENO), width, s->live ? rows : 0, &page);
		if (s->live)
			fputs("\033[H\033[J", stdout);
		fputs(buf_cstr(&page), stdout);
	}
	fflush(stdout);
	buf_free(&page);
}

/* The counters now; NULL when the node was not reached, with why on the page. */
static json_t *fetch(const struct cli_args *a, const struct screen *s)
{
	struct cli_answer ans;
	json_t *json = NULL;

	cli_fetch(a, "GET", "/api/v1/stats", NULL, FETCH_MS, &ans);
	if (ans.status == 200)
		json = json_loadb(ans.body.p, ans.body.len, 0, NULL);
	else
		fprintf(s->live ? stdout : stderr, "%s%s\n", s->live ? "\033[H\033[J" : "",
		        ans.status == 0 ? ans.why : "the node does not answer as expected");
	fflush(stdout);
	buf_free(&ans.body);
	return json;
}

static int top_once(const struct cli_args *a)
{
	struct screen plain = { 0 };
	json_t *before = NULL;
	json_t *after = NULL;
	int status = cli_call(a, "GET", "/api/v1/stats", NULL, &before);

	if (status == CLI_WELL) {
		usleep(INTERVAL_MS * 1000);
		status = cli_call(a, "GET", "/api/v1/stats", NULL, &after);
	}
	if (status == CLI_WELL) {
		json_t *rates = top_compute(before, after);

		print_page(&plain, rates, a->json);
		json_decref(rates);
	}
	json_decref(before);
	json_decref(after);
	return status;
}

static int top_run(const struct cli_command *c, struct cli_args *a)
{
	struct screen s = { 0 };
	json_t *before = NULL;
	int status;

	if (cli_option(c, a, "--once") != NULL)
		return top_once(a);
	status = cli_call(a, "GET", "/api/v1/stats", NULL, &before);
	if (status != CLI_WELL)
		return status;
	screen_open(&s);
	while (screen_wait(&s, clock_mono() + INTERVAL_MS * NS_PER_MS)) {
		json_t *after = fetch(a, &s);
		json_t *rates = before != NULL && after != NULL ? top_compute(before, after) : NULL;

		if (rates != NULL)
			print_page(&s, rates, a->json);
		json_decref(rates);
		json_decref(before);
		before = after;
	}
	json_decref(before);
	screen_close(&s);
	return CLI_WELL;
}

const struct cli_command cmd_top = {
	.name = "top",
	.arguments = "",
	.help = "watch requests per second, errors and latency live",
	.more = "Who holds which virtual IP; then one line for each listener, route, pool and "
	        "server, over the last second: "
	        "requests per second, share of errors (status 500 and above), median, 95th and "
	        "99th percentile of the latency, requests and connections open, bytes per second. "
	        "q ends it.",
	.options = top_options,
	.run = top_run,
};
