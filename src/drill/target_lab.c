/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drill asks and breaks in a lab: one that runs, or one that is made for the drill, with a
 * copy of the file, and taken down after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "drill/target.h"

#define FILE_MAX (16U << 20)

int drill_change(struct drill *d, const char *host)
{
	const struct conf_pool *p = &d->conf->pools[0];
	struct buf b = BUF_INIT;
	int err;

	buf_printf(&b, "routes: { holdfast-drill: { host: %s, to: \"%.*s\" } }\n", host,
	           STR_ARG(p->name));
	err = d->conf->npools > 0 ? buf_write_file(&b, d->change, 0644) : ERR_UNSUPPORTED;
	buf_free(&b);
	return err;
}

/*
 * A copy of the file, which includes one more: that one changes when the drill reloads, the user's
 * file never does. A file that cannot be moved (it includes others, or names some by relative
 * paths) is used as it is, and has no reload with a change.
 */
static int copy_file(struct drill *d, const char *path, char *copy, size_t size)
{
	struct buf b = BUF_INIT;
	struct conf_problems p = { 0 };
	struct conf_loaded *l = NULL;
	int err;

	snprintf(d->dir, sizeof(d->dir), "/tmp/holdfast-drill-XXXXXX");
	if (!mkdtemp(d->dir)) {
		d->dir[0] = '\0';
		return ERR_SYSTEM;
	}
	chmod(d->dir, 0755); /* roles read it under their own user */
	snprintf(d->change, sizeof(d->change), "%s/change.yaml", d->dir);
	snprintf(copy, size, "%s/holdfast.yaml", d->dir);
	err = buf_read_file(&b, path, FILE_MAX);
	buf_adds(&b, "\ninclude: change.yaml\n");
	if (err == OK)
		err = buf_write_file(&b, copy, 0644);
	if (err == OK)
		err = drill_change(d, "drill-0.invalid");
	if (err == OK)
		err = conf_load(copy, false, &p, &l);
	conf_free(l);
	buf_free(&p.text);
	buf_free(&b);
	return err;
}

/* NULL: the only one that runs. */
static const char *lab_name(const struct drill *d)
{
	if (d->o->lab || !d->loaded)
		return d->o->lab;
	return d->conf->cluster.len > 0 ? d->conf->cluster.s : "lab";
}

static void remove_files(const struct drill *d)
{
	char path[128];

	if (d->dir[0] == '\0')
		return;
	snprintf(path, sizeof(path), "%s/change.yaml", d->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/holdfast.yaml", d->dir);
	unlink(path);
	rmdir(d->dir);
}

/* Waits in a process of its own for the end of the drill, however it ends, and takes its lab down.
 * Before the drill has threads. */
static int guard_start(struct drill *d)
{
	char why[256];
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return ERR_SYSTEM;
	d->guard = fork();
	if (d->guard == 0) {
		setsid();
		close(fds[1]);
		while (read(fds[0], why, sizeof(why)) < 0 && errno == EINTR) {
		}
		if (lab_down(d->lab, why, sizeof(why)) != OK)
			fprintf(stderr, "holdfast drill: the lab could not be taken down: %s\n",
			        why);
		remove_files(d);
		_exit(0);
	}
	close(fds[0]);
	d->guard_fd = fds[1];
	return d->guard > 0 ? OK : ERR_SYSTEM;
}

static int lab_start(struct drill *d)
{
	int err;
	char copy[128];
	const char *path = copy;
	struct lab_options o = { .name = d->o->lab, .binary = d->binary };

	if (copy_file(d, d->o->conf_path, copy, sizeof(copy)) != OK) {
		path = d->o->conf_path;
		d->change[0] = '\0';
	}
	o.conf_path = path;
	if (lab_up(&o) != 0)
		return drill_fail(d, ERR_UNEXPECTED, "the lab could not be brought up");
	err = lab_find(lab_name(d), NULL, d->lab, sizeof(d->lab), d->why, sizeof(d->why));
	return err == OK ? guard_start(d) : err;
}

static int ask(struct drill *d, json_t *request, json_t **ret)
{
	int err = lab_ask(d->lab, request, NULL, ret, d->why, sizeof(d->why));

	json_decref(request);
	return err;
}

static void add_server(struct drill *d, const json_t *host)
{
	const struct conf_pool *p = &d->conf->pools[d->pool];
	const json_t *addresses = json_object_get(host, "addresses");
	char text[NET_ADDR_TEXT];

	for (uint32_t i = 0; i < p->nservers; i++) {
		const struct conf_server *s = &p->servers[i];
		const json_t *a;
		size_t k;

		json_array_foreach (addresses, k, a) {
			struct drill_server *n = &d->servers[d->nservers];

			if (strcmp(json_string_value(a), net_addr_host(&s->address, text)) != 0 ||
			    d->nservers == sizeof(d->servers) / sizeof(d->servers[0]))
				continue;
			d->nservers++;
			snprintf(n->id, sizeof(n->id), "%.*s", STR_ARG(s->id));
			snprintf(n->host, sizeof(n->host), "%s",
			         json_string_value(json_object_get(host, "name")));
			n->backup = s->backup;
		}
	}
}

static void add_node(struct drill *d, const json_t *host)
{
	struct drill_node *n = &d->nodes[d->nnodes];
	const char *socket = json_string_value(json_object_get(host, "control_socket"));

	if (d->nnodes == CONF_MAX_NODES)
		return;
	d->nnodes++;
	n->watch.in = n->watch.out = -1;
	snprintf(n->name, sizeof(n->name), "%s", json_string_value(json_object_get(host, "name")));
	snprintf(n->socket, sizeof(n->socket), "%s", socket ? socket : "");
}

/* The hosts of the lab; its file, where none was named. */
static int learn_lab(struct drill *d)
{
	json_t *answer = NULL;
	const json_t *h;
	size_t i;
	int err = ask(d, json_pack("{s:s}", "do", "status"), &answer);

	if (err == OK && json_is_true(json_object_get(answer, "bare")))
		err = drill_fail(d, ERR_UNSUPPORTED, "the lab is bare: no node runs in it");
	if (err == OK && !d->loaded)
		err = drill_target_load(d, json_string_value(json_object_get(answer, "file")));
	if (err == OK)
		err = drill_target_of_file(d);
	json_array_foreach (json_object_get(answer, "hosts"), i, h) {
		const char *kind = json_string_value(json_object_get(h, "kind"));

		if (err == OK && kind && strcmp(kind, "node") == 0)
			add_node(d, h);
		else if (err == OK && kind && strcmp(kind, "server") == 0)
			add_server(d, h);
		else if (err == OK && kind && strcmp(kind, "client") == 0)
			snprintf(d->client_host, sizeof(d->client_host), "%s",
			         json_string_value(json_object_get(h, "name")));
	}
	json_decref(answer);
	return err;
}

int drill_target_lab(struct drill *d)
{
	int err = OK;

	d->in_lab = true;
	if (d->o->conf_path)
		err = drill_target_load(d, d->o->conf_path);
	if (err != OK)
		return err;
	/* With a file only a lab of its name is meant, never just any that runs. */
	if (lab_find(lab_name(d), NULL, d->lab, sizeof(d->lab), d->why, sizeof(d->why)) != OK) {
		if (!d->o->conf_path)
			return ERR_NOT_FOUND;
		err = lab_start(d);
	}
	return err == OK ? learn_lab(d) : err;
}

void drill_target_lab_close(struct drill *d)
{
	if (d->guard > 0) {
		close(d->guard_fd);
		waitpid(d->guard, NULL, 0);
	} else {
		remove_files(d);
	}
}
