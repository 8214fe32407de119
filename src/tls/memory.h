/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for OpenSSL. */
#ifndef TLS_MEMORY_H
#define TLS_MEMORY_H

/* Has OpenSSL take its memory from lists of the thread: a handshake takes and gives back several
 * hundred pieces, of the same few sizes as the one before. To be called before anything of OpenSSL
 * is. With AddressSanitizer it does nothing, which then sees each piece, nor with ThreadSanitizer,
 * which does not see that OpenSSL counts references before it gives a piece back. */
void tls_memory_init(void);

#endif
