/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: the map `acme`, authorities that issue certificates. */
#include <string.h>

#include "base/check.h"
#include "conf/load.h"
#include "conf/units.h"
#include "conf/value.h"

static const char *const challenges[] = { "http-01", "tls-alpn-01", "dns-01", NULL };
static const char *const keys[] = { "p256", "p384", "rsa2048", "rsa4096", NULL };
static const char *const algorithms[] = { "hmac-sha256", "hmac-sha384", "hmac-sha512", NULL };

/* --- checks of texts -------------------------------------------------------------------------- */

static const char *check_directory(struct str text)
{
	static const char *const local[] = { "http://127.0.0.1", "http://localhost",
		                             "http://[::1]" };
	const char *why = value_is_web_url(text);

	if (why || str_starts(text, STR("https://"))) {
		return why;
	}
	for (size_t i = 0; i < ARRAY_LEN(local); i++) {
		size_t len = strlen(local[i]);

		if (str_starts(text, str_from(local[i])) &&
		    (text.len == len || strchr(":/", text.s[len]))) {
			return NULL;
		}
	}
	return "is not https: RFC 8555 section 6.1 wants it, and only this machine itself may be "
	       "asked in clear text";
}

static const char *check_path(struct str text)
{
	return text.len && text.s[0] == '/' ? value_is_word(text) : "is not an absolute path";
}

static const char *check_email(struct str text)
{
	const char *at = memchr(text.s, '@', text.len);

	if (!at || at == text.s || at == text.s + text.len - 1 || text.len > 254 ||
	    memchr(text.s, ' ', text.len) || memchr(text.s, '?', text.len) ||
	    memchr(text.s, ',', text.len)) {
		return "is not an address like admin@example.com";
	}
	return value_is_word(text);
}

static bool is_all(struct str text, const char *extra)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      strchr(extra, c))) {
			return false;
		}
	}
	return text.len > 0;
}

static const char *check_base64url(struct str text)
{
	return is_all(text, "-_=") ? NULL : "is not base64url, as the authority gives it";
}

static const char *check_base64(struct str text)
{
	return is_all(text, "+/=") ? NULL : "is not base64, as in the key's file";
}

static const char *check_token(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.s[i] <= 0x20 || (unsigned char)text.s[i] >= 0x7f) {
			return "may hold printable ASCII without blanks only";
		}
	}
	return text.len ? NULL : "is empty";
}

static const char *check_dns_name(struct str text)
{
	if (text.len && text.s[text.len - 1] == '.') {
		text.len--;
	}
	return text.len && text.len < 254 && is_all(text, "-_.") && text.s[0] != '.'
	           ? NULL
	           : "is no name in the DNS";
}

/* --- dns-01 ----------------------------------------------------------------------------------- */

static const struct row cloudflare_rows[] = {
	{ "token", &type_secret, OF(conf_issuer, cloudflare_token), .check = check_token,
	  .redo = REDO_NOTHING, .flags = ROW_REQUIRED,
	  .doc = "API token that may read the zone and edit its DNS." },
	{ "api", &type_text, OF(conf_issuer, cloudflare_api), .check = check_directory,
	  .def = "https://api.cloudflare.com/client/v4", .redo = REDO_NOTHING,
	  .doc = "URL of the API." },
	END
};

static bool cloudflare_print(struct str key, const void *object, struct emit *o)
{
	return ((const struct conf_issuer *)object)->dns != ACME_DNS_CLOUDFLARE;
}

static const struct rows cloudflare = { "cloudflare", 0, cloudflare_rows,
	                                .brief_print = cloudflare_print };

static const struct row rfc2136_rows[] = {
	{ "server", &type_server_address, OF(conf_issuer, rfc2136_server),
	  WITH(conf_issuer, rfc2136_server_text), .redo = REDO_NOTHING, .flags = ROW_REQUIRED,
	  .doc = "The zone's primary server, which takes updates: 10.0.0.53:53." },
	{ "key_name", &type_text, OF(conf_issuer, rfc2136_key_name), .check = check_dns_name,
	  .redo = REDO_NOTHING, .flags = ROW_REQUIRED | ROW_LOWER,
	  .doc = "Name of the TSIG key, the same as at the server." },
	{ "key", &type_secret, OF(conf_issuer, rfc2136_key), .check = check_base64,
	  .redo = REDO_NOTHING, .flags = ROW_REQUIRED,
	  .doc = "The key itself, base64, as tsig-keygen writes it." },
	{ "algorithm", &type_word, OF(conf_issuer, rfc2136_algorithm), .def = "hmac-sha256",
	  .choices = algorithms, .redo = REDO_NOTHING, .doc = "Of the TSIG key (RFC 8945)." },
	{ "zone", &type_text, OF(conf_issuer, rfc2136_zone), .check = check_dns_name,
	  .redo = REDO_NOTHING, .flags = ROW_OPTIONAL | ROW_LOWER,
	  .doc = "The zone that is updated; the server is asked where it begins unless set." },
	END
};

static bool rfc2136_print(struct str key, const void *object, struct emit *o)
{
	return ((const struct conf_issuer *)object)->dns != ACME_DNS_RFC2136;
}

static const struct rows rfc2136 = { "rfc2136", 0, rfc2136_rows, .brief_print = rfc2136_print };

static const struct row dns_rows[] = {
	{ "cloudflare", &type_group, .sub = &cloudflare,
	  .doc = "Records are set by Cloudflare's API." },
	{ "rfc2136", &type_group, .sub = &rfc2136,
	  .doc = "Records are set by dynamic update (RFC 2136), signed by TSIG." },
	{ "exec", &type_list, OF(conf_issuer, dns_exec), .check = value_is_word,
	  .redo = REDO_NOTHING, .flags = ROW_OPTIONAL,
	  .doc =
	      "Records are set by a program, [PATH, ARGUMENT, ...]: HOLDFAST_ACME_ACTION is add or "
	      "remove, HOLDFAST_ACME_NAME the record's name, HOLDFAST_ACME_VALUE its text. Exit "
	      "status 0 means done; it gets 60 seconds." },
	{ "user", &type_text, OF(conf_issuer, dns_user), .check = value_is_word,
	  .redo = REDO_NOTHING, .flags = ROW_OPTIONAL,
	  .doc = "User that runs the program; the roles' unless set." },
	{ "wait", &type_duration, OF(conf_issuer, dns_wait), .max = HOUR, .def = "30s",
	  .redo = REDO_NOTHING, .flags = ROW_WIDE,
	  .doc =
	      "Time for a record to reach all servers of the zone before the authority looks. With "
	      "\"check\" it is how long the record is looked for, at most." },
	{ "check", &type_server_address, OF(conf_issuer, dns_check_address),
	  WITH(conf_issuer, dns_check), .redo = REDO_NOTHING, .flags = ROW_OPTIONAL,
	  .doc =
	      "A resolver or server of the zone, ADDRESS:PORT, that is asked for the record until "
	      "it is there, instead of waiting for all of \"wait\"." },
	END
};

static bool dns_print(struct str key, const void *object, struct emit *o)
{
	return ((const struct conf_issuer *)object)->dns == ACME_DNS_NONE;
}

static void dns_finish(struct load *l, const struct node *n, void *object)
{
	static const char *const providers[] = { "cloudflare", "rfc2136", "exec" };
	struct conf_issuer *c = object;
	const struct node *user = node_get(n, "user"), *exec = node_get(n, "exec"), *first = NULL;

	for (uint32_t i = 0; i < ARRAY_LEN(providers); i++) {
		const struct node *p = node_get(n, providers[i]);

		if (p && first) {
			problem_error(l->problems, p->key_at,
			              "\"%s\" is here too: records are set by one of them",
			              first->key.s);
		} else if (p) {
			first = p;
			c->dns = ACME_DNS_CLOUDFLARE + i;
		}
	}
	if (!first) {
		problem_error(l->problems, n->key_at,
		              "\"dns\" says nothing about how records are set: it needs "
		              "\"cloudflare\", \"rfc2136\" or \"exec\"");
	}
	if (exec && c->dns_exec.n && c->dns_exec.v[0].s[0] != '/') {
		problem_error(l->problems, exec->at, "\"exec\": \"%.*s\" is not an absolute path",
		              STR_ARG(c->dns_exec.v[0]));
	}
	if (user && !exec) {
		problem_warning(l->problems, user->key_at,
		                "\"user\" has no effect: there is no \"exec\"");
	}
}

static const struct rows dns = { "dns", 0, dns_rows, .brief_print = dns_print,
	                         .finish = dns_finish };

/* --- an issuer -------------------------------------------------------------------------------- */

static const struct row eab_rows[] = {
	{ "kid", &type_text, OF(conf_issuer, eab_kid), .check = value_is_word, .redo = REDO_NOTHING,
	  .flags = ROW_REQUIRED, .doc = "Key identifier." },
	{ "key", &type_secret, OF(conf_issuer, eab_key), .check = check_base64url,
	  .redo = REDO_NOTHING, .flags = ROW_REQUIRED, .doc = "MAC key, base64url." },
	END
};

static bool eab_print(struct str key, const void *object, struct emit *o)
{
	return ((const struct conf_issuer *)object)->eab_kid.len == 0;
}

static const struct rows eab = { "eab", 0, eab_rows, .brief_print = eab_print };

static const struct row issuer_rows[] = {
	{ "name", &type_derived, OF(conf_issuer, name), .flags = ROW_HIDDEN },
	{ "directory", &type_text, OF(conf_issuer, directory), .check = check_directory,
	  .def = "https://acme-v02.api.letsencrypt.org/directory", .redo = REDO_NOTHING,
	  .doc = "URL of the authority's directory; Let's Encrypt unless set." },
	{ "ca", &type_text, OF(conf_issuer, ca), .check = check_path, .redo = REDO_NOTHING,
	  .flags = ROW_OPTIONAL,
	  .doc = "PEM file with whom to trust as that server; the system's authorities unless set. "
	         "The roles' user must be able to read it." },
	{ "email", &type_text, OF(conf_issuer, email), .check = check_email, .redo = REDO_NOTHING,
	  .flags = ROW_OPTIONAL, .doc = "Where the authority may write to." },
	{ "agree", &type_bool, OF(conf_issuer, agree), .def = "false", .redo = REDO_NOTHING,
	  .doc = "That you agree to the authority's terms of service: without it there is no "
	         "account, and it has to be true." },
	{ "eab", &type_group, .sub = &eab,
	  .doc = "External account binding, where the authority wants one." },
	{ "challenge", &type_choice, OF(conf_issuer, challenge), .def = "http-01",
	  .choices = challenges, .redo = REDO_NOTHING,
	  .doc =
	      "How the authority sees that the hosts are this cluster's: a file over HTTP on port "
	      "80, a certificate over TLS on port 443, or a record in the DNS. Wildcards need "
	      "dns-01." },
	{ "key", &type_choice, OF(conf_issuer, key), .def = "p256", .choices = keys,
	  .redo = REDO_NOTHING, .doc = "Key type of the certificates." },
	{ "renew_before", &type_duration, OF(conf_issuer, renew_before), .min = 1 * S,
	  .max = 365 * DAY, .def = "30d", .redo = REDO_NOTHING, .flags = ROW_WIDE,
	  .doc = "A certificate is renewed when it is valid for no longer than this, but never "
	         "before two thirds of its lifetime are over." },
	{ "dns", &type_group, .sub = &dns, .doc = "How records for dns-01 are set." },
	END
};

static void issuer_finish(struct load *l, const struct node *n, void *object)
{
	const struct conf_issuer *c = object;
	const struct node *agree = node_get(n, "agree");

	if (str_eq(c->name, STR("challenges")) || str_eq(c->name, STR("status.json")) ||
	    str_starts(c->name, STR("."))) {
		problem_error(
		    l->problems, n->key_at,
		    "no issuer can be called \"%.*s\": its folder in the state folder would "
		    "meet another",
		    STR_ARG(c->name));
	}
	if (!c->agree) {
		problem_error(l->problems, agree ? agree->at : n->key_at,
		              "\"agree\" is not true: read the terms of service that %.*s names "
		              "under \"termsOfService\", then say \"agree: true\"",
		              STR_ARG(c->directory));
	}
	if (c->challenge == ACME_DNS_01 && !node_get(n, "dns")) {
		problem_error(l->problems, node_get(n, "challenge")->at,
		              "dns-01 needs \"dns\": how records are set");
	} else if (c->challenge != ACME_DNS_01 && node_get(n, "dns")) {
		problem_warning(l->problems, node_get(n, "dns")->key_at,
		                "\"dns\" has no effect: \"challenge\" is not dns-01");
	}
}

const struct rows schema_issuer = {
	"issuer", sizeof(struct conf_issuer), issuer_rows, .finish = issuer_finish,
	.doc = "Certificates of a listener that name it (acme: NAME, hosts: [...]) are ordered, "
	       "renewed in time and taken into service without a reload. See doc/acme.md."
};
