/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload as a transaction: load aside, open what is new, prepare in every role; then commit in
 * every role (check, proxy, control: the order of role_table), or abort everywhere and keep the
 * old. Whoever asked is answered when it is in force or with every reason for the refusal. Main
 * thread of the parent.
 *
 * A role that ends while others prepare disturbs the transaction: it is undone, so that the role is
 * at once started with the committed configuration, and tried again.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/notify.h"
#include "core/parent.h"

#define RELOAD_PREPARE  (15 * NS_PER_S)
#define RELOAD_COMMIT   (5 * NS_PER_S)
#define RELOAD_AGAIN    (200 * NS_PER_MS)
#define RELOAD_ATTEMPTS 10

static void begin(struct parent *p);
static void commit_next(struct parent *p);

/* --- askers --------------------------------------------------------------------------------- */

static bool askers_add(struct askers *a, uint32_t child, uint32_t id, bool forced)
{
	a->any = true;
	a->forced |= forced;
	if (child == 0)
		return true;
	if (a->n == RELOAD_ASKERS)
		return false;
	a->v[a->n++] = (struct asker){ child, id };
	return true;
}

static void answer(struct parent *p, int err, const char *text)
{
	struct askers *a = &p->reload.now;

	for (unsigned i = 0; i < a->n; i++) {
		struct child *c = child_find(p, a->v[i].child);

		if (c)
			child_result(c, IPC_RELOADED, a->v[i].id, err, 0, text);
	}
	*a = (struct askers){ 0 };
}

static const char *cut(const struct buf *b)
{
	static char text[IPC_MAX_PAYLOAD / 2];

	snprintf(text, sizeof(text), "%.*s", (int)b->len, b->p ? b->p : "");
	return text;
}

/* --- outcomes ------------------------------------------------------------------------------- */

/* Back to rest; then whoever asked meanwhile. */
static void finish(struct parent *p, int err, const char *text)
{
	struct reload *r = &p->reload;
	struct board_node *n = board_node(p->board);

	r->phase = RELOAD_IDLE;
	r->attempts = 0;
	loop_timer_stop(p->loop, &r->timer);
	n->reload_wall_ms = clock_wall_ms();
	if (err == OK) {
		n->reloads_ok++;
		n->reload_error[0] = '\0';
	} else {
		n->reloads_refused++;
		snprintf(n->reload_error, sizeof(n->reload_error), "%s", text);
	}
	answer(p, err, text);
	buf_free(&r->report);
	notify_ready(err == OK ? "serving" : "serving; the last reload was refused");
	if (!r->later.any || p->stop.begun) {
		certs_settled(p, r->committed);
		return;
	}
	r->now = r->later;
	r->later = (struct askers){ 0 };
	begin(p);
}

static void refuse(struct parent *p, int err, const char *text)
{
	log_error("reload_refused", NULL, "configuration refused, the old one stays: %s", text);
	finish(p, err, text);
}

/* Everywhere back to the committed one. */
static void undo(struct parent *p)
{
	struct reload *r = &p->reload;
	struct child *c;

	TAILQ_FOREACH (c, &p->children, link) {
		if (c->asked)
			child_send(c, IPC_ABORT, r->id, NULL, 0, NULL, 0);
		c->asked = c->prepared = false;
	}
	generation_discard(p, r->next);
	r->next = NULL;
}

static void undo_and_refuse(struct parent *p, const char *who, const char *why)
{
	char text[1400];

	snprintf(text, sizeof(text), "%s: %.1300s", who, why);
	undo(p);
	refuse(p, ERR_REFUSED, text);
}

static void try_again(struct parent *p, const char *who)
{
	struct reload *r = &p->reload;

	undo(p);
	if (++r->attempts >= RELOAD_ATTEMPTS) {
		char text[128];

		snprintf(text, sizeof(text), "%s kept ending while it prepared", who);
		refuse(p, ERR_REFUSED, text);
		return;
	}
	log_notice("reload_again", who, "it ended while the reload was prepared: once more");
	r->phase = RELOAD_WAITING;
	loop_timer_set(p->loop, &r->timer, RELOAD_AGAIN);
}

/* --- committing ----------------------------------------------------------------------------- */

static void report_done(struct parent *p)
{
	struct reload *r = &p->reload;
	const struct service *check = service_find(p, "check");
	char span[32];
	struct buf text = BUF_INIT;

	listen_sweep(&p->sockets, p->cur->conf);
	supervise_adjust(p);
	clock_format_span(p->loop->now - r->began, span);
	buf_printf(&text, "generation %llu is in force (%s)\n",
	           (unsigned long long)p->cur->conf->generation, span);
	buf_add(&text, r->report.p, r->report.len);
	log_notice("reload", NULL, "configuration %llu is in force after %s",
	           (unsigned long long)p->cur->conf->generation, span);
	if (check && check->current && check->current->started)
		order_send_all(check->current);
	finish(p, OK, cut(&text));
	buf_free(&text);
}

static void commit_next(struct parent *p)
{
	struct reload *r = &p->reload;

	for (; r->step < p->nservices; r->step++) {
		struct child *c = p->services[r->step].current;

		if (!c || !c->prepared)
			continue;
		c->prepared = false;
		if (child_send(c, IPC_COMMIT, r->id, NULL, 0, NULL, 0) != OK)
			continue; /* it is gone: restarted with the new one */
		loop_timer_set(p->loop, &r->timer, RELOAD_COMMIT);
		return;
	}
	report_done(p);
}

static void commit(struct parent *p)
{
	struct reload *r = &p->reload;

	r->phase = RELOAD_COMMITTING;
	r->step = 0;
	generation_commit(p, r->next);
	r->next = NULL;
	r->committed = true;
	commit_next(p);
}

void reload_committed(struct child *c, uint32_t id)
{
	struct parent *p = c->parent;
	struct reload *r = &p->reload;

	if (r->phase != RELOAD_COMMITTING || id != r->id || !c->asked ||
	    c != p->services[r->step].current)
		return;
	c->asked = false;
	log_debug("reload", c->service->ops->name, "committed");
	r->step++;
	commit_next(p);
}

/* --- preparing ------------------------------------------------------------------------------ */

static bool all_prepared(struct parent *p)
{
	struct child *c;

	TAILQ_FOREACH (c, &p->children, link) {
		if (c->asked && !c->prepared)
			return false;
	}
	return true;
}

void reload_prepared(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct reload *r = &p->reload;
	struct ipc_result res;

	if (!ipc_result(m, &res))
		return;
	if (m->id == 0) { /* the last words of one that could not start */
		snprintf(c->why, sizeof(c->why), "%.199s", res.text);
		return;
	}
	if (r->phase != RELOAD_PREPARING || m->id != r->id || !c->asked)
		return;
	if (res.err != OK) {
		c->asked = false; /* it has forgotten it by itself */
		undo_and_refuse(p, c->service->ops->name, res.text);
		return;
	}
	c->prepared = true;
	log_debug("reload", c->service->ops->name, "prepared");
	if (all_prepared(p))
		commit(p);
}

static void prepare(struct parent *p)
{
	struct reload *r = &p->reload;
	struct child *c;

	r->phase = RELOAD_PREPARING;
	r->id = ++p->ids;
	loop_timer_set(p->loop, &r->timer, RELOAD_PREPARE);
	TAILQ_FOREACH (c, &p->children, link) {
		if (!c->started || c != c->service->current || c->draining)
			continue;
		c->prepared = false;
		c->asked = true;
		if (generation_send(p, c, IPC_PREPARE, r->id, r->next) != OK)
			child_kill(c, SIGKILL, "the next configuration could not be sent");
	}
	if (all_prepared(p))
		commit(p);
}

/* --- loading -------------------------------------------------------------------------------- */

static void loaded(struct parent *p, struct loader_answer *a)
{
	struct reload *r = &p->reload;
	char why[1024];
	unsigned changes;

	if (a->err != OK) {
		refuse(p, a->err, cut(&a->problems));
		return;
	}
	if (generation_new(p, a->image, &r->next, why, sizeof(why)) != OK) {
		refuse(p, ERR_REFUSED, why);
		return;
	}
	if (r->next->conf->hash == p->cur->conf->hash &&
	    r->next->conf->self == p->cur->conf->self && !r->now.forced) {
		generation_discard(p, r->next);
		r->next = NULL;
		log_info("reload", NULL, "nothing changed");
		finish(p, OK, "nothing changed\n");
		return;
	}
	buf_add(&r->report, a->problems.p, a->problems.len);
	changes = conf_diff(p->cur->conf, r->next->conf, false, &r->report);
	log_debug("reload", NULL, "loaded: %u changes", changes);
	r->phase = RELOAD_CERTS;
	if (!certs_prepare(p, r->next))
		prepare(p);
}

void reload_has_certs(struct parent *p, int err)
{
	char why[128];

	if (p->reload.phase != RELOAD_CERTS)
		return;
	if (err == OK) {
		prepare(p);
		return;
	}
	snprintf(why, sizeof(why), "the process that reads them gave no answer: %s", err_text(err));
	undo_and_refuse(p, "certificates", why);
}

static void on_loader(struct loop_io *io, uint32_t events)
{
	struct parent *p = CONTAINER_OF(io, struct parent, reload.loader_io);
	struct loader_answer a;

	(void)events;
	loop_remove(p->loop, io);
	loop_timer_stop(p->loop, &p->reload.timer);
	loader_finish(&p->reload.loader, NS_PER_S, &a);
	io->fd = -1;
	loaded(p, &a);
	buf_free(&a.problems);
}

static void on_timer(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, reload.timer);
	struct reload *r = &p->reload;
	struct child *c;

	switch (r->phase) {
	case RELOAD_LOADING:
		loop_remove(p->loop, &r->loader_io);
		helper_end(&r->loader);
		refuse(p, ERR_TIMEOUT, "reading the file took too long");
		break;
	case RELOAD_WAITING:
		begin(p);
		break;
	case RELOAD_CERTS: /* has a limit of its own */
		break;
	case RELOAD_PREPARING:
		TAILQ_FOREACH (c, &p->children, link) {
			if (c->asked && !c->prepared)
				break;
		}
		undo_and_refuse(p, c ? c->service->ops->name : "a role",
		                "it was not prepared within 15 s");
		break;
	case RELOAD_COMMITTING:
		/* Committed is committed: one that does not follow is replaced by one that does. */
		c = p->services[r->step].current;
		if (c)
			child_kill(c, SIGKILL, "it did not commit the new configuration");
		break;
	case RELOAD_IDLE:
		break;
	}
}

static void begin(struct parent *p)
{
	struct reload *r = &p->reload;

	r->timer.fn = on_timer;
	r->committed = false;
	if (r->attempts == 0) {
		r->began = p->loop->now;
		notify_reloading();
	}
	r->phase = RELOAD_LOADING;
	if (loader_start(&r->loader, p->options->conf_path, false) != OK) {
		refuse(p, ERR_SYSTEM, "cannot start the process that reads the file");
		return;
	}
	r->loader_io = (struct loop_io){ .fd = r->loader.fd, .fn = on_loader };
	loop_timer_set(p->loop, &r->timer, LOADER_TIME);
	if (loop_add_level(p->loop, &r->loader_io, LOOP_IN, false) != OK) {
		helper_end(&r->loader);
		refuse(p, ERR_SYSTEM, "cannot watch the process that reads the file");
	}
}

void reload_request(struct parent *p, uint32_t asker, uint32_t id, bool forced)
{
	struct reload *r = &p->reload;
	struct child *c = child_find(p, asker);
	bool idle = r->phase == RELOAD_IDLE && p->upgrade.phase == UPGRADE_NONE;

	if (p->stop.begun || p->upgrade.phase != UPGRADE_NONE) {
		const char *why = p->stop.begun ? "the node is ending" : "an upgrade is running";

		if (c)
			child_result(c, IPC_RELOADED, id, ERR_REFUSED, 0, why);
		else
			log_warning("reload_refused", NULL, "%s", why);
		return;
	}
	if (!askers_add(idle ? &r->now : &r->later, asker, id, forced)) {
		child_result(c, IPC_RELOADED, id, ERR_FULL, 0,
		             "too many reloads are waiting already");
		return;
	}
	if (idle)
		begin(p);
}

void reload_disturbed(struct parent *p, const struct child *c, bool died)
{
	struct reload *r = &p->reload;

	if (r->phase == RELOAD_PREPARING && (c->asked || !died)) {
		try_again(p, c->service->ops->name);
	} else if (r->phase == RELOAD_COMMITTING && died && c->asked) {
		if (c->service == &p->services[r->step]) {
			r->step++;
			commit_next(p);
		}
	}
}

void reload_stop(struct parent *p)
{
	struct reload *r = &p->reload;

	if (r->phase == RELOAD_LOADING) {
		loop_remove(p->loop, &r->loader_io);
		helper_end(&r->loader);
	}
	if (r->phase == RELOAD_CERTS)
		certs_prepare_stop(p);
	if (r->phase == RELOAD_PREPARING || r->phase == RELOAD_CERTS)
		undo(p);
	if (r->phase != RELOAD_IDLE && r->phase != RELOAD_COMMITTING)
		refuse(p, ERR_REFUSED, "the node is ending");
}
