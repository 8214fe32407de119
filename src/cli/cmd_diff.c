/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast diff`: what a reload of a file would change, and what each change touches. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/client.h"
#include "cli/cmd_conf.h"
#include "cli/commands.h"

#define FETCH_MS 30000

/* The image of the running node's configuration; NULL: told the user why, *ret_status set. */
static struct conf *fetch_running(const struct cli_args *args, int *ret_status)
{
	struct cli_answer answer;
	struct conf *conf = NULL;
	int fd = -1, err = ERR_SYSTEM;

	cli_fetch(args, "GET", "/api/v1/config?format=image", NULL, FETCH_MS, &answer);
	*ret_status = answer.status == 0 ? CLI_UNREACHABLE : CLI_FAILED;
	if (answer.status == 0) {
		fprintf(stderr, "holdfast diff: %s\n", answer.why);
	} else if (answer.status != 200) {
		fprintf(stderr, "holdfast diff: the node refused to show its configuration: %.*s\n",
		        (int)answer.body.len, answer.body.p ? answer.body.p : "");
	} else {
		fd = memfd_create("holdfast-running", MFD_CLOEXEC);
		if (fd >= 0 &&
		    write(fd, answer.body.p, answer.body.len) == (ssize_t)answer.body.len) {
			err = conf_image_map(fd, &conf);
		}
		if (err == ERR_UNEXPECTED) {
			fprintf(stderr, "holdfast diff: the node runs another version of holdfast "
			                "than this command\n");
		} else if (err != OK) {
			fprintf(stderr, "holdfast diff: cannot read the node's configuration: %s\n",
			        err == ERR_SYSTEM ? strerror(errno) : err_text(err));
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	buf_free(&answer.body);
	return conf;
}

static void print(const struct conf *from, const struct conf *to, bool json)
{
	struct buf out = BUF_INIT;
	unsigned n = conf_diff(from, to, json, &out);

	fputs(buf_cstr(&out), stdout);
	if (!json) {
		printf(n ? "%u change%s\n" : "no changes\n", n, n == 1 ? "" : "s");
	}
	buf_free(&out);
}

static int run_diff(const struct cli_command *c, struct cli_args *args)
{
	const char *old = cli_option(c, args, "--config");
	struct conf_loaded *from = NULL, *to = NULL;
	struct conf *running = NULL;
	int status = CLI_FAILED;

	if (cmd_load(args->argv[0], stderr, &to) != OK) {
		return CLI_FAILED;
	}
	if (old) {
		if (cmd_load(old, stderr, &from) == OK) {
			print(conf_of(from), conf_of(to), args->json);
			status = CLI_WELL;
		}
		conf_free(from);
	} else {
		running = fetch_running(args, &status);
		if (running) {
			print(running, conf_of(to), args->json);
			conf_image_unmap(running);
			status = CLI_WELL;
		}
	}
	conf_free(to);
	return status;
}

static const struct cli_option options[] = {
	{ "--config", 'c', "OLD", "compare with this file, not with the running node" },
	{ NULL },
};

const struct cli_command cmd_diff = {
	.name = "diff",
	.arguments = "FILE",
	.help = "what a reload with FILE would change, and what that touches",
	.more = "Compares FILE with the configuration that the running node has in force, or, with "
	        "-c, with another file.",
	.options = options,
	.min_args = 1,
	.max_args = 1,
	.run = run_diff,
};
