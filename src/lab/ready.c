/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until a lab works. `lab up`. */
#include "lab/ready.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/lab.h"

#define NODES_TIME   (30 * NS_PER_S)
#define SERVICE_TIME (10 * NS_PER_S) /* after the nodes: servers, virtual IPs */
#define QUIET_TIME   (2 * NS_PER_S)
#define LOG_LINES    20

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* The last lines of a node's log say why it ended. */
static void show_log(const char *path)
{
	struct buf b = BUF_INIT;
	size_t at;

	if (buf_read_file(&b, path, 16 << 20) == OK && b.len > 0) {
		at = b.len - 1;
		for (unsigned n = 0; at > 0; at--) {
			if (b.p[at - 1] == '\n' && ++n == LOG_LINES)
				break;
		}
		fprintf(stderr, "%.*s", (int)(b.len - at), b.p + at);
	}
	buf_free(&b);
}

static bool roles_ready(const json_t *status)
{
	const json_t *roles = json_object_get(status, "roles"), *r;
	size_t i;

	json_array_foreach (roles, i, r) {
		if (!json_is_true(json_object_get(r, "ready")))
			return false;
	}
	return json_array_size(roles) > 0;
}

/* The first server that is not in service; "" none. */
static const char *missing_server(const json_t *status)
{
	const json_t *servers = json_object_get(status, "servers"), *s;
	size_t i;

	json_array_foreach (servers, i, s) {
		if (strcmp(text(s, "state"), "up") != 0 &&
		    strncmp(text(s, "address"), "unix:", 5) != 0)
			return text(s, "id");
	}
	return "";
}

/* The first virtual IP that the node takes part in and that it knows no holder of; "" none. */
static const char *vacant_vip(const json_t *status)
{
	const json_t *vips = json_object_get(status, "virtual_ips"), *v;
	size_t i;

	json_array_foreach (vips, i, v) {
		if (json_is_true(json_object_get(v, "member")) && text(v, "holder")[0] == '\0')
			return text(v, "name");
	}
	return "";
}

/* One look at a node: true when it is well; else `waits` says for what. */
static bool look(const json_t *host, bool roles_only, char *waits, size_t size)
{
	json_t *status = NULL;
	const char *name = "";
	bool well = false;

	if (lab_node_get(text(host, "control_socket"), "/api/v1/status", 2000, &status) != OK)
		snprintf(waits, size, "node %s to answer", text(host, "name"));
	else if (!roles_ready(status))
		snprintf(waits, size, "the roles of node %s", text(host, "name"));
	else if (!roles_only && (name = missing_server(status))[0])
		snprintf(waits, size, "server %s, as node %s sees it", name, text(host, "name"));
	else if (!roles_only && (name = vacant_vip(status))[0])
		snprintf(waits, size, "a holder of virtual IP %s, as node %s sees it", name,
		         text(host, "name"));
	else
		well = true;
	json_decref(status);
	return well;
}

/* OK, ERR_AGAIN (waits says for what), ERR_REFUSED (why). */
static int look_at_all(const char *dir, bool roles_only, char *waits, char *why, size_t why_size)
{
	json_t *q = json_pack("{s:s}", "do", "status"), *answer = NULL;
	const json_t *h;
	int err = lab_ask(dir, q, NULL, &answer, why, why_size);
	size_t i;

	json_decref(q);
	json_array_foreach (json_object_get(answer, "hosts"), i, h) {
		if (err != OK || strcmp(text(h, "kind"), "node") != 0)
			continue;
		if (text(h, "exit")[0] != '\0') {
			show_log(text(h, "log"));
			snprintf(why, why_size, "node %s has ended (%s): see above",
			         text(h, "name"), text(h, "exit"));
			err = ERR_REFUSED;
		} else if (!look(h, roles_only, waits, 200)) {
			err = ERR_AGAIN;
		}
	}
	json_decref(answer);
	return err;
}

int lab_ready_wait(const char *dir, bool bare, char *why, size_t why_size)
{
	uint64_t start = clock_mono(), since = start;
	char waits[200] = "", said[200] = "";
	bool roles_only = true; /* at first; then servers and virtual IPs as well */
	int err = bare ? OK : ERR_AGAIN;

	while (err == ERR_AGAIN) {
		err = look_at_all(dir, roles_only, waits, why, why_size);
		if (err == OK && roles_only) {
			roles_only = false;
			since = clock_mono();
			err = ERR_AGAIN;
			continue;
		}
		if (err != ERR_AGAIN)
			break;
		if (clock_mono() - start > QUIET_TIME && strcmp(waits, said) != 0) {
			fprintf(stderr, "lab: waiting for %s …\n", waits);
			memcpy(said, waits, sizeof(said));
		}
		if (clock_mono() - since > (roles_only ? NODES_TIME : SERVICE_TIME))
			break;
		usleep(10000);
	}
	if (err == ERR_AGAIN && !roles_only) {
		fprintf(stderr, "lab: goes on without %s\n", waits);
		return OK;
	}
	if (err == ERR_AGAIN)
		snprintf(why, why_size, "waited in vain for %s; its log is in %s/nodes", waits,
		         dir);
	return err;
}
