/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lab's folder: lock (held by the keeper as long as the lab lives), lab.sock, log, hosts,
 * nodes/NAME/{log,state}, servers/NAME/log. Nothing else in it is ever removed.
 */
#ifndef LAB_DIR_H
#define LAB_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "lab/lab.h"

/* The folder that a lab of that name has, unless dir says otherwise; made absolute. OK,
 * ERR_TOO_LARGE, ERR_INVALID (the name) with why. */
int lab_dir_path(const char *name, const char *dir, char out[LAB_DIR], char *why, size_t why_size);
/* Makes the folder, takes its lock and removes what an earlier lab left. *ret_lock is the
 * caller's. OK, ERR_EXISTS (a lab lives there), ERR_SYSTEM with why. */
int lab_dir_take(const char *dir, int *ret_lock, char *why, size_t why_size);
/* Whether a lab holds the folder. */
bool lab_dir_alive(const char *dir);
/* Whether it looks like a lab's, alive or not. */
bool lab_dir_is_lab(const char *dir);
/* Removes what a lab keeps there, and the folder where it is empty then. */
void lab_dir_remove(const char *dir);

#endif
