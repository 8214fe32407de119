/* SPDX-License-Identifier: Apache-2.0 */
/* A load in progress: what the row types and the checks work with. */
#ifndef CONF_LOAD_H
#define CONF_LOAD_H

#include "conf/schema.h"

/* Structs with all defaults filled in, made once for each table of rows. */
struct load_template {
	const struct rows *rows;
	void *object;
};

struct load {
	struct arena *arena;
	struct problem_list *problems;
	struct conf *conf;
	bool offline; /* touch neither files nor the network */
	uint32_t nservers;
	size_t file_bytes; /* of pages and secrets read so far */
	struct load_template templates[32];
	uint32_t ntemplates;
	/* Nodes of the named things, in the order of conf's arrays. */
	struct node **listeners, **routes, **pools, **nodes, **checks, **vips, **issuers;
	uint64_t issuers_used; /* verify_acme.c: a bit for each */
	const struct node *root;
};

struct conf_loaded {
	struct arena arena;
	struct problem_list problems;
	struct conf conf;
	void *image; /* packed; see image.c */
	size_t image_size;
};

/* Zeroed memory; a failed allocation is reported once and gives NULL. */
void *load_alloc(struct load *l, size_t count, size_t size);
/* The text of a single value, environment variables replaced. False: not one, reported. */
bool load_text(struct load *l, const struct row *row, const struct node *n, struct str *ret);
/* Reports a value that is wrong: KEY: "VALUE" why. */
void load_refuse(struct load *l, const struct row *row, const struct node *n, struct str value,
                 const char *why);
/* Reports that a node is not what the row wants. */
void load_wrong_type(struct load *l, const struct row *row, const struct node *n);
/* Calls fn for the items of a list, or for the one value that may stand instead. Returns their
 * number; 0 when reported. */
uint32_t load_items(struct load *l, const struct row *row, const struct node *n);
#define load_item_first(n)      ((n)->kind == NODE_LIST ? (n)->first : (n))
#define load_item_next(n, item) ((n)->kind == NODE_LIST ? (item)->next : NULL)
/* Reads the keys of a map into an object that has its defaults already. */
void load_rows(struct load *l, const struct rows *rows, const struct node *n, void *object);
/* Fills an object with the defaults of its rows. */
void load_defaults(struct load *l, const struct rows *rows, void *object);
/* Reads a map, or the short form of it, into an object that has its defaults. */
void load_object(struct load *l, const struct row *row, const struct node *n, void *object);
/* An object of these rows with all defaults, to copy from; NULL: reported. */
const void *load_template(struct load *l, const struct rows *rows);
/* The contents of a file that the configuration names, relative to the file that names it. OK or
 * an error (reported). */
int load_file(struct load *l, const struct node *n, struct str path, size_t max, struct str *ret);

/* verify.c: what needs the whole: references, addresses. */
void verify(struct load *l);
/* verify_ties.c: routes of which neither is more specific. */
void verify_ties(struct load *l);
/* Finds the pool of a name; reports at `at` where there is none. CONF_NO_POOL then. */
uint32_t verify_pool_name(struct load *l, struct str name, struct place at);
/* verify_tcp.c: what listeners of each protocol may have, and their pools; warnings of that. */
void verify_tcp(struct load *l);
void verify_tcp_warnings(struct load *l, bool *used);
/* verify_vip.c: nodes, named checks, virtual IPs. */
void verify_vips(struct load *l);
/* Reports that there is no such thing, with the nearest of the guesses. */
void verify_undefined(struct load *l, struct place at, const char *what, const struct guess *g);
/* What a check says of itself wherever it stands; n: its map. */
void verify_check(struct load *l, const struct conf_check *c, const struct node *n);
/* verify_acme.c */
void verify_acme(struct load *l);
void verify_acme_warnings(struct load *l);
/* verify_tls.c: what certificates refer to. */
void verify_tls(struct load *l);
/* Ciphers, suites and groups are known; n: the map of `tls`. */
void verify_tls_names(struct load *l, const struct conf_tls *t, const struct node *n);
/* verify_certs.c: files are there and hold what they should; n: the map of `tls`. */
void verify_cert_files(struct load *l, const struct conf_tls *t, const struct node *n);
void verify_pool_files(struct load *l, const struct conf_pool_tls *t, const struct node *n);
/* Whether a check suits the address of what it is about; at: its map. */
void verify_check_address(struct load *l, const struct conf_check *c, const struct conf_server *s,
                          const struct node *at);
/* warn.c: what is allowed and undermines availability. */
void verify_warnings(struct load *l);
void verify_check_warnings(struct load *l, const struct conf_check *c, const struct node *check);
/* warn_vip.c */
void verify_vip_warnings(struct load *l);

/* image.c: packs l->conf into l->image and sets its hash. OK or ERR_NOMEM. */
int image_pack(struct conf_loaded *l);

#endif
