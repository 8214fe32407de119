/* SPDX-License-Identifier: Apache-2.0 */
/* Where log lines go: stderr as text for people or JSON lines for programs, journald, syslog. */
#ifndef CORE_LOGSINK_H
#define CORE_LOGSINK_H

#include "base/buf.h"
#include "base/log.h"
#include "conf/conf.h"

/* stderr: text in colour on a terminal (none with NO_COLOR), JSON lines elsewhere. */
void logsink_default(void);
/* As the configuration says. When its target cannot be reached lines go to stderr and one warning
 * says why. Only a target that differs from the present one is opened anew. */
void logsink_apply(const struct conf *c);

/* One line in each format, with its newline; journal: the fields of its native protocol. */
void logsink_text(const struct log_line *line, bool colour, struct buf *out);
void logsink_json(const struct log_line *line, struct buf *out);
void logsink_journal(const struct log_line *line, struct buf *out);
void logsink_syslog(const struct log_line *line, int pid, struct buf *out);

#endif
