/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a drill asks and breaks: the request, the nodes, the servers behind; in a lab
 * (target_lab.c) or in production.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "core/node.h"
#include "drill/target.h"

int drill_target_load(struct drill *d, const char *path)
{
	struct conf_problems p = { 0 };
	int err = conf_load(path, false, &p, &d->loaded);

	if (err != OK)
		drill_fail(d, err, "%s is not well:\n%s", path, buf_cstr(&p.text));
	buf_free(&p.text);
	if (err == OK)
		d->conf = conf_of(d->loaded);
	return err;
}

static int target_production(struct drill *d)
{
	struct drill_node *n = &d->nodes[0];
	json_t *status = NULL;
	const char *name, *file;
	int err = drill_target_of_url(d);

	if (err != OK)
		return err;
	n->watch.in = n->watch.out = -1;
	snprintf(n->socket, sizeof(n->socket), "%s", d->o->socket);
	if (lab_node_get(n->socket, "/api/v1/status", 5000, &status) != OK)
		return drill_fail(
		    d, ERR_CLOSED,
		    "no node answers at %s: a drill in production runs beside a node; "
		    "name it with --state or --socket",
		    n->socket);
	name = json_string_value(json_object_get(status, "node"));
	file = json_string_value(json_object_get(status, "file"));
	snprintf(n->name, sizeof(n->name), "%s", name ? name : "node");
	d->nnodes = 1;
	err = drill_target_load(d, d->o->conf_path ? d->o->conf_path : file ? file : "");
	json_decref(status);
	return err == OK ? drill_target_vip(d) : err;
}

int drill_target(struct drill *d)
{
	char to[NET_ADDR_TEXT];
	ssize_t n = readlink("/proc/self/exe", d->binary, sizeof(d->binary) - 1);
	int err;

	if (n <= 0)
		return drill_fail(d, ERR_SYSTEM, "/proc/self/exe: %s", strerror(errno));
	d->client = d->o->client;
	err = d->o->url ? target_production(d) : drill_target_lab(d);
	if (err != OK)
		return err;
	d->pool_servers = d->conf->npools > 0 ? d->conf->pools[d->pool].nservers : 0;
	snprintf(d->target, sizeof(d->target), "http%s://%s%s", d->client.tls ? "s" : "",
	         net_addr_format(&d->client.to, to), d->path);
	return OK;
}

void drill_target_close(struct drill *d)
{
	drill_target_lab_close(d);
	conf_free(d->loaded);
}
