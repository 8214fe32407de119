/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: pools and their servers. */
#include "base/check.h"
#include "conf/load.h"
#include "conf/units.h"
#include "conf/value.h"

static const char *const balances[] = { "round_robin", "least_conn",  "random_two",
	                                "source_hash", "header_hash", NULL };

static const struct row passive_rows[] = {
	{ "failures", &type_count, OF(conf_passive, failures), .min = 1, .max = 1000, .def = "5",
	  .redo = REDO_CHECK, .doc = "Failed requests in a row that eject a server." },
	{ "eject", &type_duration, OF(conf_passive, eject), .min = 10 * MS, .max = HOUR,
	  .def = "10s", .redo = REDO_CHECK, .flags = ROW_WIDE,
	  .doc = "Time out of service, at least; grows when it happens again." },
	{ "max_ejected", &type_percent, OF(conf_passive, max_ejected), .max = 100, .def = "50%",
	  .redo = REDO_CHECK, .doc = "Most of a pool's servers that may be ejected at a time." },
	{ "enabled", &type_bool, OF(conf_passive, on), .def = "true", .redo = REDO_CHECK,
	  .doc = "Whether live traffic counts as a check at all." },
	END
};

static bool passive_read(struct load *l, const struct rows *rows, const struct node *n,
                         void *object)
{
	const struct row *on = &rows->v[ARRAY_LEN(passive_rows) - 2];

	if (n->kind != NODE_TEXT) {
		return false;
	}
	on->type->read(l, on, n, object);
	return true;
}

static bool passive_print(struct str key, const void *object, struct emit *o)
{
	bool on = ((const struct conf_passive *)object)->on;

	if (!on) {
		emit_literal(o, key.s, "false");
	}
	return !on;
}

const struct rows schema_passive = { "passive check", 0,
	                             passive_rows,    passive_read,
	                             passive_print,   "{\"type\": \"boolean\"}",
	                             "true or false", NULL };

static const struct row server_rows[] = {
	{ "name", &type_derived, OF(conf_server, name), .flags = ROW_HIDDEN },
	{ "id", &type_derived, OF(conf_server, id), .flags = ROW_HIDDEN },
	{ "address", &type_server_address, OF(conf_server, address),
	  WITH(conf_server, address_text), .redo = REDO_SERVER, .flags = ROW_REQUIRED,
	  .doc = "ADDRESS:PORT, [IPV6]:PORT, NAME:PORT (resolved at load) or unix:PATH." },
	{ "weight", &type_count, OF(conf_server, weight), .max = 256, .def = "1", .redo = REDO_POOL,
	  .doc = "Its share of the requests; 0: none." },
	{ "backup", &type_bool, OF(conf_server, backup), .def = "false", .redo = REDO_POOL,
	  .doc = "Takes requests only when no other server can." },
	{ "max_connections", &type_count, OF(conf_server, max_connections), .min = 1,
	  .max = 1000000, .redo = REDO_POOL, .flags = ROW_OPTIONAL,
	  .doc = "Requests on it at a time; the pool's unless set." },
	END
};

static bool server_read(struct load *l, const struct rows *rows, const struct node *n, void *object)
{
	const struct row *address = &rows->v[2];

	if (n->kind != NODE_TEXT) {
		return false;
	}
	address->type->read(l, address, n, object);
	return true;
}

static bool server_print(struct str key, const void *object, struct emit *o)
{
	const struct conf_server *s = object;

	if (s->weight != 1 || s->backup || s->max_connections) {
		return false;
	}
	emit_text_named(o, key, s->address_text);
	return true;
}

const struct rows schema_server = { "server",     sizeof(struct conf_server),
	                            server_rows,  server_read,
	                            server_print, "{\"$ref\": \"#/definitions/address\"}",
	                            "an address", NULL };

static const char *const pool_protocols[] = { "http", "h2", NULL };

static const struct row pool_rows[] = {
	{ "name", &type_derived, OF(conf_pool, name), .flags = ROW_HIDDEN },
	{ "balance", &type_choice, OF(conf_pool, balance), .def = "round_robin",
	  .choices = balances, .redo = REDO_POOL,
	  .doc = "How a server is chosen; source_hash and header_hash keep a client on one." },
	{ "hash_header", &type_text, OF(conf_pool, hash_header), .check = value_is_field_name,
	  .redo = REDO_POOL, .flags = ROW_OPTIONAL, .doc = "The header field of header_hash." },
	{ "check", &type_group, OF(conf_pool, check), .sub = &schema_check,
	  .doc = "How servers are probed. Without it a server counts as healthy." },
	{ "passive", &type_group, OF(conf_pool, passive), .sub = &schema_passive,
	  .doc = "How live traffic takes servers out." },
	{ "panic_threshold", &type_percent, OF(conf_pool, panic_threshold), .max = 100,
	  .def = "30%", .redo = REDO_POOL,
	  .doc = "When less than this share of the servers is healthy, all are used; 0%: never." },
	{ "slow_start", &type_duration, OF(conf_pool, slow_start), .min = 10 * MS, .max = HOUR,
	  .def = "none", .zero = "none", .redo = REDO_CHECK, .flags = ROW_WIDE,
	  .doc = "Time in which a server that came back gets its full share." },
	{ "retries", &type_count, OF(conf_pool, retries), .max = 10, .def = "2", .redo = REDO_POOL,
	  .doc = "Further attempts on other servers, where the request may be repeated." },
	{ "retry_budget", &type_percent, OF(conf_pool, retry_budget), .max = 100, .def = "20%",
	  .redo = REDO_POOL,
	  .doc = "Most retries in relation to requests, so that they never storm." },
	{ "max_connections", &type_count, OF(conf_pool, max_connections), .min = 1, .max = 1000000,
	  .def = "unlimited", .zero = "unlimited", .redo = REDO_POOL,
	  .doc = "Requests on each server at a time; further ones wait in its queue." },
	{ "queue_timeout", &type_duration, OF(conf_pool, queue_timeout), .min = 1 * MS, .max = HOUR,
	  .def = "5s", .redo = REDO_POOL, .flags = ROW_WIDE,
	  .doc = "Time in the queue after which a request is answered with 503." },
	{ "queue_length", &type_count, OF(conf_pool, queue_length), .max = 1000000, .def = "1024",
	  .redo = REDO_POOL, .doc = "Requests that may wait for each server." },
	{ "idle_connections", &type_count, OF(conf_pool, idle_connections), .max = 100000,
	  .def = "1024", .redo = REDO_POOL,
	  .doc = "Connections kept open to each server, for each thread." },
	{ "protocol", &type_choice, OF(conf_pool, protocol), .def = "http",
	  .choices = pool_protocols, .redo = REDO_SERVER,
	  .doc = "What is spoken to the servers: HTTP/1.1, or HTTP/2 (h2), which gRPC needs: by "
	         "prior knowledge in clear text, by ALPN over TLS." },
	{ "tls", &type_group, OF(conf_pool, tls), .sub = &schema_pool_tls,
	  .doc = "TLS towards the servers." },
	{ "send_proxy", &type_choice, OF(conf_pool, send_proxy), .def = "off",
	  .choices = schema_send_proxy, .redo = REDO_POOL,
	  .doc =
	      "Begins each connection with a PROXY header, version 1 or 2, that tells the server "
	      "the client's address; such connections are not shared by clients." },
	{ "timeouts", &type_group, OF(conf_pool, timeouts), .sub = &schema_timeouts,
	  .flags = ROW_OPTIONAL, .doc = "Override the listener's." },
	{ "error_pages", &type_pages, OF(conf_pool, pages), WITH(conf_pool, npages),
	  .redo = REDO_POOL, .doc = "Own error answers; before the listener's." },
	{ "servers", &type_map, OF(conf_pool, servers), WITH(conf_pool, nservers),
	  .max = CONF_MAX_SERVERS, .sub = &schema_server, .redo = REDO_POOL, .flags = ROW_REQUIRED,
	  .doc = "Who answers." },
	END
};

static void pool_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_pool *p = object;
	const struct node *balance = node_get(n, "balance"), *header = node_get(n, "hash_header");

	if (p->balance == BALANCE_HEADER_HASH && !header) {
		problem_error(l->problems, balance->at,
		              "balance by header_hash needs a \"hash_header\"");
	} else if (p->balance != BALANCE_HEADER_HASH && header) {
		problem_warning(l->problems, header->key_at,
		                "\"hash_header\" has no effect: balance is %s",
		                balances[p->balance]);
	}
	for (uint32_t i = 0; i < p->nservers; i++) {
		struct conf_server *s = (struct conf_server *)&p->servers[i];
		char *id = load_alloc(l, p->name.len + s->name.len + 2, 1);

		if (!id) {
			return;
		}
		memcpy(id, p->name.s, p->name.len);
		id[p->name.len] = '/';
		memcpy(id + p->name.len + 1, s->name.s, s->name.len);
		s->id = str_n(id, p->name.len + s->name.len + 1);
	}
	l->nservers += p->nservers;
}

const struct rows schema_pool = { "pool", sizeof(struct conf_pool), pool_rows,
	                          .finish = pool_finish,
	                          .doc = "Servers that answer the same requests." };
