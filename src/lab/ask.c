/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a lab, and nodes in it. Commands and drills; blocks. */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/dir.h"
#include "lab/packet.h"

#define ANSWER_MAX (64U << 20)
#define ASK_MS     60000
#define DOWN_MS    30000

static int no_lab(const char *dir, char *why, size_t why_size)
{
	if (errno == EACCES || errno == EPERM)
		snprintf(why, why_size,
		         "not permitted to use the lab in %s: it belongs to another user", dir);
	else
		snprintf(why, why_size, "no lab answers in %s; start one: holdfast lab up -c FILE",
		         dir);
	return ERR_CLOSED;
}

/* One answer; without a limit of time for exec. */
static int receive(int fd, bool limited, json_t **ret)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = 0, r, err;

	for (;;) {
		r = poll(&p, 1, limited ? ASK_MS : -1);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return ERR_TIMEOUT;
		err = lab_packet_receive(fd, ret, NULL, &n);
		if (err != ERR_AGAIN)
			return err;
	}
}

int lab_ask(const char *dir, const json_t *request, const int fds[3], json_t **ret_answer,
            char *why, size_t why_size)
{
	json_t *j = NULL;
	int fd = lab_packet_connect(dir), err;

	*ret_answer = NULL;
	if (fd < 0)
		return no_lab(dir, why, why_size);
	err = lab_packet_send(fd, request, fds);
	if (err == ERR_TOO_LARGE)
		snprintf(why, why_size, "the request is too large");
	if (err == OK) {
		err = receive(fd, !fds, &j);
		if (err != OK)
			snprintf(why, why_size, "the lab in %s %s", dir,
			         err == ERR_TIMEOUT ? "does not answer" : "has ended");
	}
	close(fd);
	*ret_answer = j;
	if (err != OK)
		return err == ERR_TOO_LARGE ? ERR_REFUSED : ERR_CLOSED;
	if (json_is_true(json_object_get(j, "ok")))
		return OK;
	snprintf(why, why_size, "%s", json_string_value(json_object_get(j, "error")));
	return ERR_REFUSED;
}

/* --- the end of a lab ----------------------------------------------------------------------- */

static int keeper_pidfd(const char *dir)
{
	struct ucred c;
	socklen_t len = sizeof(c);
	int fd = lab_packet_connect(dir), ret = -1;

	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == 0 && c.pid > 0)
		ret = (int)syscall(SYS_pidfd_open, c.pid, 0);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int clean_leftovers(const char *dir, char *why, size_t why_size)
{
	int lock, err;

	if (!lab_dir_is_lab(dir)) {
		snprintf(why, why_size, "no lab runs in %s", dir);
		return ERR_NOT_FOUND;
	}
	err = lab_dir_take(dir, &lock, why, why_size);
	if (err != OK)
		return err;
	lab_dir_remove(dir);
	close(lock);
	return OK;
}

/* Until the keeper has ended, and with it all of the lab. */
static int wait_gone(const char *dir, int pidfd)
{
	uint64_t until = clock_mono() + DOWN_MS * NS_PER_MS;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (pidfd >= 0)
		poll(&p, 1, DOWN_MS);
	while (lab_dir_alive(dir) && clock_mono() < until)
		usleep(10000);
	return lab_dir_alive(dir) ? ERR_TIMEOUT : OK;
}

int lab_down(const char *dir, char *why, size_t why_size)
{
	json_t *q, *answer = NULL;
	int pidfd, err;

	if (!lab_dir_alive(dir))
		return clean_leftovers(dir, why, why_size);
	pidfd = keeper_pidfd(dir);
	q = json_pack("{s:s}", "do", "down");
	err = lab_ask(dir, q, NULL, &answer, why, why_size);
	json_decref(q);
	json_decref(answer);
	if (err == OK && wait_gone(dir, pidfd) != OK) {
		snprintf(why, why_size, "the lab in %s does not end", dir);
		err = ERR_TIMEOUT;
	}
	if (pidfd >= 0)
		close(pidfd);
	return err;
}

/* --- nodes ---------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_add(b, data, size * n);
	return b->failed ? 0 : size * n;
}

int lab_node_get(const char *socket, const char *path, unsigned timeout_ms, json_t **ret)
{
	struct buf url = BUF_INIT, body = { .max = ANSWER_MAX };
	CURL *curl = curl_easy_init();
	long status = 0;
	CURLcode rc = CURLE_FAILED_INIT;

	*ret = NULL;
	buf_printf(&url, "http://localhost%s", path);
	if (curl && !url.failed) {
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
		curl_easy_setopt(curl, CURLOPT_URL, buf_cstr(&url));
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
		rc = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	}
	curl_easy_cleanup(curl);
	if (rc == CURLE_OK && status == 200 && body.len > 0)
		*ret = json_loadb(body.p, body.len, 0, NULL);
	buf_free(&url);
	buf_free(&body);
	return *ret ? OK : rc == CURLE_OK ? ERR_REFUSED : ERR_CLOSED;
}
