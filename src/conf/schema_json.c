/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON Schema (draft-07) of the configuration file, for editors. */
#include "conf/schema.h"

static const char head[] =
    "{\n"
    "\"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
    "\"title\": \"holdfast.yaml\",\n"
    "\"description\": \"Configuration of Holdfast " HOLDFAST_VERSION "\",\n"
    "\"definitions\": {\n"
    "\"variable\": {\"type\": \"string\", \"pattern\": \"\\\\$\\\\{\"},\n"
    "\"duration\": {\"type\": \"string\", \"pattern\": "
    "\"^([0-9]+(\\\\.[0-9]+)?(us|ms|s|m|h|d))+$\"},\n"
    "\"size\": {\"type\": \"string\", \"pattern\": "
    "\"^[0-9]+(\\\\.[0-9]+)?(B|KiB|MiB|GiB|TiB|KB|MB|GB)$\"},\n"
    "\"address\": {\"type\": \"string\", \"pattern\": \"^unix:.|:[0-9]+$|\\\\$\\\\{\"},\n"
    "\"status\": {\"anyOf\": [{\"type\": \"integer\", \"minimum\": 100, \"maximum\": 599}, "
    "{\"type\": \"string\", \"pattern\": \"^[0-9 ,-]+$|\\\\$\\\\{\"}]},\n"
    "\"name\": {\"pattern\": \"^[A-Za-z0-9][A-Za-z0-9_.-]{0,58}$\"}\n"
    "},\n";

void schema_object_or_brief(const struct rows *rows, struct buf *out)
{
	if (rows->brief_schema) {
		buf_adds(out, "\"anyOf\": [{");
		schema_object(rows, out);
		buf_printf(out, "}, %s]", rows->brief_schema);
	} else {
		schema_object(rows, out);
	}
}

static void value(const struct row *row, struct buf *out)
{
	if (row->doc) {
		buf_adds(out, "\"description\": ");
		buf_json(out, str_from(row->doc));
		buf_adds(out, ", ");
	}
	if (row->def) {
		buf_adds(out, "\"default\": ");
		buf_json(out, str_from(row->def));
		buf_adds(out, ", ");
	}
	if (row->type == &type_map) {
		buf_adds(out, "\"type\": \"object\", ");
		if (!row->sub->is_name) {
			buf_adds(out, "\"propertyNames\": {\"$ref\": \"#/definitions/name\"}, ");
		}
		buf_adds(out, "\"additionalProperties\": {");
		schema_object_or_brief(row->sub, out);
		buf_adds(out, "}");
	} else if (row->type == &type_group) {
		schema_object_or_brief(row->sub, out);
	} else {
		row->type->schema(row, out);
	}
}

static bool add_properties(const struct rows *rows, bool some, struct buf *out)
{
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->flags & (ROW_HIDDEN | ROW_LATER)) {
			continue;
		}
		if (r->flags & ROW_INLINE) {
			some = add_properties(r->sub, some, out);
			continue;
		}
		buf_printf(out, "%s\n\"%s\": {", some ? "," : "", r->name);
		value(r, out);
		buf_adds(out, "}");
		some = true;
	}
	return some;
}

void schema_object(const struct rows *rows, struct buf *out)
{
	bool some = false;

	buf_adds(out, "\"type\": \"object\", \"additionalProperties\": false, \"properties\": {");
	add_properties(rows, false, out);
	buf_adds(out, "}");
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->flags & ROW_REQUIRED) {
			buf_printf(out, "%s\"%s\"", some ? ", " : ", \"required\": [", r->name);
			some = true;
		}
	}
	buf_adds(out, some ? "]" : "");
}

void conf_schema(struct buf *out)
{
	buf_adds(out, head);
	schema_object(&schema_root, out);
	buf_adds(out, "\n}\n");
}
