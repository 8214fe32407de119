/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for OpenSSL; see memory.h. Pieces of up to 1 KiB are kept by size, and two kinds of larger
 * ones: the buffers of a handshake and of records. A piece is given back to the list of the thread
 * that frees it. Any thread.
 */
#include "tls/memory.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define STEP     16
#define SMALL    1024
#define BUFFER   4160  /* of a handshake */
#define RECORD   17408 /* of records */
#define CLASSES  (SMALL / STEP + 3)
#define KEEP     128 /* pieces of one size that a thread keeps */
#define NO_CLASS CLASSES

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

struct piece { /* in front of what OpenSSL gets; as large as malloc's alignment */
	union {
		struct piece *next; /* in a list */
		size_t size;        /* that may be used, while it is out */
	};
	size_t class;
};

struct list {
	struct piece *first;
	unsigned n;
};

static _Thread_local struct list lists[CLASSES];
static _Thread_local bool noted; /* the thread's end has something to do */
static pthread_key_t end;

/* At the end of a thread. What OpenSSL gives back after that comes to lists again: then once more.
 */
static void give_up(void *arg)
{
	struct piece *p;
	unsigned i;

	noted = false;
	for (i = 0; i < CLASSES; i++) {
		while ((p = lists[i].first) != NULL) {
			lists[i].first = p->next;
			free(p);
		}
		lists[i].n = 0;
	}
}

static size_t class_of(size_t size)
{
	if (size <= SMALL)
		return (size + STEP - 1) / STEP;
	if (size <= BUFFER)
		return SMALL / STEP + 1;
	return size <= RECORD ? SMALL / STEP + 2 : NO_CLASS;
}

static size_t size_of(size_t class, size_t size)
{
	if (class <= SMALL / STEP)
		return class * STEP;
	if (class == SMALL / STEP + 1)
		return BUFFER;
	return class == NO_CLASS ? size : RECORD;
}

static void *take(size_t size, const char *file, int line)
{
	const size_t class = class_of(size);
	struct piece *p;

	if (size == 0)
		return NULL;
	if (class != NO_CLASS && (p = lists[class].first) != NULL) {
		lists[class].first = p->next;
		lists[class].n--;
	} else {
		if (size > SIZE_MAX - sizeof(*p) - RECORD)
			return NULL;
		p = malloc(sizeof(*p) + size_of(class, size));
		if (p == NULL)
			return NULL;
		p->class = class;
	}
	p->size = size_of(class, size);
	return p + 1;
}

static void give(void *memory, const char *file, int line)
{
	struct piece *p;
	struct list *l;

	if (memory == NULL)
		return;
	p = (struct piece *)memory - 1;
	if (unlikely(!noted))
		noted = pthread_setspecific(end, &end) == 0;
	if (p->class == NO_CLASS || lists[p->class].n == KEEP || !noted) {
		free(p);
		return;
	}
	l = &lists[p->class];
	p->next = l->first;
	l->first = p;
	l->n++;
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
	const struct piece *p;
	void *next;

	if (memory == NULL)
		return take(size, file, line);
	p = (struct piece *)memory - 1;
	if (size == 0) {
		give(memory, file, line);
		return NULL;
	}
	if (size <= p->size)
		return memory;
	next = take(size, file, line);
	if (next != NULL) {
		memcpy(next, memory, p->size);
		give(memory, file, line);
	}
	return next;
}

void tls_memory_init(void)
{
	/* Refused once OpenSSL has memory of its own: then that goes on. */
	if (!SANITIZED && pthread_key_create(&end, give_up) == 0)
		CRYPTO_set_mem_functions(take, resize, give);
}
