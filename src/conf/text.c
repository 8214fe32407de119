/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of texts in a configuration: names, paths, hosts, header fields. */
#include <arpa/inet.h>

#include "base/check.h"
#include "conf/conf.h"
#include "conf/value.h"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.s[i] < 0x20 || s.s[i] == 0x7f) {
			return true;
		}
	}
	return false;
}

const char *value_is_name(struct str text)
{
	if (text.len > CONF_MAX_NAME) {
		return "is longer than 59 characters";
	}
	for (size_t i = 0; i < text.len; i++) {
		if (!is_alnum(text.s[i]) && (i == 0 || !strchr("_.-", text.s[i]))) {
			return "may hold letters, digits and, after the first, \"_\", \".\" and "
			       "\"-\" only";
		}
	}
	return text.len ? NULL : "is empty";
}

static const char *path_bytes(struct str text, const char *refused)
{
	if (text.len == 0 || text.s[0] != '/') {
		return "must start with \"/\"";
	}
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.s[i] <= 0x20 || (unsigned char)text.s[i] >= 0x7f) {
			return "holds a character that must be percent-encoded in a path";
		}
		if (strchr(refused, text.s[i])) {
			return text.s[i] == '?' ? "holds a query (\"?\"): only the path counts"
			                        : "holds a fragment (\"#\")";
		}
	}
	return text.len > 4096 ? "is longer than 4096 bytes" : NULL;
}

const char *value_is_url_path(struct str text)
{
	return path_bytes(text, "?#");
}

const char *value_is_probe_path(struct str text)
{
	return path_bytes(text, "#");
}

const char *value_is_method(struct str text)
{
	if (!http_is_token(text) || text.len > 32) {
		return "is not a method name, like GET";
	}
	for (size_t i = 0; i < text.len; i++) {
		if (text.s[i] >= 'a' && text.s[i] <= 'z') {
			return "has lower-case letters: methods are case-sensitive, like GET";
		}
	}
	return NULL;
}

const char *value_is_field_name(struct str text)
{
	return http_is_token(text) && text.len <= 256 ? NULL : "is not a header name";
}

const char *value_is_field_value(struct str text)
{
	if (!http_is_value(text)) {
		return "holds a control character";
	}
	return text.len > 4096 ? "is longer than 4096 bytes" : NULL;
}

static const char *is_dns_name(struct str name)
{
	size_t label = 0;

	if (name.len && name.s[name.len - 1] == '.') {
		name.len--;
	}
	if (name.len > 253) {
		return "is longer than 253 characters";
	}
	for (size_t i = 0; i < name.len; i++) {
		char c = name.s[i];

		if (c == '.') {
			if (label == 0) {
				return "has an empty label";
			}
			label = 0;
		} else if (is_alnum(c) || c == '-' || c == '_') {
			if (++label > 63) {
				return "has a label longer than 63 characters";
			}
		} else if ((unsigned char)c >= 0x80) {
			return "is not ASCII: write the name in its xn-- form";
		} else if (c == ':') {
			return "must not carry a port";
		} else if (c == '*') {
			return "may have \"*\" only as its whole first label, like *.shop.test";
		} else if (c == '/') {
			return "is not a host name: a scheme or path does not belong here";
		} else {
			return "is not a host name";
		}
	}
	return label ? NULL : "is empty";
}

const char *value_is_host(struct str text)
{
	unsigned char ip[16];
	char copy[64];

	if (text.len > 2 && text.s[0] == '[' && text.s[text.len - 1] == ']') {
		if (text.len >= sizeof(copy)) {
			return "is not an IPv6 address";
		}
		memcpy(copy, text.s + 1, text.len - 2);
		copy[text.len - 2] = '\0';
		return inet_pton(AF_INET6, copy, ip) == 1 ? NULL : "is not an IPv6 address";
	}
	if (str_eq(text, STR("*"))) {
		return "takes any host: leave \"host\" out instead";
	}
	if (str_starts(text, STR("*."))) {
		text = str_n(text.s + 2, text.len - 2);
	}
	return is_dns_name(text);
}

const char *value_is_host_field(struct str text)
{
	return text.len && text.len < 256 && http_is_value(text) &&
	               !memchr(text.s, ' ', text.len) && !memchr(text.s, '/', text.len)
	           ? NULL
	           : "is not a host name";
}

const char *value_is_word(struct str text)
{
	if (text.len == 0) {
		return "is empty";
	}
	if (text.len > 4096) {
		return "is longer than 4096 bytes";
	}
	return has_control(text) ? "holds a control character" : NULL;
}

const char *value_is_web_url(struct str text)
{
	struct str rest = str_starts(text, STR("https://"))  ? str_n(text.s + 8, text.len - 8)
	                  : str_starts(text, STR("http://")) ? str_n(text.s + 7, text.len - 7)
	                                                     : STR_NONE;

	if (rest.len == 0 || rest.s[0] == '/' || text.len > 2000) {
		return "is not a URL like https://example.com/hook";
	}
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.s[i] <= 0x20 || (unsigned char)text.s[i] >= 0x7f) {
			return "holds a character that must be percent-encoded in a URL";
		}
	}
	return NULL;
}

const char *value_is_interface(struct str text)
{
	if (text.len > 15) {
		return "is longer than the 15 characters that an interface's name has";
	}
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.s[i] <= 0x20 || text.s[i] == 0x7f ||
		    strchr("/:", text.s[i])) {
			return "is no name of an interface, like eth0";
		}
	}
	return text.len == 0 || str_eq(text, STR(".")) || str_eq(text, STR(".."))
	           ? "is no name of an interface, like eth0"
	           : NULL;
}

const char *value_is_log_path(struct str text)
{
	if (str_eq(text, STR("stderr"))) {
		return NULL;
	}
	if (text.len == 0 || text.s[0] != '/' || has_control(text) || text.len > 4000) {
		return "is neither \"stderr\" nor an absolute path";
	}
	return NULL;
}
