/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a node: folders, lock, roles of an earlier parent or the configuration, board, sockets;
 * then the parent's loop; then the end. */
#include "core/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/logsink.h"
#include "core/parent.h"
#include "net/sock.h"

#define STATE_MAX 80 /* characters of the state folder: a unix socket's path has at most 107 */

static int fail(const char *text)
{
	log_error("start", NULL, "%s", text);
	return ERR_REFUSED;
}

/* --- one node a state folder ---------------------------------------------------------------- */

static int take_lock(struct parent *p)
{
	char path[PATHS_DIR + 16];
	char why[PATHS_DIR + 200];
	char pid[32] = "";
	ssize_t n;

	paths_join(p->paths.run, "lock", path, sizeof(path));
	p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (p->lock < 0) {
		snprintf(why, sizeof(why), "cannot open %s: %s", path, strerror(errno));
		return fail(why);
	}
	if (flock(p->lock, LOCK_EX | LOCK_NB) != 0) {
		n = pread(p->lock, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		snprintf(why, sizeof(why),
		         "a node runs already with the state folder %s (pid %s): give this one "
		         "another with --state",
		         p->paths.run, pid[0] ? pid : "unknown");
		return fail(why);
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(p->lock, 0) != 0 || pwrite(p->lock, pid, (size_t)n, 0) != n)
		log_warning("start", NULL, "cannot note the pid in %s: %s", path, strerror(errno));
	return OK;
}

/* --- the first configuration ---------------------------------------------------------------- */

static int load_first(struct parent *p)
{
	struct helper l;
	struct loader_answer a;
	struct generation *g;
	char why[1024];
	int err;

	if (loader_start(&l, p->options->conf_path, isatty(STDERR_FILENO) && !getenv("NO_COLOR")) !=
	    OK)
		return fail("cannot start the process that reads the configuration");
	loader_finish(&l, LOADER_TIME, &a);
	if (a.problems.len > 0)
		fprintf(stderr, "%s%s", buf_cstr(&a.problems),
		        a.problems.p[a.problems.len - 1] == '\n' ? "" : "\n");
	buf_free(&a.problems);
	if (a.err != OK) {
		snprintf(why, sizeof(why), "%s was not accepted: see above", p->options->conf_path);
		return fail(why);
	}
	err = generation_new(p, a.image, &g, why, sizeof(why));
	if (err != OK)
		return fail(why);
	generation_commit(p, g);
	return certs_first(p, g, why, sizeof(why)) == OK ? OK : fail(why);
}

static int make_board(struct parent *p)
{
	int err;

	if (!p->board) {
		err = board_create(&p->board, &p->board_fd);
		if (err != OK) {
			log_error("start", NULL, "cannot make the board: %s",
			          err == ERR_SYSTEM ? strerror(errno) : err_text(err));
			return err;
		}
	}
	log_set_journal(board_journal, p->board);
	return OK;
}

static void describe_node(struct parent *p)
{
	struct board_node *n = board_node(p->board);

	identity_publish(p);
	snprintf(n->version, sizeof(n->version), "%s", HOLDFAST_VERSION);
	snprintf(n->conf_path, sizeof(n->conf_path), "%s", p->options->conf_path);
	n->draining = 0;
	n->drained = orders_node(p->orders);
	orders_publish(p->orders, p->cur->conf);
	if (!p->adopted || n->started_wall_ms == 0)
		n->started_wall_ms = clock_wall_ms();
	n->generation = p->cur->conf->generation;
	for (unsigned i = 0; i < p->nservices; i++)
		supervise_board(&p->services[i], NULL);
}

/* --- what roles need besides ---------------------------------------------------------------- */

static int open_control(struct parent *p)
{
	char path[PATHS_DIR + 16];
	char why[PATHS_DIR + 128];
	char text[PATHS_DIR + 32];
	const char *problem = NULL;
	struct net_addr a;

	if (p->control_socket < 0) {
		snprintf(text, sizeof(text), "unix:%s",
		         paths_join(p->paths.run, "control.sock", path, sizeof(path)));
		if (net_addr_parse(str_from(text), &a, &problem) == OK) {
			p->control_socket = net_listen(&a, 128, 0660);
			problem = strerror(errno);
		}
	}
	if (p->control_socket < 0) {
		snprintf(why, sizeof(why), "cannot make the control socket %s: %s", path, problem);
		return fail(why);
	}
	if (p->notify_fd < 0)
		p->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->states_fd < 0)
		p->states_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return p->notify_fd < 0 || p->states_fd < 0 ? fail("cannot make an eventfd") : OK;
}

static int open_orders(struct parent *p)
{
	char path[PATHS_DIR + 16];
	char why[512];
	int err = orders_open(paths_join(p->paths.keep, "orders.json", path, sizeof(path)),
	                      p->board, &p->orders, why, sizeof(why));

	if (err == ERR_NOMEM)
		return fail("out of memory");
	if (err != OK)
		log_error("orders", NULL, "the kept orders cannot be read and are set aside: %s",
		          why);
	return OK;
}

/* --- all of it ------------------------------------------------------------------------------ */

static struct parent *parent_new(const struct node_options *o)
{
	struct parent *p = calloc(1, sizeof(*p));

	CHECK(p);
	p->options = o;
	p->loop = loop_new();
	CHECK(p->loop);
	p->ping[0] = p->ping[1] = -1;
	p->board_fd = p->control_socket = p->notify_fd = p->states_fd = p->lock = -1;
	p->certs.adopted = p->certs.adopted_files = -1;
	TAILQ_INIT(&p->children);
	listen_init(&p->sockets);
	exec_init(p);
	hook_init(p);
	for (unsigned i = 0; i < BOARD_ROLES && role_table[i]; i++) {
		p->services[i] = (struct service){ .parent = p, .ops = role_table[i], .index = i };
		p->nservices++;
	}
	upgrade_init(p);
	return p;
}

static int prepare(struct parent *p)
{
	uint32_t id = 0;
	char why[PATHS_DIR + 128];
	bool resumed = upgrade_resumed(&id, &p->lock);

	if (paths_find(p->options->state_dir, &p->paths) != OK)
		return fail("the path of the state folder is too long");
	if (strlen(p->paths.run) > STATE_MAX)
		return fail("the path of the state folder is too long for the sockets in it");
	if (paths_make(&p->paths, why, sizeof(why)) != OK)
		return fail(why);
	if (!resumed && take_lock(p) != OK)
		return ERR_REFUSED;
	privilege_raise_nofile();
	adopt_roles(p);
	if (make_board(p) != OK || open_orders(p) != OK)
		return ERR_REFUSED;
	if (p->cur) { /* adopted */
		logsink_apply(p->cur->conf);
		generation_privilege(p);
		certs_adopted(p);
		if (certs_first(p, p->cur, why, sizeof(why)) != OK)
			log_error("certificates", NULL, "%s", why);
	} else if (load_first(p) != OK) {
		return ERR_REFUSED;
	}
	if (open_control(p) != OK)
		return ERR_REFUSED;
	if (resumed && p->adopted) {
		const struct service *control = service_find(p, "control");

		p->replace = true;
		p->replace_asker.id = id;
		p->replace_asker.child = control && control->current ? control->current->serial : 0;
	}
	p->holding = !p->adopted && service_find(p, "check") != NULL;
	describe_node(p);
	return OK;
}

static void clean_up(struct parent *p)
{
	char path[PATHS_DIR + 16];

	unlink(paths_join(p->paths.run, "control.sock", path, sizeof(path)));
	log_notice("node_stop", NULL, "ended");
	log_set_journal(NULL, NULL);
	close(p->control_socket);
	close(p->notify_fd);
	close(p->states_fd);
	for (unsigned i = 0; i < ARRAY_LEN(p->ping); i++) {
		if (p->ping[i] >= 0)
			close(p->ping[i]);
	}
	if (p->former)
		conf_image_unmap(p->former);
	generation_free(p->cur);
	orders_free(p->orders);
	board_unmap(p->board);
	close(p->board_fd);
	close(p->signal_io.fd);
	loop_free(p->loop);
	close(p->lock);
	free(p);
}

int node_run(const struct node_options *o)
{
	static struct parent *p; /* one a process: what it holds ends with that */

	p = parent_new(o);
	logsink_default();
	log_set_area("parent");
	if (prepare(p) != OK)
		return 1;
	log_notice("node_start", NULL, "version %s, configuration %s, state in %s",
	           HOLDFAST_VERSION, o->conf_path, p->paths.run);
	if (parent_run(p) != OK) {
		log_error("start", NULL, "the event loop failed: %s", strerror(errno));
		return 1;
	}
	clean_up(p);
	return 0;
}
