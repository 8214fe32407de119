/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the role; see files.h. Role acme. */
#include "acme/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define MAX_FILE (1u << 20)

/* "STATE/…" into out; "" where it is too long, which no file has as its name. */
static const char *path_of(char out[FILES_PATH], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static const char *path_of(char out[FILES_PATH], const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, FILES_PATH, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= FILES_PATH)
		out[0] = '\0';
	return out;
}

static int make(const char *path, char *why, size_t why_size)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return OK;
	snprintf(why, why_size, "cannot make the folder %s: %s", path, strerror(errno));
	return ERR_SYSTEM;
}

static void empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] != '.')
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

int acme_files_prepare(const char *state_dir, char *why, size_t why_size)
{
	static const char challenges[] = ACME_DIR "/challenges";
	static const char *const folders[] = { ACME_DIR, challenges, ACME_DIR_HTTP_01,
		                               ACME_DIR_TLS_ALPN_01, NULL };
	char path[FILES_PATH];

	for (unsigned i = 0; folders[i]; i++) {
		if (make(path_of(path, "%s/%s", state_dir, folders[i]), why, why_size) != OK)
			return ERR_SYSTEM;
	}
	empty(path_of(path, "%s/" ACME_DIR_HTTP_01, state_dir));
	empty(path_of(path, "%s/" ACME_DIR_TLS_ALPN_01, state_dir));
	return OK;
}

int acme_files_issuer(const char *state_dir, struct str issuer, char *why, size_t why_size)
{
	char path[FILES_PATH];
	int err =
	    make(path_of(path, "%s/" ACME_DIR "/%.*s", state_dir, STR_ARG(issuer)), why, why_size);

	if (err == OK)
		err = make(path_of(path, "%s/" ACME_DIR "/%.*s/live", state_dir, STR_ARG(issuer)),
		           why, why_size);
	return err;
}

/* --- keys ----------------------------------------------------------------------------------- */

static EVP_PKEY *read_key(const char *path, int *ret_errno)
{
	struct buf pem = BUF_INIT;
	EVP_PKEY *key = NULL;

	*ret_errno = 0;
	if (buf_read_file(&pem, path, MAX_FILE) == OK)
		key = acme_key_read(buf_str(&pem));
	else
		*ret_errno = errno;
	if (pem.len > 0)
		explicit_bzero(pem.p, pem.len);
	buf_free(&pem);
	return key;
}

static int write_key(EVP_PKEY *key, const char *path)
{
	struct buf pem = BUF_INIT;
	int err = acme_key_write(key, &pem);

	if (err == OK)
		err = buf_write_file(&pem, path, 0600);
	if (pem.len > 0)
		explicit_bzero(pem.p, pem.len);
	buf_free(&pem);
	return err;
}

EVP_PKEY *acme_files_account(const char *state_dir, struct str issuer, char *why, size_t why_size)
{
	char path[FILES_PATH];
	EVP_PKEY *key;
	int error;

	path_of(path, "%s/" ACME_DIR "/%.*s/account.key", state_dir, STR_ARG(issuer));
	key = read_key(path, &error);
	if (key && acme_key_is(key, ACME_KEY_P256))
		return key;
	if (key || error != ENOENT) {
		snprintf(why, why_size, "the account's key %s cannot be used: %s", path,
		         error ? strerror(error) : "it is no key on P-256");
		EVP_PKEY_free(key);
		return NULL;
	}
	key = acme_key_new(ACME_KEY_P256);
	if (key && write_key(key, path) == OK)
		return key;
	snprintf(why, why_size, "cannot make the account's key %s: %s", path,
	         key ? strerror(errno) : "no key");
	EVP_PKEY_free(key);
	return NULL;
}

/* --- pairs ---------------------------------------------------------------------------------- */

int acme_files_live(const char *state_dir, const struct conf_issuer *issuer,
                    const struct conf_list *hosts, struct acme_leaf *ret, char *why,
                    size_t why_size)
{
	struct buf chain = BUF_INIT;
	char dir[FILES_PATH];
	char path[FILES_PATH];
	EVP_PKEY *key;
	int error;
	int err = ERR_NOT_FOUND;

	*ret = (struct acme_leaf){ 0 };
	why[0] = '\0';
	acme_dir_live(state_dir, issuer->name, hosts->v[0], dir, sizeof(dir));
	key = read_key(path_of(path, "%s/privkey.pem", dir), &error);
	if (key && buf_read_file(&chain, path_of(path, "%s/fullchain.pem", dir), MAX_FILE) == OK) {
		err = acme_leaf_check(buf_str(&chain), key, hosts, ret, why, why_size);
		if (err == OK && !acme_key_is(key, (enum conf_acme_key)issuer->key)) {
			snprintf(why, why_size, "its key is of another type than configured");
			err = ERR_INVALID;
		}
	} else if (!key && error != ENOENT) {
		snprintf(why, why_size, "%s cannot be read", path);
		err = ERR_INVALID;
	}
	if (err != OK)
		*ret = (struct acme_leaf){ 0 };
	buf_free(&chain);
	EVP_PKEY_free(key);
	return err;
}

static void remove_pair(const char *dir)
{
	char path[FILES_PATH];

	unlink(path_of(path, "%s/privkey.pem", dir));
	unlink(path_of(path, "%s/fullchain.pem", dir));
	rmdir(dir);
}

/* Both folders change places at once. Where the filesystem cannot do that the key comes first: a
 * reader meets a pair that does not fit, for a moment, and looks again. */
static int put_in_place(const char *fresh, const char *dir)
{
	char from[FILES_PATH];
	char to[FILES_PATH];
	int error;

	if (rename(fresh, dir) == 0) /* nothing was there, or an empty folder */
		return OK;
	if (renameat2(AT_FDCWD, fresh, AT_FDCWD, dir, RENAME_EXCHANGE) == 0) {
		remove_pair(fresh);
		return OK;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return ERR_SYSTEM;
	if (rename(path_of(from, "%s/privkey.pem", fresh), path_of(to, "%s/privkey.pem", dir)) !=
	        0 ||
	    rename(path_of(from, "%s/fullchain.pem", fresh),
	           path_of(to, "%s/fullchain.pem", dir)) != 0)
		return ERR_SYSTEM;
	error = errno;
	remove_pair(fresh);
	errno = error;
	return OK;
}

static void sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int acme_files_store(const char *state_dir, struct str issuer, struct str host, struct str chain,
                     EVP_PKEY *key, char *why, size_t why_size)
{
	struct buf text = BUF_INIT;
	char dir[FILES_PATH];
	char fresh[FILES_PATH];
	char path[FILES_PATH];
	int err;

	acme_dir_live(state_dir, issuer, host, dir, sizeof(dir));
	path_of(fresh, "%s/" ACME_DIR "/%.*s/fresh", state_dir, STR_ARG(issuer));
	remove_pair(fresh);
	buf_addstr(&text, chain);
	err = make(fresh, why, why_size);
	if (err == OK &&
	    (write_key(key, path_of(path, "%s/privkey.pem", fresh)) != OK ||
	     buf_write_file(&text, path_of(path, "%s/fullchain.pem", fresh), 0600) != OK ||
	     put_in_place(fresh, dir) != OK)) {
		snprintf(why, why_size, "the certificate cannot be kept in %s: %s", dir,
		         strerror(errno));
		err = ERR_SYSTEM;
	}
	path_of(path, "%s/" ACME_DIR "/%.*s/live", state_dir, STR_ARG(issuer));
	sync_folder(path);
	buf_free(&text);
	return err;
}

/* --- challenges ----------------------------------------------------------------------------- */

static void challenge_path(char out[FILES_PATH], const char *state_dir,
                           const struct conf_issuer *issuer, const struct order_auth *a)
{
	if (issuer->challenge == ACME_HTTP_01)
		path_of(out, "%s/" ACME_DIR_HTTP_01 "/%s", state_dir, a->token);
	else
		path_of(out, "%s/" ACME_DIR_TLS_ALPN_01 "/%s.pem", state_dir, a->host);
}

int acme_files_present(const char *state_dir, const struct conf_issuer *issuer,
                       const struct order_auth *a, char *why, size_t why_size)
{
	struct buf text = BUF_INIT;
	char path[FILES_PATH];
	int err = OK;

	challenge_path(path, state_dir, issuer, a);
	if (issuer->challenge == ACME_HTTP_01)
		buf_adds(&text, a->answer);
	else
		err = acme_alpn_cert(str_from(a->host), str_from(a->answer), &text);
	if (err == OK)
		err = buf_write_file(&text, path, 0600);
	if (err != OK)
		snprintf(why, why_size, "cannot write the challenge %s: %s", path, strerror(errno));
	buf_free(&text);
	return err;
}

void acme_files_clean(const char *state_dir, const struct conf_issuer *issuer,
                      const struct order_auth *a)
{
	char path[FILES_PATH];

	challenge_path(path, state_dir, issuer, a);
	unlink(path);
}
