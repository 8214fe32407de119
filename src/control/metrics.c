/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exposition for Prometheus (text format 0.0.4), made from the objects of the committed
 * configuration, so that what is no longer configured vanishes. A family's samples stand together,
 * as the format asks. Here are its lines and the node's own families.
 */
#include <string.h>

#include "control/metrics_impl.h"

/* --- lines ---------------------------------------------------------------------------------- */

void metrics_label(struct buf *out, const char *name, struct str value)
{
	if (out->len > 0 && out->p[out->len - 1] != '{')
		buf_addc(out, ',');
	buf_printf(out, "%s=\"", name);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.s[i];

		if (c == '\\' || c == '"')
			buf_addc(out, '\\');
		if (c == '\n')
			buf_adds(out, "\\n");
		else
			buf_addc(out, (unsigned char)c < ' ' ? '?' : c);
	}
	buf_addc(out, '"');
}

void metrics_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_line(struct buf *out, struct str name, const char *labels, uint64_t value)
{
	buf_addstr(out, name);
	if (labels[0] != '\0') {
		buf_addc(out, '{');
		buf_adds(out, labels);
		buf_addc(out, '}');
	}
	buf_addc(out, ' ');
	buf_addu(out, value);
	buf_addc(out, '\n');
}

void metrics_single(struct buf *out, const char *name, const char *type, const char *help,
                    uint64_t value)
{
	metrics_head(out, name, type, help);
	metrics_line(out, str_from(name), "", value);
}

/* --- the node ------------------------------------------------------------------------------- */

static void roles(const struct board_node *n, struct buf *out)
{
	struct buf labels[BOARD_ROLES] = { BUF_INIT };

	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		const char *name = n->roles[i].name;

		if (name[0] != '\0')
			metrics_label(&labels[i], "role",
			              str_n(name, strnlen(name, sizeof(n->roles[i].name))));
	}
	metrics_head(out, "holdfast_role_up", "gauge", "whether the role's process is ready");
	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		if (labels[i].len > 0)
			metrics_line(out, STR("holdfast_role_up"), buf_cstr(&labels[i]),
			             n->roles[i].pid > 0 && n->roles[i].ready != 0);
	}
	metrics_head(out, "holdfast_role_restarts_total", "counter",
	             "restarts of the role's process");
	for (unsigned i = 0; i < BOARD_ROLES; i++) {
		if (labels[i].len > 0)
			metrics_line(out, STR("holdfast_role_restarts_total"), buf_cstr(&labels[i]),
			             n->roles[i].restarts);
		buf_free(&labels[i]);
	}
}

static void seconds(struct buf *out, const char *name, const char *help, uint64_t ms)
{
	metrics_head(out, name, "gauge", help);
	buf_printf(out, "%s %.3f\n", name, (double)ms / 1e3);
}

static void node(const struct api *a, struct buf *out)
{
	const struct board_node *n = board_node(a->board);
	struct buf labels = BUF_INIT;
	uint64_t open = 0;

	metrics_label(&labels, "version", str_from(n->version));
	metrics_label(&labels, "node", str_from(n->node));
	metrics_head(out, "holdfast_build_info", "gauge",
	             "always 1; the version and the node as labels");
	metrics_line(out, STR("holdfast_build_info"), buf_cstr(&labels), 1);
	buf_free(&labels);
	seconds(out, "holdfast_start_time_seconds", "when the node was started, Unix time",
	        n->started_wall_ms);
	metrics_head(out, "holdfast_reloads_total", "counter",
	             "reloads of the configuration by result");
	metrics_line(out, STR("holdfast_reloads_total"), "result=\"ok\"", n->reloads_ok);
	metrics_line(out, STR("holdfast_reloads_total"), "result=\"refused\"", n->reloads_refused);
	metrics_single(out, "holdfast_last_reload_successful", "gauge",
	               "whether the last attempt to load the configuration succeeded",
	               n->reload_error[0] == '\0');
	seconds(out, "holdfast_last_reload_success_timestamp_seconds",
	        "when the configuration in force was loaded, Unix time", n->loaded_wall_ms);
	metrics_single(out, "holdfast_configuration_generation", "gauge",
	               "number of the configuration in force", a->conf->generation);
	metrics_single(out, "holdfast_healthy", "gauge", "1 healthy, 0 degraded or unhealthy",
	               view_health(a, NULL) == HEALTH_HEALTHY);
	for (unsigned i = 0; i < BOARD_INSTANCES; i++)
		open += atomic_load_explicit(&board_node(a->board)->connections[i],
		                             memory_order_relaxed);
	metrics_single(out, "holdfast_connections", "gauge", "client connections open now", open);
	metrics_single(out, "holdfast_node_drained", "gauge",
	               "whether the node is taken out by order and holds no virtual IP",
	               n->drained != 0);
	roles(n, out);
}

void metrics_write(const struct api *a, struct buf *out)
{
	node(a, out);
	metrics_traffic(a, out);
	metrics_servers(a, out);
	metrics_vips(a, out);
	metrics_certs(a, out);
	metrics_acme(a, out);
}
