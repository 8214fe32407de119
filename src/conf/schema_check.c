/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: how a server, or what a named check is about, is probed. */
#include "conf/schema.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "conf/load.h"
#include "conf/units.h"
#include "conf/value.h"

/* By enum conf_probe. */
static const char *const kinds[PROBE_KINDS] = {
	[PROBE_TCP] = "tcp",     [PROBE_HTTP] = "http",         [PROBE_EXEC] = "exec",
	[PROBE_TLS] = "tls",     [PROBE_GRPC] = "grpc",         [PROBE_REDIS] = "redis",
	[PROBE_MYSQL] = "mysql", [PROBE_POSTGRES] = "postgres", [PROBE_SMTP] = "smtp",
	[PROBE_DNS] = "dns",     [PROBE_PING] = "ping",
};

const char *conf_probe_name(uint32_t probe)
{
	return probe < PROBE_KINDS && kinds[probe] ? kinds[probe] : "none";
}

static const char *const roles[] = { "any", "primary", "replica", NULL };
static const char *const over_tls[] = { "auto", "true", "false", NULL };
static const char *const send_proxy[] = { "auto", "off", "v1", "v2", NULL };
static const char *const protocols[] = { "auto", "http", "h2", NULL };
static const char *const dns_types[] = { "A",   "AAAA", "CNAME", "MX",  "NS",
	                                 "PTR", "SOA",  "SRV",   "TXT", NULL };

static const char *is_login(struct str text)
{
	return text.len == 0 || text.len > 63 || memchr(text.s, '\0', text.len)
	           ? "is not a name of 1 to 63 bytes"
	           : NULL;
}

static const char *is_password(struct str text)
{
	return text.len == 0 || text.len > 512 || memchr(text.s, '\0', text.len)
	           ? "is not a password of 1 to 512 bytes"
	           : NULL;
}

/* RFC 1035 section 2.3.4: labels of 63, a name of 253 bytes as text. Underscores are used. */
static const char *is_dns_name(struct str text)
{
	size_t label = 0;

	if (text.len == 0 || text.len > 253)
		return "is no name of 1 to 253 bytes";
	if (str_eq(text, STR(".")))
		return NULL;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.s[i];

		if (c == '.' && label == 0)
			return "is no name: a label is empty";
		if (c <= ' ' || c >= 127)
			return "is no name: letters, digits, \"-\", \"_\" and dots";
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return "is no name: a label is longer than 63 bytes";
	}
	return NULL;
}

static const char *is_grpc_service(struct str text)
{
	return text.len > 256 ? "is longer than 256 bytes" : value_is_word(text);
}

/* A kind that is asked for by "true". */
#define KIND(key, probe, text) \
	{ \
		key, &type_probe, .min = (probe), .redo = REDO_CHECK, .doc = (text) \
	}

/* `tls` of a check: true, or options of its own instead of the pool's. */
static bool check_tls_read(struct load *l, const struct rows *rows, const struct node *n,
                           void *object)
{
	static const struct row row = { "tls", &type_probe, .min = PROBE_TLS };

	(void)rows;
	if (n->kind != NODE_TEXT) {
		return false;
	}
	row.type->read(l, &row, n, object);
	return true;
}

static bool check_tls_print(struct str key, const void *object, struct emit *o)
{
	const struct conf_pool_tls *t = object;
	const struct conf_check *c = CONTAINER_OF(t, const struct conf_check, tls);

	if (!t->on && c->probe == PROBE_TLS) {
		emit_literal(o, key.s, "true");
	}
	return !t->on;
}

static const struct rows check_tls = { "TLS",
	                               0,
	                               schema_pool_tls_rows,
	                               check_tls_read,
	                               check_tls_print,
	                               "{\"const\": true}",
	                               "true",
	                               schema_pool_tls_finish };

static const struct row check_rows[] = {
	{ "http", &type_text, OF(conf_check, http), .check = value_is_probe_path,
	  .redo = REDO_CHECK, .flags = ROW_OPTIONAL,
	  .doc = "Asks for this path and looks at the status." },
	KIND("tcp", PROBE_TCP,
	     "A connection that is accepted is enough, unless \"send\" or \"match\" ask for more."),
	{ "exec", &type_list, OF(conf_check, exec), .check = value_is_word, .redo = REDO_CHECK,
	  .doc = "Runs a program, [PATH, ARGUMENT, ...], that ends with 0 when all is well; "
	         "HOLDFAST_POOL and HOLDFAST_SERVER, or HOLDFAST_CHECK, and HOLDFAST_ADDRESS tell "
	         "it what it is about." },
	{ "tls", &type_group, OF(conf_check, tls), .sub = &check_tls, .redo = REDO_CHECK,
	  .doc = "Alone: a TLS handshake in which the server shows a valid certificate; see "
	         "\"expiry\". Beside another kind: what that one is to do otherwise than the pool, "
	         "whose options hold unless a check has its own." },
	{ "grpc", &type_probe_grpc, OF(conf_check, grpc), .check = is_grpc_service,
	  .redo = REDO_CHECK,
	  .doc = "Asks grpc.health.v1.Health over HTTP/2 and wants SERVING: of the server as a "
	         "whole with true, or of the service named." },
	KIND("redis", PROBE_REDIS, "PING, after AUTH where a password is given; see \"role\"."),
	KIND("postgres", PROBE_POSTGRES,
	     "Begins a session as PostgreSQL's clients do: it is well once it asks for "
	     "authentication. With a role it logs in and asks for that."),
	KIND("mysql", PROBE_MYSQL,
	     "Reads the greeting of MySQL or MariaDB and answers it, so that the server does not "
	     "block this host; with a login or password it has to let it in."),
	KIND("smtp", PROBE_SMTP, "The greeting, EHLO and QUIT of a mail server."),
	{ "dns", &type_text, OF(conf_check, dns), .check = is_dns_name, .redo = REDO_CHECK,
	  .flags = ROW_OPTIONAL,
	  .doc = "Asks for this name by UDP and wants an answer that is not empty." },
	KIND("ping", PROBE_PING, "ICMP echo."),
	{ "method", &type_text, OF(conf_check, method), .def = "GET", .check = value_is_method,
	  .redo = REDO_CHECK, .doc = "Method of an http check." },
	{ "host", &type_text, OF(conf_check, host), .check = value_is_host_field,
	  .redo = REDO_CHECK, .flags = ROW_OPTIONAL,
	  .doc = "Host field of an http check, authority of a grpc check; the server's address "
	         "unless set." },
	{ "headers", &type_headers, OF(conf_check, headers), WITH(conf_check, nheaders),
	  .redo = REDO_CHECK, .doc = "Further header fields of an http check." },
	{ "expect", &type_statuses, OF(conf_check, expect), .def = "200-399", .redo = REDO_CHECK,
	  .doc = "Statuses that prove health: 200, 200-399, or a list of such." },
	{ "send", &type_escaped, OF(conf_check, send), .redo = REDO_CHECK, .flags = ROW_OPTIONAL,
	  .doc = "Bytes that a tcp check sends once it is connected, with the escapes \\r \\n "
	         "\\t \\0 \\xHH \\\\; without \"match\" any answer is well." },
	{ "match", &type_text, OF(conf_check, match), .check = value_is_word, .redo = REDO_CHECK,
	  .flags = ROW_OPTIONAL,
	  .doc = "Text that the first 64 KiB of the body, or of the answer to a tcp check, must "
	         "contain." },
	{ "user", &type_text, OF(conf_check, user), .check = value_is_word, .redo = REDO_CHECK,
	  .flags = ROW_OPTIONAL, .doc = "User that runs the program of an exec check." },
	{ "role", &type_choice, OF(conf_check, role), .def = "any", .choices = roles,
	  .redo = REDO_CHECK,
	  .doc = "What a redis or postgres server has to be: the one that takes writes, or one "
	         "that follows it." },
	{ "login", &type_text, OF(conf_check, login), .check = is_login, .redo = REDO_CHECK,
	  .flags = ROW_OPTIONAL,
	  .doc = "Name to log in with: holdfast for postgres and mysql unless set, the default "
	         "user for redis." },
	{ "password", &type_secret, OF(conf_check, password), .check = is_password,
	  .redo = REDO_CHECK, .flags = ROW_OPTIONAL,
	  .doc = "Password of redis, postgres (in clear text over TLS only, MD5, SCRAM-SHA-256) or "
	         "mysql (mysql_native_password)." },
	{ "database", &type_text, OF(conf_check, database), .check = is_login, .redo = REDO_CHECK,
	  .flags = ROW_OPTIONAL, .doc = "Database of a postgres check; postgres unless set." },
	{ "dns_type", &type_word, OF(conf_check, dns_type), .def = "A", .choices = dns_types,
	  .redo = REDO_CHECK, .doc = "Type of record that a dns check asks for." },
	{ "expiry", &type_duration, OF(conf_check, expiry), .min = 1, .max = 3650 * DAY,
	  .redo = REDO_CHECK, .flags = ROW_WIDE | ROW_OPTIONAL,
	  .doc = "A tls check fails when the certificate is not valid for so long any more." },
	{ "over_tls", &type_choice, OF(conf_check, over_tls), .def = "auto", .choices = over_tls,
	  .redo = REDO_CHECK,
	  .doc =
	      "Whether tcp, http, grpc, redis, postgres and smtp checks speak TLS: auto is as "
	      "the pool does, but for tcp without \"send\" and \"match\". postgres and smtp begin "
	      "in clear text and change over." },
	{ "send_proxy", &type_choice, OF(conf_check, send_proxy), .def = "auto",
	  .choices = send_proxy, .redo = REDO_CHECK,
	  .doc = "Whether the check's connections begin with a PROXY header, which says that they "
	         "are the checker's own (v2: LOCAL; v1: its own addresses): auto is as the pool "
	         "does, but on a \"port\" that is not the servers' own none is sent." },
	{ "protocol", &type_choice, OF(conf_check, protocol), .def = "auto", .choices = protocols,
	  .redo = REDO_CHECK,
	  .doc = "What an http check speaks, HTTP/1.1 (http) or HTTP/2 (h2): auto is as the pool "
	         "does, but HTTP/1.1 on a \"port\" that is not the servers' own." },
	{ "port", &type_count, OF(conf_check, port), .min = 1, .max = 65535, .redo = REDO_CHECK,
	  .flags = ROW_OPTIONAL, .doc = "Port to probe; the server's own unless set." },
	{ "interval", &type_duration, OF(conf_check, interval), .min = 10 * MS, .max = HOUR,
	  .def = "2s", .redo = REDO_CHECK, .flags = ROW_WIDE, .doc = "Time between two probes." },
	{ "fast_interval", &type_duration, OF(conf_check, fast_interval), .min = 10 * MS,
	  .max = HOUR, .redo = REDO_CHECK, .flags = ROW_WIDE | ROW_OPTIONAL,
	  .doc = "The same while a change of state is in the making." },
	{ "down_interval", &type_duration, OF(conf_check, down_interval), .min = 10 * MS,
	  .max = HOUR, .redo = REDO_CHECK, .flags = ROW_WIDE | ROW_OPTIONAL,
	  .doc = "The same while the server is down." },
	{ "timeout", &type_duration, OF(conf_check, timeout), .min = 1 * MS, .max = HOUR,
	  .def = "1s", .redo = REDO_CHECK, .flags = ROW_WIDE,
	  .doc = "Time after which a probe has failed." },
	{ "rise", &type_count, OF(conf_check, rise), .min = 1, .max = 100, .def = "2",
	  .redo = REDO_CHECK, .doc = "Successes in a row that bring a server back." },
	{ "fall", &type_count, OF(conf_check, fall), .min = 1, .max = 100, .def = "3",
	  .redo = REDO_CHECK, .doc = "Failures in a row that take a server out." },
	{ "jitter", &type_percent, OF(conf_check, jitter), .max = 50, .def = "10%",
	  .redo = REDO_CHECK, .doc = "By how much intervals vary, so that probes spread." },
	END
};

#define IS(kind) PROBES_OF(kind)

/* Which kinds an option is of. */
static const struct {
	const char *key;
	uint32_t kinds;
} belongs[] = {
	{ "method", IS(HTTP) },
	{ "host", IS(HTTP) | IS(GRPC) },
	{ "headers", IS(HTTP) },
	{ "expect", IS(HTTP) },
	{ "match", IS(HTTP) | IS(TCP) },
	{ "send", IS(TCP) },
	{ "user", IS(EXEC) },
	{ "role", IS(REDIS) | IS(POSTGRES) },
	{ "login", IS(REDIS) | IS(POSTGRES) | IS(MYSQL) },
	{ "password", IS(REDIS) | IS(POSTGRES) | IS(MYSQL) },
	{ "database", IS(POSTGRES) },
	{ "dns_type", IS(DNS) },
	{ "expiry", IS(TLS) },
	{ "over_tls", PROBES_OVER_TLS },
	{ "tls", PROBES_OVER_TLS | IS(TLS) },
	{ "send_proxy", PROBES_CONNECT },
	{ "protocol", IS(HTTP) },
};

/* "http", "http or tcp", "a, b or c". */
static const char *list_kinds(uint32_t set, const char *last, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (uint32_t k = PROBE_TCP; k < PROBE_KINDS; k++) {
		if (!(set >> k & 1))
			continue;
		set &= ~(1U << k);
		used += (size_t)snprintf(out + used, size - used, "%s%s",
		                         used == 0 ? "" : (set == 0 ? last : ", "), kinds[k]);
		CHECK(used < size);
	}
	return out;
}

static void check_kind(struct load *l, const struct node *n, struct conf_check *c)
{
	const struct node *first = NULL, *child;
	char list[128];

	for (uint32_t k = PROBE_TCP; k < PROBE_KINDS; k++) {
		child = node_get(n, kinds[k]);
		if (!child || (k == PROBE_TLS && child->kind == NODE_MAP)) {
			continue;
		}
		if (first) {
			problem_error(l->problems, child->key_at,
			              "a check is of one kind, and \"%.*s\" is here too%s",
			              STR_ARG(first->key),
			              k == PROBE_TLS || c->probe == PROBE_TLS
			                  ? ": to have that over TLS, say \"over_tls: true\""
			                  : "");
		} else {
			first = child;
			c->probe = k;
		}
	}
	if (!first && c->tls.on) { /* only the options of TLS: it is what is checked */
		first = node_get(n, "tls");
		c->probe = PROBE_TLS;
	}
	if (!first) {
		problem_error(l->problems, n->key.s ? n->key_at : n->at, "a check needs one of %s",
		              list_kinds((1U << PROBE_KINDS) - 2, " and ", list, sizeof(list)));
	}
}

static void check_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_check *c = object;
	const struct node *child;
	char list[128];

	check_kind(l, n, c);
	for (unsigned i = 0; c->probe != PROBE_NONE && i < ARRAY_LEN(belongs); i++) {
		child = node_get(n, belongs[i].key);
		if (child && !(belongs[i].kinds >> c->probe & 1)) {
			problem_warning(l->problems, child->key_at,
			                "\"%s\" has no effect: this is no %s check", belongs[i].key,
			                list_kinds(belongs[i].kinds, " or ", list, sizeof(list)));
		}
	}
	child = node_get(n, "port");
	if (child && (c->probe == PROBE_PING || c->probe == PROBE_EXEC)) {
		problem_warning(l->problems, child->key_at,
		                "\"port\" has no effect: %s checks use none", kinds[c->probe]);
	}
	child = node_get(n, "over_tls");
	if (child && c->over_tls == CHECK_TLS_OFF && c->tls.on) {
		problem_error(l->problems, child->key_at,
		              "\"over_tls: false\" contradicts \"tls\": leave one of them out");
	}
	if (c->probe == PROBE_REDIS && c->login.len && !c->password.len) {
		problem_error(l->problems, node_get(n, "login")->key_at,
		              "\"login\" without \"password\": redis knows no such login");
	}
}

static bool check_has(const struct row *row, const void *object)
{
	const struct conf_check *c = object;

	if ((row->offset == offsetof(struct conf_check, over_tls) &&
	     c->over_tls == CHECK_TLS_AUTO) ||
	    (row->offset == offsetof(struct conf_check, send_proxy) &&
	     c->send_proxy == CHECK_PROXY_AUTO) ||
	    (row->offset == offsetof(struct conf_check, protocol) &&
	     c->protocol == CHECK_PROTOCOL_AUTO) ||
	    (row->offset == offsetof(struct conf_check, role) && c->role == CHECK_ROLE_ANY)) {
		return false;
	}
	for (unsigned i = 0; i < ARRAY_LEN(belongs); i++) {
		if (strcmp(row->name, belongs[i].key) == 0) {
			return belongs[i].kinds >> c->probe & 1;
		}
	}
	return true;
}

static bool check_print(struct str key, const void *object, struct emit *o)
{
	return ((const struct conf_check *)object)->probe == PROBE_NONE;
}

const struct rows schema_check = {
	"check", 0, check_rows, .brief_print = check_print, .finish = check_finish, .has = check_has
};
