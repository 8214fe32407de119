/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loaded configuration: immutable plain data, made by the loader from the schema rows, written to
 * a sealed memory file (conf_image_*) that every role maps. All arrays are sorted by name; all
 * strings are NUL-terminated as well; durations are nanoseconds, sizes bytes; a duration of 0 in
 * conf_timeouts means "not set here".
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/buf.h"
#include "conf/conf_acme.h"
#include "conf/conf_list.h"
#include "conf/conf_tls.h"
#include "conf/conf_vip.h"
#include "http/http.h"
#include "net/addr.h"

/* Limits that the board and the names in it set. */
#define CONF_MAX_LISTENERS     512
#define CONF_MAX_ROUTES        16384
#define CONF_MAX_POOLS         4096
#define CONF_MAX_SERVERS       16384 /* of all pools together */
#define CONF_MAX_VIPS          64
#define CONF_MAX_CHECKS        256
#define CONF_MAX_NODES         64
#define CONF_MAX_TRACK         16 /* conditions of a virtual IP */
#define CONF_MAX_VIP_ADDRESSES 64 /* of a virtual IP: what one advertisement holds */
#define CONF_MAX_ISSUERS       16
#define CONF_MAX_NAME          59 /* so that "pool/server" has at most 119 characters */

struct conf_timeouts {
	uint64_t connect;
	uint64_t request_header;
	uint64_t request_body;
	uint64_t response;
	uint64_t tunnel;
	uint64_t keep_alive;
	uint64_t handshake; /* of TLS, and of a PROXY header before it */
	uint64_t
	    half_close;   /* after one side of a tunnel or TCP connection has ended its direction */
	uint64_t session; /* of UDP: without a datagram either way */
};

/* --- listeners ------------------------------------------------------------------------------ */

struct conf_http2 {
	bool on;
	uint32_t max_streams; /* of a connection at a time */
	uint32_t window;      /* bytes a stream may send ahead */
	uint32_t max_resets;  /* streams a client may give up in 10 s before GOAWAY */
};

/* Where a TCP listener sends connections for a name in the ClientHello. */
struct conf_sni_route {
	struct str name; /* lower case; "db.shop.test" or "*.shop.test" */
	struct str to;
	uint32_t pool;
};

enum conf_protocol { PROTOCOL_HTTP, PROTOCOL_TCP, PROTOCOL_UDP };

struct conf_error_page { /* the user's own page for a status */
	uint32_t status;
	struct str path; /* as configured */
	struct str body; /* read by the loader, at most 64 KiB */
	struct str type; /* Content-Type by the file's extension */
};

enum conf_log_format { LOG_FORMAT_JSON, LOG_FORMAT_COMBINED };

struct conf_access_log {
	bool on;
	struct str path; /* "stderr" or a file */
	uint32_t format; /* enum conf_log_format */
	double sample;   /* share of the requests written, 0 … 1; errors (5xx) always */
};

struct conf_listener {
	struct str name;
	uint32_t slot; /* on the board; set by the parent */
	const struct net_addr *bind;
	const struct str *bind_text;
	uint32_t nbind;
	uint32_t protocol; /* enum conf_protocol */
	uint32_t mode;     /* of unix sockets */
	uint32_t max_connections;
	uint32_t max_line;
	uint32_t max_header_size;
	uint32_t max_headers;
	uint64_t max_body;             /* 0: unlimited */
	struct conf_timeouts timeouts; /* all set: the defaults fill them */
	struct conf_access_log access_log;
	const struct conf_error_page *pages;
	uint32_t npages;
	struct conf_tls tls;
	struct conf_http2 http2;
	const struct net_cidr *accept_proxy; /* from here a PROXY header is expected */
	uint32_t naccept_proxy;
	bool redirect_https;              /* answers every request with a redirect there */
	uint32_t redirect_port;           /* 443 */
	struct str to;                    /* tcp and udp: the pool; "": by `sni` alone */
	uint32_t pool;                    /* its index; CONF_NO_POOL */
	const struct conf_sni_route *sni; /* tcp: by the ClientHello's name, first; by name */
	uint32_t nsni;
};

/* The pool of a TCP listener's connection whose ClientHello names that host ("": none): by the
 * exact name, else the longest wildcard, else `to`; CONF_NO_POOL where that is not set. */
uint32_t conf_sni_pool(const struct conf_listener *l, struct str host);

/* --- routes and pools ----------------------------------------------------------------------- */

struct conf_match_header {
	struct str name;
	struct str value; /* empty: the header must be there */
};

struct conf_route {
	struct str name;
	uint32_t slot;
	struct conf_list hosts;   /* lower case; "*.shop.test"; none: any */
	struct str path;          /* prefix on segment borders; "/" by default */
	struct conf_list methods; /* none: any */
	const struct conf_match_header *headers;
	uint32_t nheaders;
	const struct net_cidr *clients;
	uint32_t nclients;
	struct conf_list listeners; /* names; none: all */
	struct str to;
	uint32_t pool;     /* index in conf->pools */
	int32_t retries;   /* -1: the pool's */
	uint64_t max_body; /* 0: the listener's */
	struct conf_timeouts timeouts;
	const struct conf_error_page *pages;
	uint32_t npages;
	struct str file; /* where it is defined, for explain */
	uint32_t line;
};

enum conf_balance {
	BALANCE_ROUND_ROBIN,
	BALANCE_LEAST_CONN,
	BALANCE_RANDOM_TWO,
	BALANCE_SOURCE_HASH,
	BALANCE_HEADER_HASH
};

/* In the order of the probe table. */
enum conf_probe {
	PROBE_NONE,
	PROBE_TCP,
	PROBE_HTTP,
	PROBE_EXEC,
	PROBE_TLS,
	PROBE_GRPC,
	PROBE_REDIS,
	PROBE_POSTGRES,
	PROBE_MYSQL,
	PROBE_SMTP,
	PROBE_DNS,
	PROBE_PING,
	PROBE_KINDS
};

enum conf_check_role { CHECK_ROLE_ANY, CHECK_ROLE_PRIMARY, CHECK_ROLE_REPLICA };
enum conf_check_tls { CHECK_TLS_AUTO, CHECK_TLS_ON, CHECK_TLS_OFF }; /* auto: as the pool's */
enum conf_check_proxy { CHECK_PROXY_AUTO, CHECK_PROXY_OFF, CHECK_PROXY_V1, CHECK_PROXY_V2 };
enum conf_check_protocol { CHECK_PROTOCOL_AUTO, CHECK_HTTP1, CHECK_H2 };

struct conf_check {
	uint32_t probe;    /* enum conf_probe */
	struct str http;   /* path */
	struct str method; /* GET */
	struct str host;   /* "": the server's address */
	const struct conf_match_header *headers;
	uint32_t nheaders;
	uint64_t expect[10]; /* bit s-100 … : expected statuses 100 … 739, default 200–399 */
	struct str expect_text; /* as configured */
	struct str match;       /* the body must contain it; "": any */
	struct conf_list exec;
	struct str user;          /* of exec; "": the roles' user */
	struct str send;          /* tcp: bytes sent once connected, escapes resolved; "": none */
	struct str grpc;          /* service; "": the server as a whole */
	uint32_t role;            /* redis, postgres: enum conf_check_role */
	struct str login;         /* redis, postgres, mysql: user; "": see its row */
	struct str database;      /* postgres; "": "postgres" */
	struct str password;      /* redis, postgres, mysql; "": none */
	struct str dns;           /* name asked for */
	struct str dns_type;      /* "A" */
	uint64_t expiry;          /* tls: certificate valid for at least so long; 0: at all */
	uint32_t over_tls;        /* enum conf_check_tls */
	struct conf_pool_tls tls; /* of the check alone; see conf_check_tls */
	uint32_t send_proxy;      /* enum conf_check_proxy; see conf_check_send_proxy */
	uint32_t protocol;        /* http: enum conf_check_protocol; see conf_check_h2 */
	uint32_t port;            /* 0: the server's own */
	uint64_t interval;        /* 2s */
	uint64_t fast_interval;   /* while a change is in the making; 0: interval */
	uint64_t down_interval;   /* while down; 0: interval */
	uint64_t timeout;         /* 1s */
	uint32_t rise;            /* 2 */
	uint32_t fall;            /* 3 */
	uint32_t jitter;          /* percent of the interval, 10 */
};

/* "tcp", "http" … */
const char *conf_probe_name(uint32_t probe);

static inline bool conf_expects(const struct conf_check *c, unsigned status)
{
	return status >= 100 && status < 740 &&
	       (c->expect[(status - 100) / 64] >> ((status - 100) % 64) & 1) != 0;
}

struct conf_passive {
	bool on;              /* default: on */
	uint32_t failures;    /* consecutive, 5 */
	uint64_t eject;       /* time out of service at least, 10s; grows with repeats */
	uint32_t max_ejected; /* percent of the pool, 50 */
};

struct conf_server {
	struct str name;
	struct str id; /* "pool/server" */
	uint32_t slot;
	struct net_addr address;
	struct str address_text; /* as configured */
	uint32_t weight;         /* 1 … 256; 0: only by order of a hash: not used */
	bool backup;
	uint32_t max_connections; /* 0: the pool's */
};

enum conf_pool_protocol { POOL_HTTP1, POOL_H2 };
enum conf_send_proxy { SEND_PROXY_OFF, SEND_PROXY_V1, SEND_PROXY_V2 };

struct conf_pool {
	struct str name;
	uint32_t slot;
	uint32_t balance; /* enum conf_balance */
	struct str hash_header;
	struct conf_check check;
	struct conf_passive passive;
	uint32_t
	    panic_threshold;   /* percent of healthy servers below which all are used; 0: never */
	uint64_t slow_start;   /* 0: none */
	uint32_t retries;      /* 2 */
	uint32_t retry_budget; /* percent of requests, 20 */
	uint32_t max_connections;  /* per server, 0: unlimited */
	uint64_t queue_timeout;    /* 5s */
	uint32_t queue_length;     /* per server, 1024 */
	uint32_t idle_connections; /* per server and thread kept open, 1024 */
	uint32_t protocol;         /* enum conf_pool_protocol */
	struct conf_pool_tls tls;
	uint32_t send_proxy; /* enum conf_send_proxy */
	struct conf_timeouts timeouts;
	const struct conf_server *servers;
	uint32_t nservers;
	const struct conf_error_page *pages;
	uint32_t npages;
};

struct conf_node { /* a machine that shares the file */
	struct str name;
	struct str address; /* as configured */
	struct net_addr ip; /* port 0 */
};

/* --- all of it ------------------------------------------------------------------------------ */

/* What drills may show before they count as failed. UINT64_MAX: not set. */
struct conf_slo_limits {
	struct str name;      /* the scenario; "" for the limits of all */
	uint64_t outage;      /* ns without a good answer */
	uint64_t failed;      /* requests */
	uint64_t recovery;    /* ns until all is well again */
	uint64_t split_brain; /* ns during which two nodes held an address */
};

struct conf {
	uint64_t generation; /* set by the parent */
	uint64_t hash;       /* of everything: equal files are equal */
	struct str path;     /* of the main file */
	struct str cluster;
	struct str user;  /* that roles drop to, "holdfast" */
	uint32_t threads; /* 0: auto, one for each core */
	uint64_t shutdown_timeout;
	uint32_t max_connections; /* of the process; 0: auto from RLIMIT_NOFILE */
	struct conf_list trust_text;
	const struct net_cidr *trust; /* proxies whose forwarded headers count, networks that see
	                                 full reasons */
	uint32_t ntrust;
	const struct conf_error_page *pages;
	uint32_t npages;
	struct {
		bool on;
		struct str bind_text;
		struct net_addr bind;
		struct str token; /* changes need it; "": only the control socket may change */
	} control;
	struct {
		uint32_t level;    /* enum log_level */
		struct str to;     /* "stderr", "journald", "syslog" */
		struct str format; /* "auto", "text", "json" */
	} log;
	const struct conf_listener *listeners;
	uint32_t nlisteners;
	const struct conf_route *routes;
	uint32_t nroutes;
	const struct conf_pool *pools;
	uint32_t npools;
	const struct conf_node *nodes;
	uint32_t nnodes;
	uint32_t self; /* which of the nodes this is; CONF_NO_NODE; set by the parent */
	/* Named checks: each is a pool of one server that no route leads to, so that probes,
	 * damping and the board treat it as any other. The server's id is "check.NAME". */
	const struct conf_pool *checks;
	uint32_t nchecks;
	const struct conf_vip *vips;
	uint32_t nvips;
	struct conf_slo_limits slo;
	const struct conf_slo_limits *slo_drills; /* by name; what is not set there is slo's */
	uint32_t nslo_drills;
	const struct conf_issuer *issuers; /* the map `acme` */
	uint32_t nissuers;
};

#define CONF_NO_NODE UINT32_MAX
#define CONF_NO_POOL UINT32_MAX

/* The scenarios that slo.drills may name, ends with NULL: those of `holdfast drill`. */
extern const char *const conf_drills[];

/* --- loading -------------------------------------------------------------------------------- */

struct conf_loaded; /* a configuration with its memory and where each thing stands in its file */

struct conf_problems {
	struct buf text; /* all of them, as a compiler prints them, ready for a terminal */
	uint32_t errors;
	uint32_t warnings;
};

/*
 * Reads and checks a file and what it includes. Never NULL on OK; on ERR_INVALID problems tells
 * everything, located. Blocks on name resolution. The caller frees with conf_free. Colour in the
 * text only when `colour`.
 */
int conf_load(const char *path, bool colour, struct conf_problems *problems,
              struct conf_loaded **ret);
/* The same from memory, named `name` in problems. Touches neither files nor the network: includes,
 * secrets and pages from files, and names of servers are refused. */
int conf_load_text(struct str text, const char *name, bool colour, struct conf_problems *problems,
                   struct conf_loaded **ret);
void conf_free(struct conf_loaded *l);
const struct conf *conf_of(const struct conf_loaded *l);

/* --- the image ------------------------------------------------------------------------------ */

/* Writes a memory file that any process can map at any address. *ret_fd is the caller's. */
int conf_image_write(const struct conf_loaded *l, int *ret_fd);
/*
 * Maps an image privately (the file stays untouched) and relocates it; writable so that the parent
 * may set slots and generation before conf_image_seal. Validates that it is one of ours.
 */
int conf_image_map(int fd, struct conf **ret);
void conf_image_unmap(struct conf *c);
/* Writes the slots and the generation of a mapped image back into its file and seals it. */
int conf_image_seal(int fd, const struct conf *c);

/* --- looking at it -------------------------------------------------------------------------- */

const struct conf_pool *conf_pool_find(const struct conf *c, struct str name);
const struct conf_server *conf_server_find(const struct conf *c, struct str id,
                                           const struct conf_pool **ret_pool);

/* How the pool's, or the named check's, probes speak TLS; NULL: in clear text. */
const struct conf_pool_tls *conf_check_tls(const struct conf_pool *p);
/* The PROXY header that they begin with: enum conf_send_proxy. */
uint32_t conf_check_send_proxy(const struct conf_pool *p);
/* Whether they are http checks that speak HTTP/2. */
bool conf_check_h2(const struct conf_pool *p);

/* Whether something of that family is checked by ping. */
bool conf_pings(const struct conf *c, int family);

/* What is probed under that id: a server of a pool, or "check.NAME" of a named check. */
const struct conf_server *conf_probed_find(const struct conf *c, struct str id,
                                           const struct conf_pool **ret_pool);

const struct conf_vip *conf_vip_find(const struct conf *c, struct str name);
const struct conf_node *conf_node_find(const struct conf *c, struct str name);
/* The place of a node in a virtual IP's list; NULL where it may not hold it. */
const struct conf_vip_node *conf_vip_node(const struct conf_vip *v, uint32_t node);
/* Which node this machine is: the one of that name; without a name the one called as the host or
 * that name up to its first dot, else the only one whose address is among `own`. CONF_NO_NODE
 * where none or several are. */
uint32_t conf_node_self(const struct conf *c, const char *name, const char *host,
                        const struct net_addr *own, unsigned nown);
/* Whether an address, whatever its port, is a virtual one: this node need not have it now. */
bool conf_is_virtual(const struct conf *c, const struct net_addr *a);
/* The priority of an unwell node in the low band: 1 for the lowest of the nodes that may hold it,
 * 2 for the next … so that their order is kept. */
uint32_t conf_vip_low_priority(const struct conf_vip *v, uint32_t node);

/* The effective configuration as YAML or JSON, defaults included, secrets as ***. */
void conf_show(const struct conf *c, bool json, struct buf *out);
/* What going from a to b changes: one line each ("pools.web.servers.b: added; …") or JSON array.
 * Returns the number of changes. */
unsigned conf_diff(const struct conf *a, const struct conf *b, bool json, struct buf *out);
/* The JSON Schema (draft-07) and the manual page holdfast.yaml(5), from the rows. */
void conf_schema(struct buf *out);
void conf_manual(struct buf *out);

#endif
