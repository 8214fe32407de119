/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: from a request to its answer, or to the change that the parent is to be asked for. No
 * I/O but for the status file of the role acme: it reads the board and the committed configuration,
 * so tests and the fuzzer call it as the role does.
 */
#ifndef CONTROL_API_H
#define CONTROL_API_H

#include "base/buf.h"
#include "conf/conf.h"
#include "core/explain.h"
#include "ipc/msg.h"
#include "stat/board.h"
#include "stat/cert.h"

struct jw;

struct api {
	struct board *board;
	const struct conf *conf; /* committed */
	int image_fd;            /* the sealed file it came in; -1: none */
	bool orphan;             /* the parent has gone */
	const char *state_dir;   /* NULL: none */
	explain_fn *explain;     /* may be NULL */
};

struct api_request {
	struct str method;
	struct str path;
	struct str query;
	struct str body;
	struct str host;
	struct str authorization; /* the field's value; empty: none */
	bool local;               /* by the control socket, which may change things */
};

/* What the parent is to be asked. */
struct api_change {
	enum ipc_type type; /* IPC_RELOAD, IPC_UPGRADE, IPC_ORDER, IPC_SWITCHOVER, IPC_LIST */
	union {
		struct ipc_list list;
		struct ipc_order order;
		struct ipc_switchover switchover;
	};
};

struct api_answer {
	unsigned status;
	const char *type;
	const char *extra; /* further header lines; static; may be NULL */
	struct buf body;   /* the caller's to free */
};

/* OK with *ans, or ERR_AGAIN with *change: the answer is api_result() of the parent's. */
int api_handle(const struct api *a, const struct api_request *q, struct api_answer *ans,
               struct api_change *change);
/* The answer to a change from the parent's result. */
void api_result(const struct api_change *change, const struct ipc_result *r,
                struct api_answer *ans);
/* The same for LIST: files hold the rows. */
void api_listed(const struct api_change *change, const struct ipc_listed *n, const int *files,
                int nfiles, struct api_answer *ans);
/* {"error": …} with that status. */
void api_error(struct api_answer *ans, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The value of a key in a query string, percent-decoded into out (at most size - 1 bytes and NUL).
 * ERR_NOT_FOUND, ERR_TOO_LARGE, ERR_SYNTAX (a broken escape or a NUL). */
int api_query(struct str query, const char *key, char *out, size_t size);

/* Whether a change that came by TCP may be made; else its refusal in *ans. */
bool api_may_change(const struct conf *c, const struct api_request *q, struct api_answer *ans);

/* --- views, each appends a whole document --------------------------------------------------- */

void view_status(const struct api *a, struct buf *out);
void view_roles(const struct api *a, struct buf *out);
/* The counters of every object, for live views that take differences. */
void view_stats(const struct api *a, struct buf *out);
/* Events from number `since` on, at most `limit`. */
void view_events(const struct api *a, uint64_t since, uint64_t limit, struct buf *out);

/* Virtual IPs and named checks, as members of a document. */
void view_vips(const struct api *a, struct jw *w);
/* Certificates, and where the local authority is. */
void view_certificates(const struct api *a, struct jw *w);
/* Tells those that are refused or near their end; returns how many further ones there are. */
typedef void view_cert_fn(void *arg, const char *origin, const char *why);
uint32_t view_certs_ill(const struct api *a, view_cert_fn *tell, void *arg);
void view_checks(const struct api *a, struct jw *w);
/* Certificates by ACME, as a member. */
void view_acme(const struct api *a, struct jw *w);
/* The short form for live views. */
void view_vips_brief(const struct api *a, struct jw *w);

enum health { HEALTH_HEALTHY, HEALTH_DEGRADED, HEALTH_UNHEALTHY };
extern const char *const health_name[];
/* The node's health; appends the JSON of its parts when out is not NULL. */
enum health view_health(const struct api *a, struct buf *out);

/* Prometheus text format 0.0.4. */
void metrics_write(const struct api *a, struct buf *out);

/* Sums that several views need. */
uint64_t view_requests(const struct stat_block *sum, uint64_t *ret_errors);
uint32_t view_active(struct board *b, uint32_t slot);
/* What the role vrrp says about a virtual IP of the configuration; false: nothing (yet). */
bool view_vip(const struct api *a, const struct conf_vip *v, struct board_vip *ret);
/* Whether this node may hold it. */
bool view_vip_is_ours(const struct api *a, const struct conf_vip *v);
/* The state of what checks decide about: state, reason, since, probes. */
void view_probed(struct jw *w, const struct board_server *s);
/* The row of a role; NULL where the node does without it. */
const struct board_role *view_role(const struct api *a, const char *name);

#endif
