/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of the descriptors a role is executed with, besides the standard three. */
#ifndef CORE_ROLE_FDS_H
#define CORE_ROLE_FDS_H

#define ROLE_FD_NUMBER_PARENT 3 /* the pair */
#define ROLE_FD_NUMBER_ADOPT  4 /* listening socket on which a later parent finds the role */
#define ROLE_FD_NUMBER_COUNT  5

#endif
