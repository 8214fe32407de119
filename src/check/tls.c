/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the checks of a pool speak TLS with, made of its options and of files that came in the store
 * of certificates. Role check, main thread.
 */
#include <openssl/tls1.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "check/server.h"

/* What one pool's is made of. */
struct wanted {
	struct tls_client_options options;
	uint64_t key; /* equal for what is equal */
};

struct store *check_tls_store(const struct role_conf *conf)
{
	int fd = role_conf_fd(conf, ROLE_FD_CERTS, 0, 0);
	struct store *s = NULL;
	int err = fd < 0 ? OK : store_map(fd, &s);

	if (err != OK) {
		log_error("certs", NULL, "the store cannot be mapped: %s", err_text(err));
		return NULL;
	}
	return s;
}

static uint64_t mix(uint64_t key, struct str bytes)
{
	return hash_bytes(key ^ bytes.len, bytes.s != NULL ? bytes.s : "", bytes.len);
}

/* A file of the store; false: it is wanted and not there. */
static bool file_of(const struct store *store, struct str path, struct str *ret)
{
	*ret = path.len > 0 && store != NULL ? store_file(store, path) : STR_NONE;
	return path.len == 0 || ret->len > 0;
}

static const char *alpn_of(const struct conf_pool *p)
{
	if (p->check.probe == PROBE_GRPC || conf_check_h2(p)) {
		return "\2h2";
	}
	return p->check.probe == PROBE_HTTP ? "\10http/1.1" : NULL;
}

static int want(const struct conf_pool *pool, const struct conf_pool_tls *t,
                const struct store *store, struct wanted *w, char *why, size_t why_size)
{
	struct str key = t->key.len > 0 ? t->key : t->cert;
	struct str missing = STR_NONE;

	*w = (struct wanted){ .options = {
		                  .verify = t->verify,
		                  .min_version =
		                      t->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION,
		                  /* a resumed session shows no certificate */
		                  .resumption = t->resumption && pool->check.probe != PROBE_TLS,
		                  .alpn = alpn_of(pool),
		              } };
	if (t->verify && !file_of(store, t->ca, &w->options.ca)) {
		missing = t->ca;
	} else if (!file_of(store, t->cert, &w->options.cert)) {
		missing = t->cert;
	} else if (!file_of(store, key, &w->options.key)) {
		missing = key;
	}
	if (missing.len > 0) {
		(void)snprintf(why, why_size, "%s \"%.*s\": \"%.*s\" could not be read",
		               pool->check.tls.on ? "check of" : "pool", STR_ARG(pool->name),
		               STR_ARG(missing));
		return ERR_NOT_FOUND;
	}
	w->key = 1 + t->verify + 2 * w->options.min_version + 8192 * w->options.resumption;
	w->key = mix(mix(mix(w->key, w->options.ca), w->options.cert), w->options.key);
	w->key = mix(mix(w->key, t->server_name), str_from(w->options.alpn));
	return OK;
}

static int make(const struct check_pool *pool, const struct wanted *w, struct tls_client **ret,
                char *why, size_t why_size)
{
	char reason[200] = "";

	*ret = tls_client_new(&w->options, reason, sizeof(reason));
	if (*ret != NULL) {
		return OK;
	}
	(void)snprintf(why, why_size, "pool \"%.*s\": TLS of its checks: %s",
	               STR_ARG(pool->conf->name), reason);
	return ERR_INVALID;
}

int check_tls_pool(struct check_pool *pool, const struct store *store, char *why, size_t why_size)
{
	const struct conf_pool_tls *t = conf_check_tls(pool->conf);
	struct wanted w;
	int err;

	if (t == NULL) {
		return OK;
	}
	err = want(pool->conf, t, store, &w, why, why_size);
	if (err == OK) {
		err = make(pool, &w, &pool->tls, why, why_size);
	}
	if (err == OK) {
		pool->tls_key = w.key;
	}
	return err;
}

/* Takes over what is new for one pool of the set in force. */
static int renew(struct check_pool *pool, const struct store *store, char *why, size_t why_size)
{
	const struct conf_pool_tls *t = conf_check_tls(pool->conf);
	struct tls_client *old = pool->tls, *fresh;
	struct wanted w;
	int err;

	if (t == NULL) {
		return OK;
	}
	err = want(pool->conf, t, store, &w, why, why_size);
	if (err != OK || w.key == pool->tls_key) {
		return err;
	}
	err = make(pool, &w, &fresh, why, why_size);
	if (err != OK) {
		return err;
	}
	pool->tls = fresh;
	pool->tls_key = w.key;
	for (uint32_t k = 0; k < pool->conf->nservers; k++) {
		if (pool->servers[k]->pool == pool) {
			check_server_tls(pool->servers[k]);
		}
	}
	tls_client_free(old);
	return OK;
}

void check_tls_certs(struct check *c, const struct ipc_msg *m)
{
	struct check_set *sets[] = { c->now, c->next };
	struct store *store = NULL;
	char why[400] = "", all[400] = "";
	int err = m->nfds > 0 ? store_map(m->fds[0], &store) : ERR_INVALID;
	int first = err;

	if (err != OK) {
		(void)snprintf(all, sizeof(all), "the store cannot be mapped: %s", err_text(err));
	}
	/* What fails keeps what it had; the first reason is told. */
	for (unsigned s = 0; err == OK && s < 2; s++) {
		for (uint32_t i = 0; sets[s] != NULL && i < sets[s]->nall; i++) {
			int e = renew(&sets[s]->pools[i], store, why, sizeof(why));

			if (e != OK && first == OK) {
				first = e;
				memcpy(all, why, sizeof(all));
			}
		}
	}
	if (store != NULL) {
		store_unmap(store);
	}
	(void)ipc_send_result(c->role->parent, IPC_CERTED, m->id, first, 0, all);
}
