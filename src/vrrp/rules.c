/* SPDX-License-Identifier: Apache-2.0 */
/* nftables rules for the time in which they are needed (see rules.h). Role vrrp, its one thread. */
#include "vrrp/rules.h"

#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

#define TABLE 128

struct rules {
	/* One for each table: should libnftables ever open its socket anew, no other goes with it.
	 */
	struct nft_ctx *nft;
	char table[TABLE]; /* "ip holdfast_web_4711"; "": none stands */
};

int rules_new(struct rules **ret)
{
	struct rules *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		return ERR_NOMEM;
	}
	r->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (r->nft == NULL || nft_ctx_buffer_output(r->nft) != 0 ||
	    nft_ctx_buffer_error(r->nft) != 0) {
		rules_free(r);
		return ERR_NOMEM;
	}
	*ret = r;
	return OK;
}

void rules_free(struct rules *r)
{
	if (r == NULL) {
		return;
	}
	if (r->nft != NULL) {
		rules_clear(r);
		nft_ctx_free(r->nft);
	}
	free(r);
}

/* libnftables prints "Error: Could not process rule: WORDS", then the place as a compiler does. */
static void read_error(struct rules *r, char *why, size_t why_size)
{
	const char *text = nft_ctx_get_error_buffer(r->nft), *start;

	if (text == NULL) {
		text = "";
	}
	start = strstr(text, "Could not process rule: ");
	if (start != NULL) {
		text = start + strlen("Could not process rule: ");
	}
	snprintf(why, why_size, "%.*s", (int)strcspn(text, "\n"), text);
}

int rules_set(struct rules *r, const char *family, const char *name, const char *body, char *why,
              size_t why_size)
{
	struct buf script = BUF_INIT;
	char table[TABLE];
	int failed;

	/* In one transaction: at every moment one of both stands. */
	if (r->table[0] != '\0') {
		buf_printf(&script, "delete table %s\n", r->table);
	}
	snprintf(table, sizeof(table), "%s holdfast_%s_%d", family, name, (int)getpid());
	buf_printf(&script, "table %s {\n\tflags owner\n%s}\n", table, body);
	failed = nft_run_cmd_from_buffer(r->nft, buf_cstr(&script));
	if (script.failed || failed != 0) {
		read_error(r, why, why_size);
		rules_clear(r);
		buf_free(&script);
		return ERR_REFUSED;
	}
	buf_free(&script);
	snprintf(r->table, sizeof(r->table), "%s", table);
	return OK;
}

void rules_clear(struct rules *r)
{
	char command[TABLE + 16];

	if (r->table[0] == '\0') {
		return;
	}
	snprintf(command, sizeof(command), "delete table %s", r->table);
	/* What does not stand any more need not go. */
	(void)nft_run_cmd_from_buffer(r->nft, command);
	r->table[0] = '\0';
}

void rules_addresses(struct buf *out, const struct net_addr *ips, unsigned n)
{
	char text[NET_ADDR_TEXT];

	for (unsigned i = 0; i < n; i++) {
		buf_printf(out, "%s %s", i == 0 ? "{" : ",", net_addr_host(&ips[i], text));
	}
	buf_adds(out, " }");
}
