/* SPDX-License-Identifier: Apache-2.0 */
/* The client of the control socket, on libcurl. */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "core/node.h"

#define ANSWER_MAX      (256U << 20)
#define CALL_TIMEOUT_MS 120000

const char *cli_socket(const struct cli_args *a, char *out, unsigned size)
{
	if (a->socket != NULL)
		snprintf(out, size, "%s", a->socket);
	else
		node_control_socket(a->state_dir, out, size);
	return out;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_add(b, data, size * n);
	return b->failed ? 0 : size * n;
}

/* Why the socket could not be reached, and what to do. */
static void unreachable(CURL *curl, CURLcode rc, const char *socket, const char *detail,
                        struct cli_answer *ret)
{
	long err = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &err);
	if (rc == CURLE_OPERATION_TIMEDOUT)
		snprintf(ret->why, sizeof(ret->why),
		         "the node at %s does not answer in time; is it overloaded or stopped?",
		         socket);
	else if (rc != CURLE_COULDNT_CONNECT)
		snprintf(ret->why, sizeof(ret->why), "the node at %s did not answer: %s", socket,
		         detail[0] != '\0' ? detail : curl_easy_strerror(rc));
	else if (err == EACCES || (access(socket, W_OK) != 0 && errno == EACCES))
		snprintf(ret->why, sizeof(ret->why),
		         "not permitted to use %s: run the command as the user of the node or root",
		         socket);
	else
		snprintf(ret->why, sizeof(ret->why),
		         "no node answers at %s\nIs it running? Start one with \"holdfast run -c "
		         "FILE\"; if it runs with --state DIR, give the same --state here.",
		         socket);
}

static CURL *client_new(void)
{
	static bool ready;

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return NULL;
	ready = true;
	return curl_easy_init();
}

static void perform(CURL *curl, const char *socket, struct cli_answer *ret)
{
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode rc;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	rc = curl_easy_perform(curl);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	if (rc == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret->status);
	else
		unreachable(curl, rc, socket, detail, ret);
}

void cli_fetch(const struct cli_args *a, const char *method, const char *path, const json_t *body,
               unsigned timeout_ms, struct cli_answer *ret)
{
	struct curl_slist *headers = NULL;
	char socket[512];
	char *text = NULL;
	struct buf url = BUF_INIT;
	CURL *curl = client_new();

	*ret = (struct cli_answer){ .body = { .max = ANSWER_MAX } };
	cli_socket(a, socket, sizeof(socket));
	buf_printf(&url, "http://localhost%s", path);
	if (body != NULL)
		text = json_dumps(body, JSON_COMPACT);
	if (curl == NULL || url.failed || (body != NULL && text == NULL)) {
		snprintf(ret->why, sizeof(ret->why), "out of memory");
	} else {
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
		curl_easy_setopt(curl, CURLOPT_URL, buf_cstr(&url));
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, &ret->body);
		if (strcmp(method, "POST") == 0)
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text != NULL ? text : "");
		headers = curl_slist_append(headers, "Content-Type: application/json");
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		perform(curl, socket, ret);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	free(text);
	buf_free(&url);
}

/* The reason in a refusal: its "error", else its first line. */
static void print_refusal(const struct cli_answer *ans, const json_t *json)
{
	const char *error = json_string_value(json_object_get(json, "error"));

	size_t len = error != NULL ? strlen(error) : 0;

	while (len > 0 && error[len - 1] == '\n')
		len--;
	if (error != NULL)
		fprintf(stderr, "holdfast: %.*s\n", (int)len, error);
	else
		fprintf(stderr, "holdfast: the node answered with status %ld\n", ans->status);
}

int cli_call(const struct cli_args *a, const char *method, const char *path, json_t *body,
             json_t **ret_answer)
{
	struct cli_answer ans;
	json_t *json = NULL;
	int status = CLI_WELL;

	cli_fetch(a, method, path, body, CALL_TIMEOUT_MS, &ans);
	json_decref(body);
	if (ans.status == 0) {
		fprintf(stderr, "holdfast: %s\n", ans.why);
		status = CLI_UNREACHABLE;
	} else {
		json = json_loadb(ans.body.p != NULL ? ans.body.p : "", ans.body.len, 0, NULL);
		if (ans.status >= 300) {
			print_refusal(&ans, json);
			status = CLI_FAILED;
		} else if (json == NULL) {
			fputs("holdfast: the node's answer is not JSON\n", stderr);
			status = CLI_FAILED;
		}
	}
	buf_free(&ans.body);
	if (ret_answer != NULL)
		*ret_answer = json;
	else
		json_decref(json);
	return status;
}

void cli_print_json(const json_t *j)
{
	json_dumpf(j, stdout, isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
	fputc('\n', stdout);
}

void cli_url_encode(struct buf *out, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    strchr("-._~", c) != NULL) {
			buf_addc(out, (char)c);
		} else {
			buf_addc(out, '%');
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
	}
}
