/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One order at an ACME authority (RFC 8555 section 7.1), from the directory to the certificate, as
 * a pure machine: it says what to do next and is told what came of it; the time is an argument. It
 * reads what the authority says, and believes nothing of it that it can check.
 */
#ifndef ACME_ORDER_H
#define ACME_ORDER_H

#include <openssl/types.h>

#include "acme/jws.h"
#include "conf/conf.h"
#include "tls/acme_dir.h"

#define ORDER_MAX_URL    2048
#define ORDER_MAX_ANSWER (256 * 1024) /* bytes of one answer of the authority */
#define ORDER_NONCES     20           /* a request is repeated so often for a bad nonce */
#define ORDER_PATIENCE   900          /* seconds that validation, and issuing, may take */
#define ORDER_POLL_MAX   60           /* seconds between two looks, at most */

/* What the driver has to do. */
enum order_do {
	ORDER_GET,     /* ask url; tell by acme_order_answer */
	ORDER_HEAD,    /* the same, for a nonce */
	ORDER_POST,    /* send body to url; tell by acme_order_answer */
	ORDER_PRESENT, /* make the answers of all `needed` challenges visible; acme_order_did */
	ORDER_WAIT,    /* ask again after `wait` seconds */
	ORDER_STORE,   /* keep order->chain; acme_order_did */
	ORDER_CLEAN,   /* take the answers back; acme_order_did */
	ORDER_END,     /* it is over: order->failed */
};

struct order_action {
	enum order_do what;
	const char *url;
	struct str body;
	uint64_t wait;
};

/* Of an HTTP request. */
struct order_answer {
	int err;         /* OK: there was an answer */
	const char *why; /* there was none */
	unsigned status;
	const char *nonce; /* fields; "" where they are not there */
	const char *location;
	uint64_t retry_after; /* seconds from now; 0: not said */
	struct str body;
};

/* Kinds of failure: how soon it makes sense to try again. */
enum order_failure {
	ORDER_WELL,
	ORDER_UNREACHABLE, /* no answer, or one that is none */
	ORDER_LIMITED,     /* a rate limit: what the authority says counts */
	ORDER_REFUSED,     /* a reason that goes away only when somebody mends it */
};

/* What is known of an authority beyond one order. */
struct order_session {
	const struct conf_issuer *issuer;
	EVP_PKEY *key; /* of the account */
	char thumbprint[ACME_THUMBPRINT];
	char new_nonce[ORDER_MAX_URL];
	char new_account[ORDER_MAX_URL];
	char new_order[ORDER_MAX_URL];
	char kid[ORDER_MAX_URL]; /* the account's URL; "": not known yet */
	char nonce[256];         /* for the next request; "": none */
	bool wants_eab;          /* the authority wants an external account */
};

struct order_auth { /* an authorization */
	char url[ORDER_MAX_URL];
	char host[256]; /* without "*." */
	bool read;
	bool valid;
	bool asked;                    /* the authority was told to look */
	char challenge[ORDER_MAX_URL]; /* its URL */
	char token[ACME_MAX_TOKEN + 1];
	char answer[ACME_MAX_ANSWER]; /* the key authorization (RFC 8555 section 8.1) */
	char digest[ACME_THUMBPRINT]; /* of it, for dns-01 */
};

enum order_step {
	STEP_DIRECTORY,
	STEP_ACCOUNT,
	STEP_CONTACT,
	STEP_ORDER,
	STEP_READ, /* authorizations */
	STEP_PRESENT,
	STEP_ASK, /* the authority to look */
	STEP_POLL,
	STEP_READY, /* the order, before it is finalized */
	STEP_FINALIZE,
	STEP_ISSUED, /* the order, after that */
	STEP_CERTIFICATE,
	STEP_STORE,
	STEP_CLEAN,
	STEP_END,
};

struct order {
	struct order_session *s;
	const struct conf_list *hosts;
	struct str csr; /* DER */
	enum order_step step;
	struct order_auth *auths; /* of hosts->n at most */
	unsigned nauths;
	unsigned at; /* the authorization in work */
	char url[ORDER_MAX_URL];
	char finalize[ORDER_MAX_URL];
	char certificate[ORDER_MAX_URL];
	struct buf body;     /* of the request under way */
	struct buf chain;    /* PEM, once there */
	unsigned bad_nonces; /* in succession */
	bool head;           /* a nonce is being asked for */
	bool presented;
	bool account_again; /* the account was lost and asked for once more */
	uint64_t not_yet;   /* seconds: nothing is sent before */
	uint64_t deadline;
	unsigned polls;
	/* The end: */
	enum order_failure failed;
	char error[512];      /* for people, the authority's own words where there are some */
	char error_type[64];  /* of its problem document: "rateLimited"; "" */
	uint64_t retry_after; /* seconds that it wants; 0: not said */
};

/* Ready for acme_order_next. csr, hosts and s must outlive it. OK or ERR_NOMEM. */
int acme_order_begin(struct order *o, struct order_session *s, const struct conf_list *hosts,
                     struct str csr);
/* What is to be done now; now: seconds, of any clock that does not jump. The strings are valid
 * until the next call. */
void acme_order_next(struct order *o, uint64_t now, struct order_action *ret);
void acme_order_answer(struct order *o, uint64_t now, const struct order_answer *a);
/* PRESENT, STORE or CLEAN is done, or could not be: why then. */
void acme_order_did(struct order *o, uint64_t now, enum order_do what, int err, const char *why);
/* Ends it: what was presented is taken back first. */
void acme_order_give_up(struct order *o, const char *why);
/* Whether the driver has to make the challenge of an authorization visible. */
bool acme_order_needs(const struct order_auth *a);
void acme_order_free(struct order *o);

/* --- requests (order_request.c) ------------------------------------------------------------- */

/* The URL and the payload of a step that sends something. NULL: it does not. */
const char *acme_order_request(struct order *o, struct buf *payload);

/* --- reading answers (order_json.c) --------------------------------------------------------- */

struct order_problem { /* RFC 7807, RFC 8555 section 6.7 */
	char type[64]; /* without its prefix */
	char text[512];
};

/* What a body says went wrong; without a problem document what the status says. */
void acme_order_read_problem(unsigned status, struct str body, struct order_problem *ret);
/* OK, or ERR_INVALID with why. */
int acme_order_read_directory(struct order_session *s, struct str body, char *why, size_t size);
/* A contact that is not the configured one: *ret_differs. */
void acme_order_read_account(const struct order_session *s, struct str body, bool *ret_differs);
/* *ret_status: "pending", "ready", …; at problem what the order failed for. */
int acme_order_read_order(struct order *o, struct str body, char *ret_status, size_t status_size,
                          struct order_problem *problem, char *why, size_t size);
int acme_order_read_auth(const struct order *o, struct order_auth *a, struct str body,
                         char *ret_status, size_t status_size, struct order_problem *problem,
                         char *why, size_t size);

#endif
