/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration is one table: a row for each option with its name, type, bounds, default, what
 * must be redone when it changes, where its value lies in struct conf, and a line of documentation.
 * The reader, show, diff, the image, the JSON Schema and the manual page all go by these rows.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include "conf/conf.h"
#include "conf/emit.h"
#include "conf/tree.h"

struct load;
struct walk;
struct row;
struct rows;

/* What a change of an option touches, in the order of weight. */
#define REDO_ROWS(X) \
	X(NOTHING, "nothing is interrupted") \
	X(LOG, "logging follows at once") \
	X(ROUTES, "routes are rebuilt; open requests end on the old ones") \
	X(LISTENER, "the next request sees it; open connections stay") \
	X(BIND, "a listening socket is opened or closed") \
	X(POOL, "the pool's next choice sees it; open requests stay") \
	X(SERVER, "a server's connections are made anew; others stay") \
	X(CHECK, "checks of the pool start over with its states kept") \
	X(CONTROL, "the control role follows; traffic is not touched") \
	X(VIP, "the virtual IP is adjusted; its address stays") \
	X(VIP_ANEW, "the virtual IP starts over; its address may move") \
	X(THREADS, "proxy threads are started or ended; connections move on as they close") \
	X(RESTART, "needs a restart of holdfast")

enum redo {
#define REDO_ENUM(name, text) REDO_##name,
	REDO_ROWS(REDO_ENUM)
#undef REDO_ENUM
};

enum row_flags {
	ROW_REQUIRED = 1,
	ROW_HIDDEN = 2,    /* derived: not in the file, only in the image */
	ROW_LOWER = 4,     /* letters become lower case */
	ROW_ONE = 8,       /* a list that may be written as one value */
	ROW_WIDE = 16,     /* a number of 64 bits */
	ROW_LATER = 32,    /* for a later version: refused, with these words */
	ROW_OPTIONAL = 64, /* 0 or empty means "not set": not shown */
	ROW_INLINE = 128,  /* a group whose keys stand among those of the map it is in */
	ROW_UNSET = 256,   /* a wide number: UINT64_MAX means "not set": not shown */
};

/* A type of value. Objects are structs of conf.h; the member lies at row->offset. */
struct row_type {
	const char *name; /* for messages and the manual: "a duration" */
	/* Reads a node into the object; reports problems itself. */
	void (*read)(struct load *l, const struct row *row, const struct node *n, void *object);
	/* Writes the value under row->name; nothing where it is not set. */
	void (*print)(const struct row *row, const void *object, struct emit *o);
	/* The value of "what it must look like" in JSON Schema: members, no braces. */
	void (*schema)(const struct row *row, struct buf *out);
	/* Goes over the bytes that lie outside the object, and checks what a foreign image holds.
	 * NULL: nothing to do. */
	void (*walk)(const struct row *row, void *object, struct walk *w);
};

struct row {
	const char *name;
	const struct row_type *type;
	uint32_t offset;
	uint32_t with; /* offset of the companion: the count of an array, the text of an address */
	uint64_t min, max;
	const char *def;            /* as it would stand in the file */
	const char *const *choices; /* words; the value is the place (numbers) or the word */
	const char *zero;           /* the word for 0 */
	const char *later;          /* a word that a later version takes; or why, for ROW_LATER */
	const struct rows *sub;     /* of groups and maps */
	const char *(*check)(struct str text);
	enum redo redo;
	unsigned flags;
	const char *doc;
};

/* For the tables. */
#define OF(type, member)   .offset = offsetof(struct type, member)
#define WITH(type, member) .with = offsetof(struct type, member)
#define END \
	{ \
		.name = NULL \
	}

struct rows {
	const char *what;    /* "pool" */
	size_t size;         /* of the struct in an array of named things */
	const struct row *v; /* ends with name NULL */
	/* A value that is not a map: true when it was taken or reported. NULL: only maps. */
	bool (*brief_read)(struct load *l, const struct rows *rows, const struct node *n,
	                   void *object);
	/* Prints instead of a map: true when it did, also for nothing at all. NULL: never. */
	bool (*brief_print)(struct str key, const void *object, struct emit *o);
	const char *brief_schema; /* JSON Schema of that value */
	const char *brief_doc;    /* what it means, for the manual */
	/* After the keys of a map were read. */
	void (*finish)(struct load *l, const struct node *n, void *object);
	const char *doc;
	/* What names of such things in a map may be; NULL: value_is_name. */
	const char *(*is_name)(struct str name);
	/* Whether an option is of use to that object: else it is not shown. NULL: all are. */
	bool (*has)(const struct row *row, const void *object);
};

/* A brief_read: a text in the place of the map is the value of the first row. */
bool schema_brief_first(struct load *l, const struct rows *rows, const struct node *n,
                        void *object);

extern const struct rows schema_root;
extern const struct rows schema_listener, schema_route, schema_pool, schema_server, schema_check;
extern const struct rows schema_passive, schema_access_log;
/* schema_timeouts.c: with defaults, and those that override them */
extern const struct rows schema_listener_timeouts, schema_timeouts;
/* schema_acme.c */
extern const struct rows schema_issuer;
/* schema_tls.c */
extern const struct rows schema_tls, schema_cert, schema_tls_host;
/* schema_http2.c */
extern const struct rows schema_http2;
/* schema_pool_tls.c; what those of a check share with a pool's */
extern const struct rows schema_pool_tls;
extern const struct row schema_pool_tls_rows[];
void schema_pool_tls_finish(struct load *l, const struct node *n, void *object);
/* schema_tcp.c: keys of listeners that stand among the others */
extern const struct rows schema_listener_tcp;
extern const char *const schema_send_proxy[];
/* Sets of kinds of checks: those that can speak TLS, and those that make a connection. */
#define PROBES_OF(kind) (1U << PROBE_##kind)
#define PROBES_OVER_TLS \
	(PROBES_OF(TCP) | PROBES_OF(HTTP) | PROBES_OF(GRPC) | PROBES_OF(REDIS) | \
	 PROBES_OF(POSTGRES) | PROBES_OF(SMTP))
#define PROBES_CONNECT (PROBES_OVER_TLS | PROBES_OF(TLS) | PROBES_OF(MYSQL))
/* schema_check.c: schema_check; schema_vip.c */
extern const struct rows schema_node, schema_vip, schema_track, schema_named_check, schema_slo;

/* The member of an object that a row, or its companion, is about; const in CAT and CWITH. */
#define ROW_AT(type, row, object)   ((type *)(void *)((char *)(object) + (row)->offset))
#define ROW_WITH(type, row, object) ((type *)(void *)((char *)(object) + (row)->with))
#define ROW_CAT(type, row, object) \
	((const type *)(const void *)((const char *)(object) + (row)->offset))
#define ROW_CWITH(type, row, object) \
	((const type *)(const void *)((const char *)(object) + (row)->with))

/* types_number.c, types_word.c, types_text.c: single values */
extern const struct row_type type_bool, type_count, type_percent, type_duration, type_size;
extern const struct row_type type_mode, type_choice, type_word, type_text, type_secret, type_list;
extern const struct row_type type_either;
extern const struct row_type type_retries, type_share, type_derived_bool, type_later, type_derived,
    type_derived_list, type_derived_count;
/* types_net.c: addresses and networks */
extern const struct row_type type_address, type_server_address, type_binds, type_networks, type_ip;
/* types_http.c: header maps, statuses, pages */
extern const struct row_type type_headers, type_statuses, type_pages;
/* schema_tcp.c */
extern const struct row_type type_sni;
/* types_check.c: kinds of checks, bytes to send */
extern const struct row_type type_probe, type_probe_grpc, type_escaped;
/* types_vip.c: what only virtual IPs have */
extern const struct row_type type_vip_address, type_vip_addresses, type_priorities, type_preempt;
/* types_track.c: conditions of virtual IPs, what a named check probes */
extern const struct row_type type_track, type_check_address;
/* types_tls.c: lists of maps, paths of files that others read, what only TLS has */
extern const struct row_type type_items, type_path, type_tls_version, type_internal, type_redirect;
/* types_tree.c: groups of rows and maps of named things */
extern const struct row_type type_group, type_map;

/* redo.c */
const char *redo_text(enum redo redo);
/* The members of the JSON Schema of an object, without braces. */
void schema_object(const struct rows *rows, struct buf *out);
/* The same, or the short form where there is one. */
void schema_object_or_brief(const struct rows *rows, struct buf *out);
/* Prints the members of an object, one below the other. */
void print_rows(const struct rows *rows, const void *object, struct emit *o);

#endif
