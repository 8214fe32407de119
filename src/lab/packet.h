/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of lab.sock: one JSON object each, with up to three descriptors. */
#ifndef LAB_PACKET_H
#define LAB_PACKET_H

#include <jansson.h>

/* A descriptor or ERR_SYSTEM with errno. Non-blocking. */
int lab_packet_listen(const char *dir);
int lab_packet_connect(const char *dir);
/* fds: three, or NULL. OK, ERR_CLOSED, ERR_TOO_LARGE, ERR_SYSTEM. */
int lab_packet_send(int fd, const json_t *j, const int fds[3]);
/* *nfds: room in, number out. OK, ERR_AGAIN, ERR_CLOSED, ERR_SYNTAX, ERR_TOO_LARGE, ERR_SYSTEM. */
int lab_packet_receive(int fd, json_t **ret, int *fds, int *nfds);

#endif
