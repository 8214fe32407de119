/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast whoami`: its options, judged before the server starts. */
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/commands.h"
#include "http/http.h"
#include "lab/whoami.h"

static int usage(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "whoami: %s %s: %s\n", option, value, wanted);
	return CLI_USAGE;
}

/* A duration with its unit, as in the file: "10ms", "2s". */
static bool duration(const char *text, uint64_t *ret)
{
	static const struct {
		struct str unit;
		uint64_t ns;
	} units[] = { { { "us", 2 }, NS_PER_US },
		      { { "ms", 2 }, NS_PER_MS },
		      { { "s", 1 }, NS_PER_S },
		      { { "m", 1 }, 60 * NS_PER_S } };
	struct str s = str_from(text);
	size_t digits = strspn(text, "0123456789");
	uint64_t n;

	if (str_to_u64(str_n(s.s, digits), 1000000000, &n) != OK)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (str_eq(str_n(s.s + digits, s.len - digits), units[i].unit)) {
			*ret = n * units[i].ns;
			return *ret <= 86400 * NS_PER_S;
		}
	}
	return false;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	return str_to_u64(str_from(text), max, ret) == OK && *ret >= min;
}

/* "25" or "25:503" */
static bool errors(const char *text, struct lab_whoami_options *o)
{
	struct str status, percent = str_split(str_from(text), ':', &status);
	uint64_t n;

	if (str_to_u64(percent, 100, &n) != OK)
		return false;
	o->error_percent = (unsigned)n;
	if (!status.s)
		return true;
	if (str_to_u64(status, 599, &n) != OK || n < 200)
		return false;
	o->error_status = (unsigned)n;
	return true;
}

static int judge(const struct cli_command *c, struct cli_args *a, struct lab_whoami_options *o)
{
	const char *v;
	uint64_t n;

	o->bind = cli_option(c, a, "--bind");
	if (!o->bind) {
		fprintf(stderr, "whoami: say where: --bind 127.0.0.1:8081\n");
		return CLI_USAGE;
	}
	o->name = cli_option(c, a, "--name");
	if (o->name && (!http_is_value(str_from(o->name)) || strlen(o->name) > 64))
		return usage("--name", o->name, "at most 64 characters, none a control character");
	o->record = cli_option(c, a, "--record");
	if ((v = cli_option(c, a, "--latency")) && !duration(v, &o->latency_ns))
		return usage("--latency", v, "a duration such as 10ms");
	o->jitter = cli_option(c, a, "--jitter") != NULL;
	if ((v = cli_option(c, a, "--error")) && !errors(v, o))
		return usage("--error", v, "percent, or percent:status, such as 25:503");
	if ((v = cli_option(c, a, "--hang")) && !number(v, 0, 100, &n))
		return usage("--hang", v, "percent, 0 to 100");
	o->hang_percent = v ? (unsigned)n : 0;
	if ((v = cli_option(c, a, "--size")) && !number(v, 0, 1 << 20, &o->size))
		return usage("--size", v, "bytes, at most 1048576");
	o->close = cli_option(c, a, "--close") != NULL;
	if ((v = cli_option(c, a, "--idle")) &&
	    (!duration(v, &o->idle_ns) || o->idle_ns < NS_PER_MS))
		return usage("--idle", v, "a duration of at least 1ms, such as 60s");
	if ((v = cli_option(c, a, "--threads")) && !number(v, 1, 64, &n))
		return usage("--threads", v, "1 to 64");
	if (v)
		o->threads = (unsigned)n;
	return CLI_WELL;
}

static int run(const struct cli_command *c, struct cli_args *a)
{
	struct lab_whoami_options o = lab_whoami_defaults();
	int status = judge(c, a, &o);

	return status == CLI_WELL ? lab_whoami(&o) : status;
}

static const struct cli_option options[] = {
	{ "--bind", 0, "ADDRESS", "where to listen: 127.0.0.1:8081, \"*:80\", unix:/path" },
	{ "--name", 0, "NAME", "what it calls itself (the address)" },
	{ "--latency", 0, "DURATION", "wait before each answer" },
	{ "--jitter", 0, NULL, "let the latency vary between half and one and a half" },
	{ "--error", 0, "PERCENT[:STATUS]", "answer so many requests with an error (500)" },
	{ "--hang", 0, "PERCENT", "never answer so many requests" },
	{ "--size", 0, "BYTES", "make the page at least so long" },
	{ "--close", 0, NULL, "close the connection after each answer" },
	{ "--idle", 0, "DURATION", "close kept connections after that time (60s)" },
	{ "--threads", 0, "N", "threads (1)" },
	{ "--record", 0, "FILE", "append \"METHOD ID\" for each request with an X-Test-Id" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_command cmd_whoami = {
	.name = "whoami",
	.arguments = "",
	.help = "a test web server that says who answered",
	.more = "Answers every path with its name, the client's address and the request as it "
	        "came; as JSON with Accept: application/json. Latency, errors and hangs spare the "
	        "paths /health, /counts and /admin.\n"
	        "\n"
	        "Paths for tests: /health; /counts (what it has seen, by method and by X-Test-Id); "
	        "/echo (the body); /bytes/N, /chunked/N?chunk=N, /slow/N?rate=BYTES, /truncate/N; "
	        "/status/N; /sse?interval=100ms&count=N; /upgrade (to echo or websocket); "
	        "/trailers; /early?status=N&keep=1 (answers before the body); /early-hints; /hang; "
	        "/close?reset=1.\n"
	        "\n"
	        "POST or PUT changes it as it runs: /admin/health?status=503&delay=2s, "
	        "/admin/latency?value=10ms&jitter=1, /admin/error?percent=10&status=502, "
	        "/admin/hang?percent=10, /admin/size?bytes=N, /admin/close?value=1, /admin/reset. "
	        "Whoever reaches it may do so: it is a tool for tests, not a server for strangers.",
	.options = options,
	.run = run,
};
