/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: files and what they include, the rows' reading, then the checks of the whole. */
#include "conf/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/include.h"
#include "conf/value.h"

#define MAX_NAMED_FILES (64 * 1024 * 1024) /* bytes of pages and secrets together */

static const char minimal[] = "a minimal file looks like this:\n"
                              "  listeners:\n"
                              "    http: { bind: \"*:80\" }\n"
                              "  pools:\n"
                              "    web:\n"
                              "      check: { http: /health }\n"
                              "      servers: { a: 10.0.0.21:80, b: 10.0.0.22:80 }\n"
                              "  routes:\n"
                              "    all: { to: web }";

/* --- what the row types use ------------------------------------------------------------------- */

void *load_alloc(struct load *l, size_t count, size_t size)
{
	void *p =
	    size && count > SIZE_MAX / size ? NULL : arena_alloc(l->arena, MAX(count, 1) * size);

	if (!p) {
		problem_error(l->problems, ((struct place){ .file = 0 }), "out of memory");
	}
	return p;
}

void load_refuse(struct load *l, const struct row *row, const struct node *n, struct str value,
                 const char *why)
{
	struct str name = str_from(row->name);

	problem_error(l->problems, n->at, "\"%.*s\": \"%.*s%s\" %s", STR_ARG(name),
	              (int)MIN(value.len, 80), value.s, value.len > 80 ? "…" : "", why);
}

void load_wrong_type(struct load *l, const struct row *row, const struct node *n)
{
	const char *also = row->sub && row->sub->brief_doc ? row->sub->brief_doc : NULL;

	problem_error(l->problems, n->at, "\"%.*s\" must be %s%s%s, not %s",
	              (int)MIN(n->key.s ? n->key.len : strlen(row->name), 80),
	              n->key.s ? n->key.s : row->name,
	              row->sub && row->type == &type_map && n->key.s &&
	                      !str_eq(n->key, str_from(row->name))
	                  ? "a map"
	                  : row->type->name,
	              also ? " or " : "", also ? also : "",
	              n->kind == NODE_TEXT && n->text.len == 0 ? "empty" : node_what(n));
}

bool load_text(struct load *l, const struct row *row, const struct node *n, struct str *ret)
{
	const char *why = NULL;

	if (n->kind == NODE_BAD) {
		return false;
	}
	if (n->kind != NODE_TEXT) {
		load_wrong_type(l, row, n);
		return false;
	}
	if (value_expand(l->arena, n->text, ret, &why) != OK) {
		load_refuse(l, row, n, n->text, why ? why : "needs more memory than there is");
		return false;
	}
	return true;
}

uint32_t load_items(struct load *l, const struct row *row, const struct node *n)
{
	if (n->kind == NODE_TEXT && (row->flags & ROW_ONE || row->type != &type_list)) {
		return 1;
	}
	if (n->kind != NODE_LIST) {
		load_wrong_type(l, row, n);
		return 0;
	}
	if (n->n == 0) {
		problem_error(l->problems, n->at, "\"%s\" is an empty list", row->name);
	}
	return n->n;
}

static int read_file(const char *path, size_t max, struct buf *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = ERR_SYSTEM;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		err = !S_ISREG(st.st_mode)         ? ERR_SYSTEM
		      : (uint64_t)st.st_size > max ? ERR_TOO_LARGE
		                                   : buf_read_file(b, path, max);
	}
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return err;
}

static const char *errno_text(int error)
{
	return error == EINVAL ? "it is not a regular file" : strerror(error);
}

int load_file(struct load *l, const struct node *n, struct str path, size_t max, struct str *ret)
{
	const char *base = l->problems->files[n->at.file].path, *full = path.s;
	const char *slash = strrchr(base, '/');
	struct buf b = BUF_INIT;
	int err;

	if (l->offline) {
		problem_error(l->problems, n->at, "files are not read here: \"%.*s\"",
		              (int)MIN(path.len, 200), path.s);
		return ERR_DENIED;
	}
	if (path.len == 0 || strlen(path.s) != path.len || path.len > 4000) {
		problem_error(l->problems, n->at, "this is not the path of a file");
		return ERR_INVALID;
	}
	if (path.s[0] != '/' && slash) {
		full = arena_printf(l->arena, "%.*s/%s", (int)(slash - base), base, path.s);
	}
	err = full ? read_file(full, max, &b) : ERR_NOMEM;
	if (err == OK && ((l->file_bytes += b.len) > MAX_NAMED_FILES)) {
		err = ERR_TOO_LARGE;
	}
	if (err == OK) {
		*ret = arena_str(l->arena, buf_str(&b));
	} else if (err == ERR_SYSTEM) {
		problem_error(l->problems, n->at, "cannot read \"%s\": %s", full,
		              errno_text(errno));
	} else {
		problem_error(l->problems, n->at,
		              l->file_bytes > MAX_NAMED_FILES
		                  ? "cannot read \"%s\": the files named are larger than 64 MiB"
		                  : "cannot read \"%s\": it is too large",
		              full);
	}
	buf_free(&b);
	return err;
}

/* --- files ------------------------------------------------------------------------------------ */

/* Without the byte order mark that some editors put before UTF-8. */
static struct str without_mark(struct str text)
{
	return str_starts(text, STR("\xef\xbb\xbf")) ? str_n(text.s + 3, text.len - 3) : text;
}

static bool read_source(struct load *l, const char *path, struct place from)
{
	struct problem_list *p = l->problems;
	struct buf b = BUF_INIT;
	int err = read_file(path, TREE_MAX_FILE, &b);

	if (err == ERR_SYSTEM) {
		problem_error(p, from, "cannot read %s: %s", path, errno_text(errno));
	} else if (err != OK) {
		problem_error(p, from, "%s is larger than 16 MiB: this is no configuration", path);
	} else {
		p->files[p->nfiles - 1].text = arena_str(&p->arena, without_mark(buf_str(&b)));
	}
	buf_free(&b);
	return err == OK && p->files[p->nfiles - 1].text.s;
}

struct node *load_source(struct load *l, struct tree *t, const char *path, struct place from)
{
	struct problem_list *p = l->problems;
	struct node *root;

	if (p->nfiles == PROBLEM_MAX_FILES) {
		problem_error(p, from, "more than %d files are included", PROBLEM_MAX_FILES);
		return NULL;
	}
	p->files[p->nfiles++] = (struct source){ arena_str(&p->arena, str_from(path)).s, STR("") };
	if (p->nfiles == 1) {
		from.file = 0;
	}
	if (!read_source(l, path, from)) {
		return NULL;
	}
	root = tree_read(t, p->nfiles - 1);
	if (root && root->kind != NODE_MAP) {
		problem_error(p, root->at, "the file must be a map of listeners, pools and routes");
		return NULL;
	}
	return root;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void load_tree(struct load *l, struct node *root)
{
	load_defaults(l, &schema_root, l->conf);
	l->conf->self = CONF_NO_NODE;
	l->root = root;
	load_rows(l, &schema_root, root, l->conf);
	verify(l);
	verify_ties(l);
	verify_vips(l);
	verify_tls(l);
	verify_acme(l);
	if (l->problems->errors == 0) {
		verify_warnings(l);
		verify_vip_warnings(l);
		verify_acme_warnings(l);
	}
}

static int finish(struct conf_loaded *c, bool colour, struct conf_problems *problems,
                  struct conf_loaded **ret)
{
	int err = c->problems.errors ? ERR_INVALID : image_pack(c);

	if (err == ERR_NOMEM) {
		problem_error(&c->problems, ((struct place){ .file = 0 }), "out of memory");
	}
	problem_print(&c->problems, colour, &problems->text);
	problems->errors += c->problems.errors;
	problems->warnings += c->problems.warnings;
	if (err != OK) {
		conf_free(c);
		c = NULL;
	}
	*ret = c;
	return err;
}

static void load_into(struct conf_loaded *c, const char *path, struct str text, bool offline)
{
	struct load l = {
		.arena = &c->arena, .problems = &c->problems, .conf = &c->conf, .offline = offline
	};
	struct tree t = { .arena = &c->arena, .problems = &c->problems };
	struct node *root;

	c->conf.path = arena_str(&c->arena, str_from(path));
	if (offline) {
		c->problems.files[0] = (struct source){ path, without_mark(text) };
		c->problems.nfiles = 1;
		root = tree_read(&t, 0);
		if (root && root->kind != NODE_MAP) {
			problem_error(&c->problems, root->at,
			              "the file must be a map of listeners, pools and routes");
			root = NULL;
		}
	} else {
		root = load_source(&l, &t, path, (struct place){ 0 });
	}
	if (!root && c->problems.errors == 0) {
		problem_error(&c->problems, ((struct place){ .file = 0 }), "the file is empty; %s",
		              minimal);
	}
	if (root) {
		include_all(&l, &t, root);
		load_tree(&l, root);
	}
}

int conf_load(const char *path, bool colour, struct conf_problems *problems,
              struct conf_loaded **ret)
{
	struct conf_loaded *c = calloc(1, sizeof(*c));
	char *real = realpath(path, NULL);

	*ret = NULL;
	if (!c) {
		free(real);
		return ERR_NOMEM;
	}
	load_into(c, path, STR_NONE, false);
	if (real) {
		c->conf.path = arena_str(&c->arena, str_from(real));
		free(real);
	}
	return finish(c, colour, problems, ret);
}

int conf_load_text(struct str text, const char *name, bool colour, struct conf_problems *problems,
                   struct conf_loaded **ret)
{
	struct conf_loaded *c = calloc(1, sizeof(*c));

	*ret = NULL;
	if (!c) {
		return ERR_NOMEM;
	}
	load_into(c, name, text, true);
	return finish(c, colour, problems, ret);
}

void conf_free(struct conf_loaded *l)
{
	if (l) {
		problem_free(&l->problems);
		arena_free(&l->arena);
		free(l->image);
		free(l);
	}
}

const struct conf *conf_of(const struct conf_loaded *l)
{
	return &l->conf;
}
