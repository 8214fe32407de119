/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A role's configurations: which it holds, and its side of the transaction that changes them. Main
 * thread of a role.
 *
 * A configuration has one user, the harness, from its arrival until it is aborted or another one is
 * committed; a role with keeps_conf is a second user from the commit on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "core/logsink.h"
#include "core/role_impl.h"

int role_conf_take(struct harness *h, struct held_conf **ret, char *why, size_t why_size)
{
	struct held_conf *c = calloc(1, sizeof(*c));
	int err;

	if (!c || h->in.lead[HANDOVER_IMAGE] < 0) {
		snprintf(why, why_size, "%s", c ? "no image came with it" : "out of memory");
		free(c);
		handover_drop(&h->in);
		return c ? ERR_SYNTAX : ERR_NOMEM;
	}
	c->image_fd = h->in.lead[HANDOVER_IMAGE];
	err = conf_image_map(c->image_fd, &c->pub.conf);
	if (err != OK) {
		snprintf(why, why_size, "cannot map the configuration: %s", err_text(err));
		free(c);
		handover_drop(&h->in);
		return err;
	}
	h->in.lead[HANDOVER_IMAGE] = -1;
	c->pub.image_fd = c->image_fd;
	c->pub.fds = h->in.fds;
	c->pub.nfds = h->in.nfds;
	h->in.fds = NULL;
	h->in.nfds = 0;
	handover_drop(&h->in);
	c->pub.users = 1;
	c->next = h->confs;
	h->confs = c;
	*ret = c;
	return OK;
}

static void conf_put(struct harness *h, const struct role_conf *pub)
{
	struct held_conf **at = &h->confs;
	struct held_conf *c;

	while (*at && &(*at)->pub != pub)
		at = &(*at)->next;
	c = *at;
	if (!c || --c->pub.users > 0)
		return;
	*at = c->next;
	for (unsigned i = 0; i < c->pub.nfds; i++)
		close(c->pub.fds[i].fd);
	free(c->pub.fds);
	conf_image_unmap(c->pub.conf);
	close(c->image_fd);
	free(c);
}

void role_release(struct role *r, const struct role_conf *c)
{
	conf_put(harness_of(r), c);
}

int role_conf_fd(const struct role_conf *c, enum role_fd_kind kind, unsigned index, unsigned sub)
{
	for (unsigned i = 0; i < c->nfds; i++) {
		const struct role_fd *f = &c->fds[i];

		if (f->kind == kind && f->index == index && f->sub == sub)
			return f->fd;
	}
	return -1;
}

void role_conf_forget_next(struct harness *h)
{
	if (!h->next)
		return;
	h->role.ops->abort(&h->role);
	conf_put(h, &h->next->pub);
	h->next = NULL;
	h->preparing = false;
}

void role_prepared(struct role *r, int err, const char *why)
{
	struct harness *h = harness_of(r);

	if (!h->preparing)
		return;
	h->preparing = false;
	ipc_send_result(r->parent, IPC_PREPARED, h->prepare_id, err, 0, err == OK ? "" : why);
	if (err != OK) {
		conf_put(h, &h->next->pub);
		h->next = NULL;
	}
}

void role_conf_prepare(struct harness *h)
{
	char why[1024] = "";
	int err;

	role_conf_forget_next(h);
	h->prepare_id = h->in.id;
	err = h->draining ? ERR_UNEXPECTED : OK;
	if (err != OK) {
		snprintf(why, sizeof(why), "it is about to end");
		handover_drop(&h->in);
	} else {
		err = role_conf_take(h, &h->next, why, sizeof(why));
	}
	if (err != OK) {
		ipc_send_result(h->role.parent, IPC_PREPARED, h->prepare_id, err, 0, why);
		return;
	}
	h->preparing = true;
	err = h->role.ops->prepare(&h->role, &h->next->pub, why, sizeof(why));
	if (err != ERR_AGAIN)
		role_prepared(&h->role, err, why[0] ? why : err_text(err));
}

void role_conf_commit(struct harness *h, uint32_t id)
{
	const struct role_conf *old = h->role.conf;

	if (!h->next || h->preparing) {
		role_fail(h, "told to commit what was never prepared");
		return;
	}
	h->role.conf = &h->next->pub;
	if (h->role.ops->keeps_conf)
		h->next->pub.users++;
	h->next = NULL;
	logsink_apply(h->role.conf->conf);
	h->role.ops->commit(&h->role);
	conf_put(h, old);
	role_send(&h->role, IPC_COMMITTED, id, NULL, 0);
}

void role_conf_logs(struct harness *h, struct ipc_msg *m)
{
	for (unsigned i = 0; i < h->in.nfds; i++) {
		const struct role_fd *f = &h->in.fds[i];
		int old = h->role.conf ? role_conf_fd(h->role.conf, f->kind, f->index, f->sub) : -1;

		if (old >= 0 && dup3(f->fd, old, O_CLOEXEC) < 0)
			log_warning("log_reopen", NULL, "cannot replace the access log: %s",
			            strerror(errno));
	}
	handover_drop(&h->in);
	m->type = IPC_LOGS;
	if (h->started && h->role.ops->message)
		h->role.ops->message(&h->role, m);
}

void role_conf_certs(struct harness *h, const struct ipc_msg *m)
{
	int old = h->role.conf ? role_conf_fd(h->role.conf, ROLE_FD_CERTS, 0, 0) : -1;

	if (old >= 0 && m->nfds == 1 && dup3(m->fds[0], old, O_CLOEXEC) < 0)
		log_warning("certificates", NULL, "cannot keep the new ones: %s", strerror(errno));
}

static void close_listening(struct role_conf *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->nfds; i++) {
		if (c->fds[i].kind == ROLE_FD_LISTEN)
			close(c->fds[i].fd);
		else
			c->fds[n++] = c->fds[i];
	}
	c->nfds = n;
}

void role_conf_close_listening(struct harness *h)
{
	for (struct held_conf *c = h->confs; c; c = c->next)
		close_listening(&c->pub);
}
