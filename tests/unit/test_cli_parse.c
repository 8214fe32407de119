/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: options by their rows, mistakes with their sentence, what is generated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/commands.h"

static struct cli_args ran; /* what the last run command was given */
static unsigned runs;

static int remember(const struct cli_command *c, struct cli_args *a)
{
	(void)c;
	ran = *a;
	runs++;
	return CLI_FAILED;
}

static const struct cli_option move_options[] = {
	{ "--conf", 'c', "FILE", "the file" },
	{ "--node", 'n', "NAME", "the node" },
	{ "--wait", 0, NULL, "wait for it" },
	{ "--state", 0, "DIR", "own meaning of a common option" },
	{ NULL, 0, NULL, NULL },
};

static const struct cli_command cmd_move = {
	.name = "move",
	.arguments = "FROM [TO]",
	.help = "move things",
	.more = "A paragraph that is filled.\n\n  holdfast move a b\n\nAnother.",
	.options = move_options,
	.min_args = 1,
	.max_args = 2,
	.run = remember,
};

static const struct cli_command cmd_hidden = {
	.name = "hidden",
	.arguments = "",
	.run = remember,
};

const struct cli_command *const cli_commands[] = {
	&cmd_move,  &cmd_version, &cmd_completion, &cmd_hidden,
	&cmd_drain, &cmd_ready,   &cmd_switchover, NULL,
};

#define PARSE(a, why, ...) \
	({ \
		const char *argv_[] = { __VA_ARGS__, NULL }; \
		cli_parse(&cmd_move, (int)ARRAY_LEN(argv_) - 1, (char **)argv_, (a), (why)); \
	})

#define MAIN(...) \
	({ \
		const char *argv_[] = { "holdfast", __VA_ARGS__ __VA_OPT__(, ) NULL }; \
		cli_main((int)ARRAY_LEN(argv_) - 1, (char **)argv_); \
	})

static void refused(struct buf *why, const char *want)
{
	if (strstr(buf_cstr(why), want) == NULL)
		fail_msg("\"%s\" does not contain \"%s\"", buf_cstr(why), want);
	buf_free(why);
}

static void test_positional(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "y"), OK);
	assert_int_equal(a.argc, 2);
	assert_string_equal(a.argv[0], "x");
	assert_string_equal(a.argv[1], "y");
	assert_null(cli_option(&cmd_move, &a, "--node"));
}

static void test_option_forms(void **state)
{
	static const char *const forms[][3] = { { "--node", "lb1", "x" },
		                                { "-n", "lb1", "x" },
		                                { "x", "-nlb1", "" },
		                                { "--node=lb1", "x", "" },
		                                { "x", "--node", "lb1" } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
		struct cli_args a = { 0 };
		struct buf why = BUF_INIT;
		char *argv[4] = { (char *)forms[i][0], (char *)forms[i][1], (char *)forms[i][2] };
		int argc = *forms[i][2] != '\0' ? 3 : 2;

		assert_int_equal(cli_parse(&cmd_move, argc, argv, &a, &why), OK);
		assert_string_equal(cli_option(&cmd_move, &a, "--node"), "lb1");
		assert_string_equal(a.argv[0], "x");
	}
}

static void test_flag(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "--wait"), OK);
	assert_string_equal(cli_option(&cmd_move, &a, "--wait"), "");
}

static void test_flag_with_value(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "--wait=1"), ERR_INVALID);
	refused(&why, "--wait takes no value");
}

static void test_value_missing(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "--node"), ERR_INVALID);
	refused(&why, "--node needs a value: --node NAME");
}

static void test_empty_value(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "--node="), OK);
	assert_string_equal(cli_option(&cmd_move, &a, "--node"), "");
}

static void test_common_options(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "--json", "x", "--socket", "/run/s"), OK);
	assert_true(a.json);
	assert_string_equal(a.socket, "/run/s");
}

static void test_own_option_above_common(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "--state", "/tmp/n"), OK);
	assert_string_equal(cli_option(&cmd_move, &a, "--state"), "/tmp/n");
	assert_string_equal(a.state_dir, "/tmp/n");
}

static void test_unknown_option(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "--nodde", "y"), ERR_INVALID);
	refused(&why, "unknown option --nodde; did you mean --node?");
	assert_int_equal(PARSE(&a, &why, "x", "--jsno"), ERR_INVALID);
	refused(&why, "did you mean --json?");
	assert_int_equal(PARSE(&a, &why, "x", "-q"), ERR_INVALID);
	refused(&why, "unknown option -q");
}

static void test_unlike_option_has_no_guess(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "x", "--entirely-else"), ERR_INVALID);
	assert_null(strstr(buf_cstr(&why), "did you mean"));
	buf_free(&why);
}

static void test_double_dash(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "--", "--node", "-x"), OK);
	assert_int_equal(a.argc, 2);
	assert_string_equal(a.argv[0], "--node");
}

static void test_single_dash_is_an_argument(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "-"), OK);
	assert_string_equal(a.argv[0], "-");
}

static void test_too_few_and_many(void **state)
{
	struct cli_args a = { 0 };
	struct cli_args b = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "--wait"), ERR_INVALID);
	refused(&why, "too few arguments: move wants FROM [TO]");
	assert_int_equal(PARSE(&b, &why, "1", "2", "3"), ERR_INVALID);
	refused(&why, "too many arguments");
}

static void test_argument_flood(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;
	char *argv[300];

	(void)state;
	for (unsigned i = 0; i < 300; i++)
		argv[i] = (char *)(uintptr_t) "x";
	assert_int_equal(cli_parse(&cmd_move, 300, argv, &a, &why), ERR_INVALID);
	refused(&why, "more than 256 arguments");
}

/* What belongs to a program is not ours to judge. */
static void test_raw_arguments(void **state)
{
	static const struct cli_option options[] = { { "--follow", 'f', NULL, "" }, { NULL } };
	static const struct cli_command raw = {
		.name = "raw", .arguments = "", .options = options, .max_args = 9, .raw_after = 2
	};
	static const char *const argv[] = { "a", "-f", "ls", "-l", "--json", "--" };
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(cli_parse(&raw, 6, (char **)(uintptr_t)argv, &a, &why), OK);
	assert_int_equal(a.argc, 5);
	assert_non_null(a.values[0]);
	assert_string_equal(a.argv[2], "-l");
	assert_string_equal(a.argv[4], "--");
	assert_null(a.argv[5]);
	assert_false(a.json);
}

static void test_help_asked(void **state)
{
	struct cli_args a = { 0 };
	struct buf why = BUF_INIT;

	(void)state;
	assert_int_equal(PARSE(&a, &why, "--help"), ERR_NOT_FOUND);
	assert_int_equal(PARSE(&a, &why, "-h"), ERR_NOT_FOUND);
}

static void test_exit_statuses(void **state)
{
	(void)state;
	assert_int_equal(MAIN(), CLI_USAGE);
	assert_int_equal(MAIN("mvoe"), CLI_USAGE);
	assert_int_equal(MAIN("--nothing"), CLI_USAGE);
	assert_int_equal(MAIN("move"), CLI_USAGE);
	assert_int_equal(MAIN("--version"), CLI_WELL);
	assert_int_equal(MAIN("--help"), CLI_WELL);
	assert_int_equal(MAIN("help", "move"), CLI_WELL);
	assert_int_equal(MAIN("help", "nothing"), CLI_USAGE);
	assert_int_equal(MAIN("version", "extra"), CLI_USAGE);
	assert_int_equal(MAIN("completion", "tcsh"), CLI_USAGE);
	runs = 0;
	assert_int_equal(MAIN("hidden"), CLI_FAILED);
	assert_int_equal(runs, 1);
}

/* Wrong usage is known before any node is asked. */
static void test_orders(void **state)
{
	const char *const nobody[] = { "--socket", "/nonexistent/control.sock" };

	(void)state;
	assert_int_equal(MAIN("drain"), CLI_USAGE);
	assert_int_equal(MAIN("drain", "web", "30s"), CLI_USAGE); /* without --wait */
	assert_int_equal(MAIN("drain", "--node", "web"), CLI_USAGE);
	assert_int_equal(MAIN("drain", "--node", "--wait", "web"), CLI_USAGE);
	assert_int_equal(MAIN("ready", "--node", "web", "30s"), CLI_USAGE);
	assert_int_equal(MAIN("drain", "--node", "--kill-after", "1s"), CLI_USAGE);
	assert_int_equal(MAIN("drain", "web/a", "--kill-after", "now"), CLI_USAGE);
	assert_int_equal(MAIN("drain", "web/a", "--kill-after", "8d"), CLI_USAGE);
	assert_int_equal(MAIN("drain", "web/a", "--kill-after", "1s", "5s"), CLI_USAGE);
	assert_int_equal(MAIN("ready", "web/a", "--kill-after", "1s"), CLI_USAGE);
	assert_int_equal(MAIN(nobody[0], nobody[1], "drain", "web/a", "--kill-after", "7d"),
	                 CLI_UNREACHABLE);
	assert_int_equal(MAIN("switchover"), CLI_USAGE);
	assert_int_equal(MAIN("switchover", "web", "lb2"), CLI_USAGE);
	assert_int_equal(MAIN("switchover", "web", "--to"), CLI_USAGE);
	assert_int_equal(MAIN(nobody[0], nobody[1], "drain", "--node"), CLI_UNREACHABLE);
	assert_int_equal(MAIN(nobody[0], nobody[1], "ready", "--node", "--wait", "30s"),
	                 CLI_UNREACHABLE);
	assert_int_equal(MAIN(nobody[0], nobody[1], "switchover", "web", "--to", "lb2"),
	                 CLI_UNREACHABLE);
}

static void test_common_options_before_command(void **state)
{
	(void)state;
	runs = 0;
	assert_int_equal(MAIN("--json", "--state=/s", "move", "a"), CLI_FAILED);
	assert_int_equal(runs, 1);
	assert_true(ran.json);
	assert_string_equal(ran.state_dir, "/s");
	assert_string_equal(ran.argv[0], "a");
}

static void test_closest_command(void **state)
{
	(void)state;
	assert_string_equal(cli_closest_command("mov"), "move");
	assert_string_equal(cli_closest_command("verison"), "version");
	assert_null(cli_closest_command("hiden"));
	assert_null(cli_closest_command("quite-something-else"));
}

static void test_generated_texts(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	cli_usage(&b);
	assert_non_null(strstr(buf_cstr(&b), "move FROM [TO]"));
	assert_null(strstr(buf_cstr(&b), "hidden"));
	buf_free(&b);
	cli_help(&cmd_move, &b);
	assert_non_null(strstr(buf_cstr(&b), "-c, --conf FILE"));
	assert_non_null(strstr(buf_cstr(&b), "\n  holdfast move a b\n"));
	assert_non_null(strstr(buf_cstr(&b), "--json"));
	buf_free(&b);
	cli_manual(&b);
	assert_non_null(strstr(buf_cstr(&b), ".SS \"move FROM [TO]\"\n"));
	assert_non_null(strstr(buf_cstr(&b), "\\fB\\-c\\fR, \\fB\\-\\-conf\\fR \\fIFILE\\fR"));
	assert_null(strstr(buf_cstr(&b), "hidden"));
	buf_free(&b);
	cli_completion(&b);
	assert_non_null(strstr(buf_cstr(&b), "move) words=' --conf --node --wait"));
	assert_null(strstr(buf_cstr(&b), "hidden"));
	buf_free(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_positional),
		cmocka_unit_test(test_option_forms),
		cmocka_unit_test(test_flag),
		cmocka_unit_test(test_flag_with_value),
		cmocka_unit_test(test_value_missing),
		cmocka_unit_test(test_empty_value),
		cmocka_unit_test(test_common_options),
		cmocka_unit_test(test_own_option_above_common),
		cmocka_unit_test(test_unknown_option),
		cmocka_unit_test(test_unlike_option_has_no_guess),
		cmocka_unit_test(test_double_dash),
		cmocka_unit_test(test_single_dash_is_an_argument),
		cmocka_unit_test(test_too_few_and_many),
		cmocka_unit_test(test_argument_flood),
		cmocka_unit_test(test_raw_arguments),
		cmocka_unit_test(test_help_asked),
		cmocka_unit_test(test_exit_statuses),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_common_options_before_command),
		cmocka_unit_test(test_closest_command),
		cmocka_unit_test(test_generated_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
