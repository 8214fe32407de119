/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LAB_READY_H
#define LAB_READY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Waits until every node of a lab answers and has its roles ready, and then, for a bounded time,
 * until its servers are in service and its virtual IPs are held; says what it waits for where that
 * takes long, and what is missing in the end. OK, or an error with why: a node has ended, or does
 * not answer. Blocks.
 */
int lab_ready_wait(const char *dir, bool bare, char *why, size_t why_size);

#endif
