/* SPDX-License-Identifier: Apache-2.0 */
/* What is generated from the schema rows: the JSON Schema and the manual page. */
#include "rows.h"

#include <jansson.h>

#include "conf_text.h"

/* Every $ref points at a definition. */
static void check_refs(json_t *j, json_t *definitions)
{
	const char *key;
	json_t *value;
	size_t i;

	json_object_foreach(j, key, value)
	{
		if (strcmp(key, "$ref") == 0) {
			const char *ref = json_string_value(value);

			assert_int_equal(strncmp(ref, "#/definitions/", 14), 0);
			assert_non_null(json_object_get(definitions, ref + 14));
		}
		check_refs(value, definitions);
	}
	json_array_foreach (j, i, value) {
		check_refs(value, definitions);
	}
}

static void test_schema(void **state)
{
	struct buf out = BUF_INIT;
	json_t *j, *listener;

	(void)state;
	conf_schema(&out);
	j = json_loads(buf_cstr(&out), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "$schema")),
	                    "http://json-schema.org/draft-07/schema#");
	check_refs(j, json_object_get(j, "definitions"));
	listener = json_object_get(json_object_get(j, "properties"), "listeners");
	listener = json_object_get(listener, "additionalProperties");
	assert_string_equal(json_string_value(
	                        json_array_get(json_object_get(listener, "required"), 0)),
	                    "bind");
	assert_non_null(json_object_get(json_object_get(listener, "properties"), "tls"));
	assert_non_null(json_object_get(json_object_get(listener, "properties"), "to"));
	assert_null(json_object_get(json_object_get(listener, "properties"), "name"));
	json_decref(j);
	buf_free(&out);
}

/* Each option that the schema knows has a description, and stands in the manual page. */
static void check_described(json_t *j, const char *manual)
{
	const char *key;
	json_t *value;
	char line[128];

	json_object_foreach(json_object_get(j, "properties"), key, value)
	{
		size_t used = (size_t)snprintf(line, sizeof(line), ".B %s\n(", key);

		assert_true(used < sizeof(line));
		if (!strstr(manual, line)) {
			print_error("not in the manual: %s\n", key);
			fail();
		}
		assert_non_null(json_object_get(value, "description"));
		check_described(value, manual);
		check_described(json_object_get(value, "additionalProperties"), manual);
	}
}

static void test_described(void **state)
{
	struct buf schema = BUF_INIT, manual = BUF_INIT;
	json_t *j;

	(void)state;
	conf_schema(&schema);
	conf_manual(&manual);
	j = json_loads(buf_cstr(&schema), 0, NULL);
	assert_non_null(j);
	check_described(j, buf_cstr(&manual));
	json_decref(j);
	buf_free(&schema);
	buf_free(&manual);
}

static void test_manual_is_current(void **state)
{
	struct buf manual = BUF_INIT, file = BUF_INIT;

	(void)state;
	conf_manual(&manual);
	assert_int_equal(buf_read_file(&file, SOURCE_ROOT "/doc/holdfast.yaml.5", 1 << 20), OK);
	if (!str_eq(buf_str(&manual), buf_str(&file))) {
		print_error(
		    "doc/holdfast.yaml.5 is stale: holdfast manual > doc/holdfast.yaml.5\n");
		fail();
	}
	buf_free(&manual);
	buf_free(&file);
}

int main(void)
{
	static struct rows r;

	rows_add(&r, "schema", test_schema, NULL);
	rows_add(&r, "every_option_is_described", test_described, NULL);
	rows_add(&r, "manual_is_current", test_manual_is_current, NULL);
	return rows_run(&r, "conf_schema");
}
