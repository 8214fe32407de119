/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast lab`: the cluster of a file on this machine. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/cmd_conf.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/views.h"
#include "lab/lab.h"

#define FOLLOW_US 100000

struct lab_command {
	const struct cli_command *c;
	struct cli_args *a;
	char dir[LAB_DIR]; /* of the lab it is about */
};

static int fail(const char *why)
{
	fprintf(stderr, "holdfast lab: %s\n", why);
	return CLI_FAILED;
}

static const char *option(const struct lab_command *l, const char *name)
{
	return cli_option(l->c, l->a, name);
}

/* The lab that --name or --state say, else the only one. */
static int find(struct lab_command *l)
{
	char why[512] = "";

	if (lab_find(option(l, "--name"), l->a->state_dir, l->dir, sizeof(l->dir), why,
	             sizeof(why)) == OK)
		return CLI_WELL;
	fail(why);
	return CLI_UNREACHABLE;
}

static int ask_status(const char *dir, json_t **ret)
{
	json_t *q = json_pack("{s:s}", "do", "status");
	char why[512] = "";
	int err = lab_ask(dir, q, NULL, ret, why, sizeof(why));

	json_decref(q);
	if (err == OK)
		return CLI_WELL;
	fail(why);
	return CLI_UNREACHABLE;
}

/* --- what a lab looks like ------------------------------------------------------------------ */

static void join(const json_t *array, struct buf *out)
{
	const json_t *s;
	size_t i;

	out->len = 0;
	json_array_foreach (array, i, s)
		buf_printf(out, "%s%s", i ? ", " : "", json_string_value(s));
}

static void print_hosts(const json_t *status)
{
	static const char *const heads[] = { "host",      "what", "state", "addresses",
		                             "interface", "api",  "log",   NULL };
	struct buf text = BUF_INIT, page = BUF_INIT;
	struct out_table t;
	const json_t *h;
	size_t i;

	out_table_init(&t, heads);
	json_array_foreach (json_object_get(status, "hosts"), i, h) {
		const char *state = view_text(h, "state");
		bool well = strcmp(state, "running") == 0;

		out_cell(&t, OUT_BOLD, "%s", view_text(h, "name"));
		out_cell(&t, OUT_PLAIN, "%s", view_text(h, "kind"));
		out_cell(&t, well ? OUT_GREEN : OUT_RED, "%s%s%s%s", state,
		         *view_text(h, "exit") ? " (" : "", view_text(h, "exit"),
		         *view_text(h, "exit") ? ")" : "");
		join(json_object_get(h, "addresses"), &text);
		out_cell(&t, OUT_PLAIN, "%s", buf_cstr(&text));
		join(json_object_get(h, "interfaces"), &text);
		out_cell(&t, OUT_PLAIN, "%s", buf_cstr(&text));
		out_cell(&t, OUT_PLAIN, "%s", view_text(h, "api"));
		out_cell(&t, OUT_DIM, "%s", view_text(h, "log"));
	}
	out_table_write(&t, cli_colour(STDOUT_FILENO), 0, &page);
	fputs(buf_cstr(&page), stdout);
	buf_free(&page);
	buf_free(&text);
}

static const char *first_node(const json_t *status)
{
	return view_text(json_array_get(json_object_get(status, "hosts"), 0), "name");
}

static void show_ready(const char *dir, void *arg)
{
	const struct lab_command *l = arg;
	json_t *status = NULL;
	const char *name, *node;

	if (ask_status(dir, &status) != CLI_WELL)
		return;
	if (l->a->json) {
		cli_print_json(status);
	} else {
		name = view_text(status, "name");
		node = first_node(status);
		print_hosts(status);
		printf("\nLab \"%s\" runs. Go on with:\n"
		       "  holdfast lab exec --name %s client curl -s http://ADDRESS/\n"
		       "  holdfast status --state %s/nodes/%s/state\n"
		       "  holdfast lab logs --name %s %s -f\n"
		       "  holdfast lab down --name %s\n",
		       name, name, dir, node, name, node, name);
	}
	fflush(stdout);
	json_decref(status);
}

/* --- subcommands ---------------------------------------------------------------------------- */

static int run_up(struct lab_command *l)
{
	const struct lab_options o = {
		.conf_path = option(l, "--config"),
		.name = option(l, "--name"),
		.dir = l->a->state_dir,
		.bare = option(l, "--bare") != NULL,
		.foreground = option(l, "--foreground") != NULL,
		.ready = show_ready,
		.arg = l,
	};

	if (!o.conf_path) {
		fail("name the configuration: holdfast lab up -c FILE");
		return CLI_USAGE;
	}
	return lab_up(&o) == 0 ? CLI_WELL : CLI_FAILED;
}

static int run_down(struct lab_command *l)
{
	char why[512] = "";
	int err = lab_find(option(l, "--name"), l->a->state_dir, l->dir, sizeof(l->dir), why,
	                   sizeof(why));

	/* One that was killed has left its folder: that is found by its name only. */
	if (err != OK && l->dir[0] == '\0') {
		fail(why);
		return CLI_UNREACHABLE;
	}
	err = lab_down(l->dir, why, sizeof(why));
	if (err == OK) {
		if (l->a->json)
			puts("{\"ok\": true}");
		else
			printf("The lab in %s has ended; nothing of it is left.\n", l->dir);
		return CLI_WELL;
	}
	fail(why);
	return err == ERR_NOT_FOUND || err == ERR_CLOSED ? CLI_UNREACHABLE : CLI_FAILED;
}

static int run_status(struct lab_command *l)
{
	json_t *status = NULL;
	int exit = find(l);

	if (exit == CLI_WELL)
		exit = ask_status(l->dir, &status);
	if (exit == CLI_WELL && l->a->json) {
		cli_print_json(status);
	} else if (exit == CLI_WELL) {
		printf("Lab \"%s\" of %s, in %s\n\n", view_text(status, "name"),
		       view_text(status, "file"), view_text(status, "dir"));
		print_hosts(status);
	}
	json_decref(status);
	return exit;
}

static int run_exec(struct lab_command *l)
{
	static const int fds[3] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	char why[512] = "";
	int status = find(l);

	if (status != CLI_WELL)
		return status;
	fflush(stdout);
	status = lab_exec(l->dir, l->a->argv[1], l->a->argv + 2, fds, why, sizeof(why));
	return status >= 0 ? status : fail(why);
}

static bool lives(const char *dir)
{
	char found[LAB_DIR], why[512];

	return lab_find(NULL, dir, found, sizeof(found), why, sizeof(why)) == OK;
}

/* To its end, or with `forever` until the lab ends or nobody reads. */
static int copy_log(const char *dir, int fd, bool forever)
{
	char bytes[16384];

	for (;;) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n > 0 &&
		    (fwrite(bytes, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0))
			return CLI_FAILED;
		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (!forever || !lives(dir))
			return CLI_WELL;
		usleep(FOLLOW_US);
	}
}

static const json_t *host_of(const json_t *status, const char *name)
{
	const json_t *h;
	size_t i;

	json_array_foreach (json_object_get(status, "hosts"), i, h) {
		if (strcmp(view_text(h, "name"), name) == 0)
			return h;
	}
	return NULL;
}

static int run_logs(struct lab_command *l)
{
	json_t *status = NULL;
	const json_t *h;
	const char *path;
	int exit = find(l), fd;

	if (exit == CLI_WELL)
		exit = ask_status(l->dir, &status);
	if (exit != CLI_WELL)
		return exit;
	h = host_of(status, l->a->argv[1]);
	path = view_text(h, "log");
	fd = *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		exit = copy_log(l->dir, fd, option(l, "--follow") != NULL);
		close(fd);
	} else {
		exit = CLI_FAILED;
		if (!h)
			fail("there is no such host; \"holdfast lab status\" lists them");
		else if (*path == '\0')
			fail("that host keeps no log");
		else
			fprintf(stderr, "holdfast lab: %s: %s\n", path, strerror(errno));
	}
	json_decref(status);
	return exit;
}

static void list_one(void *arg, const char *name, const char *dir)
{
	json_array_append_new(arg, json_pack("{s:s, s:s}", "name", name, "dir", dir));
}

static int run_list(struct lab_command *l)
{
	json_t *labs = json_array();
	const json_t *lab;
	size_t i;

	lab_each(list_one, labs);
	if (l->a->json) {
		cli_print_json(labs);
	} else if (json_array_size(labs) == 0) {
		puts("No lab runs.");
	}
	json_array_foreach (labs, i, lab) {
		if (!l->a->json)
			printf("%-20s %s\n", view_text(lab, "name"), view_text(lab, "dir"));
	}
	json_decref(labs);
	return CLI_WELL;
}

static const struct {
	const char *name;
	unsigned min, max; /* arguments, the name counted */
	const char *wants;
	int (*fn)(struct lab_command *l);
} subcommands[] = {
	{ "up", 1, 1, "up -c FILE", run_up },
	{ "down", 1, 1, "down", run_down },
	{ "status", 1, 1, "status", run_status },
	{ "exec", 3, CLI_MAX_ARGS, "exec HOST COMMAND ...", run_exec },
	{ "logs", 2, 2, "logs HOST", run_logs },
	{ "list", 1, 1, "list", run_list },
};

static int run(const struct cli_command *c, struct cli_args *a)
{
	struct lab_command l = { .c = c, .a = a };

	for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
		if (strcmp(subcommands[i].name, a->argv[0]) != 0)
			continue;
		if (a->argc >= subcommands[i].min && a->argc <= subcommands[i].max)
			return subcommands[i].fn(&l);
		fprintf(stderr, "usage: holdfast lab %s\n", subcommands[i].wants);
		return CLI_USAGE;
	}
	fprintf(stderr,
	        "holdfast lab: there is no \"%s\"; there are up, down, status, exec, logs, list\n",
	        a->argv[0]);
	return CLI_USAGE;
}

static const struct cli_option options[] = {
	{ "--config", 'c', "FILE", "the configuration, for up" },
	{ "--name", 0, "NAME", "the lab's name (the file's cluster; else the only lab there is)" },
	{ "--state", 0, "DIR",
	  "the lab's folder (/run/holdfast-lab/NAME, or under XDG_RUNTIME_DIR)" },
	{ "--foreground", 0, NULL, "up: stay, and end the lab with this command" },
	{ "--bare", 0, NULL, "up: hosts, links and test servers only, no daemons" },
	{ "--follow", 'f', NULL, "logs: go on as the log grows" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_command cmd_lab = {
	.name = "lab",
	.arguments = "up|down|status|exec|logs|list",
	.help = "run the cluster of a file on this machine",
	.more =
	    "Builds the cluster that a file describes out of network namespaces: each node with "
	    "its name, addresses and interfaces, a bridge between them, a host \"client\", and a "
	    "test server (whoami) at each address of a pool's server. Each node runs the daemon "
	    "with the file as it is. Nothing of this machine's network is touched. An ordinary "
	    "user may do it where the kernel permits user namespaces.\n\n"
	    "  lab up -c FILE           build and start it; it runs on in the background\n"
	    "  lab status               its hosts, what they do and where their logs are\n"
	    "  lab exec HOST COMMAND ... run a program in a host; passes its exit status on\n"
	    "  lab logs HOST [-f]       the log of a node or a test server\n"
	    "  lab list                 the labs that run\n"
	    "  lab down                 end it; nothing is left\n\n"
	    "What ends the lab's first process, SIGKILL too, ends all of it. The nodes' APIs are "
	    "reachable at the printed addresses on loopback; other commands reach a node with "
	    "--state DIR/nodes/NODE/state. \"holdfast drill\" breaks a lab and measures.",
	.options = options,
	.min_args = 1,
	.max_args = CLI_MAX_ARGS,
	.raw_after = 3,
	.words = "up down status exec logs list",
	.run = run,
};
