/* SPDX-License-Identifier: Apache-2.0 */
/* The table: every option of the configuration file, once. Here is what stands at its top. */
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"

static const char *const levels[] = { "error", "warning", "notice", "info", "debug", NULL };
static const char *const sinks[] = { "stderr", "journald", "syslog", NULL };
static const char *const formats[] = { "auto", "text", "json", NULL };

static const struct row proxy_rows[] = {
	{ "threads", &type_count, OF(conf, threads), .min = 1, .max = 64, .def = "auto",
	  .zero = "auto", .redo = REDO_THREADS, .doc = "Threads; auto: one for each core." },
	{ "shutdown_timeout", &type_duration, OF(conf, shutdown_timeout), .min = 0,
	  .max = 24 * 3600 * NS_PER_S, .def = "30s", .redo = REDO_NOTHING, .flags = ROW_WIDE,
	  .doc = "Time that open requests get to end when holdfast is told to." },
	{ "max_connections", &type_count, OF(conf, max_connections), .min = 16, .max = 4000000,
	  .def = "auto", .zero = "auto", .redo = REDO_LISTENER,
	  .doc = "Client connections at a time; auto: as many as open files allow." },
	END
};
static const struct rows proxy = { "proxy", 0, proxy_rows };

static const struct row log_rows[] = {
	{ "level", &type_choice, OF(conf, log.level), .def = "info", .choices = levels,
	  .redo = REDO_LOG, .doc = "The least important lines that are written." },
	{ "to", &type_word, OF(conf, log.to), .def = "stderr", .choices = sinks, .redo = REDO_LOG,
	  .doc = "Where to write." },
	{ "format", &type_word, OF(conf, log.format), .def = "auto", .choices = formats,
	  .redo = REDO_LOG, .doc = "auto: text on a terminal, JSON lines else." },
	END
};
static const struct rows logs = { "log", 0, log_rows };

static const char *check_token(struct str text)
{
	if (text.len < 8) {
		return "is shorter than 8 characters: it would be guessed";
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.s[i] <= 0x20 || text.s[i] >= 0x7f) {
			return "may hold printable ASCII without blanks only";
		}
	}
	return NULL;
}

static const struct row control_rows[] = {
	{ "on", &type_derived_bool, OF(conf, control.on), .flags = ROW_HIDDEN },
	{ "bind", &type_address, OF(conf, control.bind), WITH(conf, control.bind_text),
	  .redo = REDO_CONTROL, .flags = ROW_REQUIRED,
	  .doc = "Address of the HTTP API, /metrics and /health." },
	{ "token", &type_secret, OF(conf, control.token), .check = check_token,
	  .redo = REDO_CONTROL, .flags = ROW_OPTIONAL,
	  .doc = "Secret that changes over that address must carry (Authorization: Bearer); "
	         "without it only the control socket may change things. file:PATH and cred:NAME "
	         "take it from elsewhere." },
	END
};

static void control_finish(struct load *l, const struct node *n, void *object)
{
	struct conf *c = object;

	c->control.on = true;
	if (c->control.bind_text.len && c->control.bind.sa.sa_family != AF_UNIX &&
	    net_addr_port(&c->control.bind) == 0) {
		problem_error(l->problems, node_get(n, "bind")->at, "\"bind\" has no port");
	}
}

static bool control_print(struct str key, const void *object, struct emit *o)
{
	return !((const struct conf *)object)->control.on;
}

static const struct rows control = { "control", 0, control_rows, .brief_print = control_print,
	                             .finish = control_finish };

static void include_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	/* done before the rows are read: load.c */
}

static void include_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"items\": "
	              "{\"type\": \"string\"}}]");
}

static const struct row_type type_include = { "a pattern or a list of them", include_read, NULL,
	                                      include_schema, NULL };

static const struct row root_rows[] = {
	{ "path", &type_derived, OF(conf, path), .flags = ROW_HIDDEN },
	{ "trust_text", &type_derived_list, OF(conf, trust_text), .flags = ROW_HIDDEN },
	{ "include", &type_include,
	  .doc = "Further files, relative to this one; * and ? as in a shell. What they hold is "
	         "added; the same name in two files is an error." },
	{ "cluster", &type_text, OF(conf, cluster), .check = value_is_name, .redo = REDO_NOTHING,
	  .flags = ROW_OPTIONAL, .doc = "Name of the cluster." },
	{ "nodes", &type_map, OF(conf, nodes), WITH(conf, nnodes), .max = CONF_MAX_NODES,
	  .sub = &schema_node, .redo = REDO_NOTHING, .flags = ROW_OPTIONAL,
	  .doc = "The machines that share this file." },
	{ "user", &type_text, OF(conf, user), .def = "holdfast", .check = value_is_word,
	  .redo = REDO_RESTART,
	  .doc = "User that the roles run as when holdfast was started as root." },
	{ "log", &type_group, .sub = &logs, .doc = "What holdfast says about itself." },
	{ "proxy", &type_group, .sub = &proxy, .doc = "The process that carries the traffic." },
	{ "trust", &type_networks, OF(conf, trust), WITH(conf, ntrust), .redo = REDO_LISTENER,
	  .doc = "Networks of proxies whose X-Forwarded-* and X-Request-Id count, and that see "
	         "full reasons in error answers." },
	{ "error_pages", &type_pages, OF(conf, pages), WITH(conf, npages), .redo = REDO_LISTENER,
	  .doc = "Own error answers everywhere: a file for each status, of at most 64 KiB." },
	{ "control", &type_group, .sub = &control,
	  .doc = "The HTTP API over TCP; without it there is only the control socket." },
	{ "listeners", &type_map, OF(conf, listeners), WITH(conf, nlisteners),
	  .max = CONF_MAX_LISTENERS, .sub = &schema_listener, .redo = REDO_BIND,
	  .doc = "Where clients connect." },
	{ "routes", &type_map, OF(conf, routes), WITH(conf, nroutes), .max = CONF_MAX_ROUTES,
	  .sub = &schema_route, .redo = REDO_ROUTES, .doc = "Which requests go to which pool." },
	{ "pools", &type_map, OF(conf, pools), WITH(conf, npools), .max = CONF_MAX_POOLS,
	  .sub = &schema_pool, .redo = REDO_POOL, .doc = "Servers that answer the same requests." },
	{ "checks", &type_map, OF(conf, checks), WITH(conf, nchecks), .max = CONF_MAX_CHECKS,
	  .sub = &schema_named_check, .redo = REDO_CHECK, .flags = ROW_OPTIONAL,
	  .doc = "Probes of what is no pool's server, for virtual IPs to track." },
	{ "virtual_ips", &type_map, OF(conf, vips), WITH(conf, nvips), .max = CONF_MAX_VIPS,
	  .sub = &schema_vip, .redo = REDO_VIP, .flags = ROW_OPTIONAL,
	  .doc = "Addresses that the nodes share: one of them holds each." },
	{ "acme", &type_map, OF(conf, issuers), WITH(conf, nissuers), .max = CONF_MAX_ISSUERS,
	  .sub = &schema_issuer, .redo = REDO_NOTHING, .flags = ROW_OPTIONAL,
	  .doc = "Authorities that issue certificates for listeners (ACME, RFC 8555)." },
	{ "slo", &type_group, .sub = &schema_slo, .flags = ROW_OPTIONAL,
	  .doc = "What drills may show before they count as failed." },
	END
};

static void root_finish(struct load *l, const struct node *n, void *object)
{
	struct conf *c = object;
	char text[NET_ADDR_TEXT];
	struct str *v = load_alloc(l, c->ntrust, sizeof(*v));

	for (uint32_t i = 0; v && i < c->ntrust; i++) {
		v[i] = arena_str(l->arena, str_from(net_cidr_format(&c->trust[i], text)));
	}
	c->trust_text = (struct conf_list){ v, v ? c->ntrust : 0 };
}

const struct rows schema_root = { "file", 0, root_rows, .finish = root_finish };
