/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML reader: what it takes, what it refuses, and where it says so. */
#include "rows.h"

#include <string.h>

#include "conf/tree.h"

/* The tree on one line: "text", [list], {key: value}, ~ for nothing, ! for what was refused. */
static void dump(const struct node *n, struct buf *out)
{
	const char *sep = "";

	switch (n->kind) {
	case NODE_NULL:
		buf_addc(out, '~');
		break;
	case NODE_BAD:
		buf_addc(out, '!');
		break;
	case NODE_TEXT:
		buf_printf(out, "%s%.*s", n->plain ? "" : "'", STR_ARG(n->text));
		break;
	case NODE_LIST:
	case NODE_MAP:
		buf_addc(out, n->kind == NODE_LIST ? '[' : '{');
		for (const struct node *c = n->first; c; c = c->next) {
			buf_adds(out, sep);
			if (n->kind == NODE_MAP) {
				buf_printf(out, "%.*s:", STR_ARG(c->key));
			}
			dump(c, out);
			sep = ",";
		}
		buf_addc(out, n->kind == NODE_LIST ? ']' : '}');
		break;
	}
}

struct tree_case {
	const char *name;
	const char *text;
	const char *tree;    /* NULL: none */
	const char *problem; /* part of it; NULL: none */
	uint32_t errors;     /* 0: one where problem is set */
};

static const struct tree_case cases[] = {
	{ "empty", "", NULL, NULL },
	{ "blank_lines", "\n\n  \n", NULL, NULL },
	{ "comment", "# nothing here\n", NULL, NULL },
	{ "null", "~\n", NULL, NULL },
	{ "scalar", "abc\n", "abc", NULL },
	{ "map", "a: 1\nb: x y\n", "{a:1,b:x y}", NULL },
	{ "flow_map", "{ a: 1, b: { c: 2 } }", "{a:1,b:{c:2}}", NULL },
	{ "list", "- 1\n- 2\n", "[1,2]", NULL },
	{ "flow_list", "a: [1, [2, 3], {}]\n", "{a:[1,[2,3],{}]}", NULL },
	{ "nothing", "a:\nb: null\nc: ~\n", "{a:~,b:~,c:~}", NULL },
	{ "quotes", "a: \"x\"\nb: 'y'\n", "{a:'x,b:'y}", NULL },
	{ "quoted_null", "a: \"null\"\nb: \"\"\n", "{a:'null,b:'}", NULL },
	{ "escapes", "a: \"x\\ty\\u00e4\"\n", "{a:'x\ty\xc3\xa4}", NULL },
	{ "block_text", "a: |\n  x\n  y\n", "{a:'x\ny\n}", NULL },
	{ "folded_text", "a: >-\n  x\n  y\n", "{a:'x y}", NULL },
	{ "document_mark", "---\na: 1\n...\n", "{a:1}", NULL },
	{ "crlf", "a: 1\r\nb: 2\r\n", "{a:1,b:2}", NULL },
	{ "json", "{\"a\": [1, \"b\"]}", "{a:[1,'b]}", NULL },
	{ "quoted_key", "\"a b\": 1\n", "{a b:1}", NULL },
	{ "duplicate", "a: 1\nb: 2\na: 3\n", "{a:1,b:2}", "f:3:1: error: duplicate key \"a\"" },
	{ "duplicate_names_first", "a: 1\nb: 2\na: 3\n", "{a:1,b:2}", "in line 1" },
	{ "duplicate_nested", "x: { a: 1, a: 2 }\n", "{x:{a:1}}", "f:1:12: error: duplicate" },
	{ "duplicate_among_many", "a: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1\nh: 1\ni: 1\nd: 2\n",
	  "{a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1}", "f:10:1: error: duplicate key \"d\"" },
	{ "same_key_elsewhere", "a: { x: 1 }\nb: { x: 1 }\n", "{a:{x:1},b:{x:1}}", NULL },
	{ "alias", "a: 1\nb: *a\n", "{a:1,b:!}", "aliases are not supported" },
	{ "anchor", "a: &x 1\n", "{a:1}", "f:1:4: error: anchors are not supported" },
	{ "anchor_and_alias", "a: &x 1\nb: *x\n", "{a:1,b:!}", "aliases are not supported", 2 },
	{ "unquoted_star", "bind: *:80\n", NULL, "text that starts with * needs quotes" },
	{ "tag", "a: !!str 1\n", "{a:1}", "tags are not supported" },
	{ "own_tag", "a: !x 1\n", "{a:1}", "tags are not supported" },
	{ "tagged_map", "a: !x { b: 1 }\n", "{a:{b:1}}", "tags are not supported" },
	{ "second_document", "a: 1\n---\nb: 2\n", NULL, "f:2:1: error: a second document" },
	{ "complex_key", "? [a, b]\n: 1\n", NULL, "a key must be a single word" },
	{ "map_as_key", "{ {a: 1}: 2 }", NULL, "a key must be a single word" },
	{ "empty_key", "\"\": 1\nb: 2\n", "{b:2}", "a key is empty" },
	{ "tab", "a:\n\tb: 1\n", NULL, "f:2:1: error: a tab cannot indent" },
	{ "unclosed_list", "a: [1, 2\nb: 3\n", NULL, "f:2:2: error: \",\" or \"]\"" },
	{ "unclosed_map", "a: { b: 1\n", NULL, "\",\" or \"}\"" },
	{ "unclosed_quote", "a: \"x\n", NULL, "ends within quotes" },
	{ "bad_indent", "a:\n    b: 1\n  c: 2\n", NULL, "f:3:3: error: a key was expected" },
	{ "two_colons", "a: b: c\n", NULL, "f:1:5: error: a \": \" is not expected" },
	{ "no_colon", "a: 1\nb\nc: 1\n", NULL, "a key without" },
	{ "at_sign", "a: @x\n", NULL, "put the text in quotes" },
	{ "backtick", "a: `x`\n", NULL, "put the text in quotes" },
	{ "latin1", "a: b\xe4r\n", NULL, "error: this is not UTF-8" },
	{ "cut_utf8", "a: b\xc3", NULL, "not UTF-8" },
	{ "control_byte", "a: b\001\n", NULL, "control character" },
	{ "nul_escape", "a: \"x\\0y\"\n", "{a:!}", "NUL byte" },
	{ "nul_in_key", "\"x\\0y\": 1\nb: 2\n", "{b:2}", "NUL byte" },
	{ "utf8_column", "a: { \xc3\xa4: 1, \xc3\xa4: 2 }\n", "{a:{\xc3\xa4:1}}", "f:1:12:" },
	{ "several", "a: &x 1\nb: !y 2\nb: 3\n", "{a:1,b:2}", "f:3:1: error: duplicate", 3 },
};

static struct node *read_text(struct arena *arena, struct problem_list *p, struct str text)
{
	struct tree t = { .arena = arena, .problems = p };

	p->files[0] = (struct source){ "f", text };
	p->nfiles = 1;
	return tree_read(&t, 0);
}

static void test_tree(void **state)
{
	const struct tree_case *c = *state;
	struct problem_list *p = calloc(1, sizeof(*p));
	struct arena arena = ARENA_INIT;
	struct buf text = BUF_INIT, got = BUF_INIT;
	struct node *root = read_text(&arena, p, str_from(c->text));

	problem_print(p, false, &text);
	if (root && c->tree) {
		dump(root, &got);
		assert_string_equal(buf_cstr(&got), c->tree);
	}
	assert_true((root != NULL) == (c->tree != NULL));
	assert_int_equal(p->errors, c->errors ? c->errors : c->problem ? 1 : 0);
	if (c->problem && !strstr(buf_cstr(&text), c->problem)) {
		print_error("wanted %s, got %s", c->problem, buf_cstr(&text));
		fail();
	}
	buf_free(&text);
	buf_free(&got);
	problem_free(p);
	arena_free(&arena);
	free(p);
}

/* A text made of n times the same bytes is refused with that problem. */
static void refuse_repeated(const char *piece, size_t n, const char *problem)
{
	struct problem_list *p = calloc(1, sizeof(*p));
	struct arena arena = ARENA_INIT;
	struct buf text = BUF_INIT, out = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		buf_adds(&text, piece);
	}
	assert_null(read_text(&arena, p, buf_str(&text)));
	problem_print(p, false, &out);
	assert_int_equal(p->errors, 1);
	assert_non_null(strstr(buf_cstr(&out), problem));
	buf_free(&text);
	buf_free(&out);
	problem_free(p);
	arena_free(&arena);
	free(p);
}

static void test_depth(void **state)
{
	(void)state;
	refuse_repeated("[", 100000, "f:1:33: error: nested too deep");
	refuse_repeated("{a: ", 1000, "nested too deep");
	refuse_repeated("- ", 1000, "nested too deep");
}

static void test_nodes(void **state)
{
	(void)state;
	refuse_repeated("- a\n", TREE_MAX_NODES + 10, "too large: more than 400000 values");
}

/* The caret stands under the column, also behind tabs and wide lines. */
static void test_caret(void **state)
{
	struct problem_list *p = calloc(1, sizeof(*p));
	struct arena arena = ARENA_INIT;
	struct buf out = BUF_INIT;

	(void)state;
	read_text(&arena, p, STR("x: 1\nabc: 2\nabc: 3\n"));
	problem_print(p, false, &out);
	assert_string_equal(buf_cstr(&out),
	                    "f:3:1: error: duplicate key \"abc\": it stands in line 2 already\n"
	                    "    3 | abc: 3\n"
	                    "      | ^~~\n");
	buf_free(&out);
	problem_free(p);
	arena_free(&arena);
	free(p);
}

static void test_colour(void **state)
{
	struct problem_list *p = calloc(1, sizeof(*p));
	struct arena arena = ARENA_INIT;
	struct buf plain = BUF_INIT, colour = BUF_INIT;

	(void)state;
	read_text(&arena, p, STR("a: 1\na: 2\n"));
	problem_print(p, false, &plain);
	problem_print(p, true, &colour);
	assert_null(strchr(buf_cstr(&plain), '\033'));
	assert_non_null(strchr(buf_cstr(&colour), '\033'));
	buf_free(&plain);
	buf_free(&colour);
	problem_free(p);
	arena_free(&arena);
	free(p);
}

/* Control bytes of a source line never reach the terminal. */
static void test_harmless(void **state)
{
	struct problem_list *p = calloc(1, sizeof(*p));
	struct arena arena = ARENA_INIT;
	struct buf out = BUF_INIT;

	(void)state;
	read_text(&arena, p, STR("a: \033[31m\x9b\n"));
	problem_print(p, false, &out);
	assert_int_equal(p->errors, 1);
	assert_null(strchr(buf_cstr(&out), '\033'));
	assert_null(strchr(buf_cstr(&out), '\x9b'));
	buf_free(&out);
	problem_free(p);
	arena_free(&arena);
	free(p);
}

/* Fifty are shown, the others counted. */
static void test_many(void **state)
{
	struct problem_list *p = calloc(1, sizeof(*p));
	struct arena arena = ARENA_INIT;
	struct buf text = BUF_INIT, out = BUF_INIT;

	(void)state;
	for (int i = 0; i < 2001; i++) {
		buf_adds(&text, "a: 1\n");
	}
	read_text(&arena, p, buf_str(&text));
	problem_print(p, false, &out);
	assert_int_equal(p->errors, 2000);
	assert_non_null(strstr(buf_cstr(&out), "and 1950 more errors"));
	assert_non_null(strstr(buf_cstr(&out), "f:51:1:"));
	assert_null(strstr(buf_cstr(&out), "f:52:1:"));
	buf_free(&text);
	buf_free(&out);
	problem_free(p);
	arena_free(&arena);
	free(p);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, cases, test_tree);
	rows_add(&r, "depth_is_limited", test_depth, NULL);
	rows_add(&r, "nodes_are_limited", test_nodes, NULL);
	rows_add(&r, "caret", test_caret, NULL);
	rows_add(&r, "colour", test_colour, NULL);
	rows_add(&r, "control_bytes_are_harmless", test_harmless, NULL);
	rows_add(&r, "fifty_are_shown", test_many, NULL);
	return rows_run(&r, "conf_tree");
}
