/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request by libcurl, in a job's thread: limits on size and time, no redirects. */
#ifndef ACME_HTTP_H
#define ACME_HTTP_H

#include <curl/curl.h>

#include "acme/job.h"
#include "base/buf.h"

#define HTTP_CONNECT_S 15
#define HTTP_TOTAL_S   60

struct http_call {
	const char *method; /* GET, HEAD, POST, DELETE */
	const char *url;
	const char *ca;    /* path, PEM; NULL: the system's */
	const char *type;  /* of the body; NULL: there is none */
	const char *token; /* for Authorization: Bearer; NULL: none */
	struct str body;
	bool clear; /* http:// may be asked as well */
	/* The answer: */
	int err; /* OK: there is one */
	char why[CURL_ERROR_SIZE + 64];
	unsigned status;
	char nonce[256];
	char location[2048];
	uint64_t retry_after; /* seconds; 0: not said */
	struct buf answer;
};

/* Before there are threads. */
void acme_http_init(void);
/* *curl keeps the connection from call to call; NULL at first, curl_easy_cleanup at the end. */
void acme_http_call(CURL **curl, struct acme_job *job, struct http_call *c);

/* The seconds of a Retry-After, a number or a date (RFC 9110 section 10.2.3); 0: neither. */
uint64_t acme_http_retry_after(struct str value, uint64_t now);

#endif
