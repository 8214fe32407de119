/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast --self-test`: whether this binary works on this machine, before it is taken into
 * service by an upgrade. */
#ifndef CORE_SELF_TEST_H
#define CORE_SELF_TEST_H

/* Prints one line. Returns the exit status. */
int self_test_main(void);

#endif
