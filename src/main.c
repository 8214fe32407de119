/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: one binary that is parent, role and command. What exists is listed here: the table
 * of roles and the table of commands.
 */
#include <stdio.h>

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 0;
}
