/* SPDX-License-Identifier: Apache-2.0 */
/* One access record as a line: JSON, or the combined format that log analysers know. On the writer
 * thread of the proxy. */
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "proxy/access_log.h"

static void json_str(struct buf *out, const char *name, struct str s)
{
	if (s.len == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	buf_json(out, s);
}

/* Microseconds as milliseconds. */
static void json_ms(struct buf *out, const char *name, uint64_t us)
{
	buf_printf(out, ",\"%s\":%lu.%03lu", name, (unsigned long)(us / 1000),
	           (unsigned long)(us % 1000));
}

static const char *version(const struct access_record *r)
{
	if (r->minor == ACCESS_HTTP2)
		return "2.0";
	return r->minor == 0 ? "1.0" : "1.1";
}

static void json_line(const struct access_record *r, struct buf *out)
{
	char time[32], client[NET_ADDR_TEXT];

	clock_format_utc(r->wall_ms, time);
	buf_printf(out, "{\"time\":\"%s\"", time);
	if (r->client != NULL)
		json_str(out, "client", str_from(net_addr_host(r->client, client)));
	json_str(out, "method", r->method);
	json_str(out, "host", r->host);
	json_str(out, "target", r->target);
	buf_printf(out, ",\"version\":\"%s\",\"status\":%u", version(r), r->status);
	buf_printf(out, ",\"bytes_in\":%lu,\"bytes_out\":%lu", (unsigned long)r->bytes_in,
	           (unsigned long)r->bytes_out);
	json_ms(out, "duration_ms", r->duration_us);
	if (r->upstream_us > 0)
		json_ms(out, "upstream_ms", r->upstream_us);
	buf_printf(out, ",\"attempts\":%u", r->attempts);
	json_str(out, "listener", r->listener);
	json_str(out, "route", r->route);
	json_str(out, "server", r->server);
	json_str(out, "request_id", r->request_id);
	json_str(out, "user_agent", r->user_agent);
	json_str(out, "referer", r->referer);
	json_str(out, "reason", r->reason);
	buf_adds(out, "}\n");
}

/* What a stranger sent, inside quotes: no quote, control byte or byte beyond ASCII comes through,
 * so that neither a line nor a terminal can be forged. */
static void quoted(struct buf *out, struct str s)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.s[i];

		if (c == '"' || c == '\\') {
			buf_addc(out, '\\');
			buf_addc(out, (char)c);
		} else if (c < 0x20 || c >= 0x7f) {
			buf_adds(out, "\\x");
			buf_addc(out, digits[c >> 4]);
			buf_addc(out, digits[c & 15]);
		} else {
			buf_addc(out, (char)c);
		}
	}
}

static void quoted_or_dash(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	quoted(out, s.len > 0 ? s : STR("-"));
	buf_addc(out, '"');
}

static void combined_time(uint64_t wall_ms, struct buf *out)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	buf_printf(out, "[%02d/%s/%04d:%02d:%02d:%02d +0000]", tm.tm_mday, months[tm.tm_mon],
	           tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void combined_line(const struct access_record *r, struct buf *out)
{
	char client[NET_ADDR_TEXT] = "-";

	if (r->client != NULL)
		net_addr_host(r->client, client);
	buf_printf(out, "%s - - ", client);
	combined_time(r->wall_ms, out);
	buf_adds(out, " \"");
	if (r->method.len > 0) {
		quoted(out, r->method);
		buf_addc(out, ' ');
		quoted(out, r->target);
		buf_printf(out, " HTTP/%s", version(r));
	} else {
		buf_addc(out, '-');
	}
	buf_printf(out, "\" %u %lu ", r->status, (unsigned long)r->bytes_out);
	quoted_or_dash(out, r->referer);
	buf_addc(out, ' ');
	quoted_or_dash(out, r->user_agent);
	buf_addc(out, '\n');
}

void access_log_format(const struct access_record *r, enum conf_log_format f, struct buf *out)
{
	if (f == LOG_FORMAT_COMBINED)
		combined_line(r, out);
	else
		json_line(r, out);
}
