/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an OCSP answer may be stapled; see cert.h. Any process. */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>

#include "base/err.h"
#include "tls/cert_impl.h"

static X509 *certificate(const struct store_cert *c, uint32_t i)
{
	const unsigned char *at = i < c->nchain ? (const unsigned char *)c->chain[i].s : NULL;

	return at ? d2i_X509(NULL, &at, (long)c->chain[i].len) : NULL;
}

/* The part of the answer that is about the leaf, by issuer and serial number. */
static OCSP_SINGLERESP *about(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		OCSP_CERTID *id = (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single);
		ASN1_OBJECT *hash = NULL;
		ASN1_INTEGER *serial = NULL;
		OCSP_CERTID *want = NULL;
		bool same;

		if (OCSP_id_get0_info(NULL, &hash, NULL, &serial, id) != 1)
			continue;
		same = ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
		if (same) {
			want = OCSP_cert_to_id(EVP_get_digestbyobj(hash), leaf, issuer);
			same = want && OCSP_id_cmp(want, id) == 0;
			OCSP_CERTID_free(want);
		}
		if (same)
			return single;
	}
	return NULL;
}

/* RFC 6960 4.2.2.2: signed by the issuer itself or by whom it has appointed, for this time. */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer, uint64_t now)
{
	STACK_OF(X509) *signers = sk_X509_new_null();
	X509_STORE *store = X509_STORE_new();
	bool well = signers && store && sk_X509_push(signers, issuer) > 0 &&
	            X509_STORE_add_cert(store, issuer) == 1 &&
	            X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1;

	if (well) {
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)now);
		well = OCSP_basic_verify(basic, signers, store, 0) == 1;
	}
	sk_X509_free(signers);
	X509_STORE_free(store);
	return well;
}

static int check_single(OCSP_SINGLERESP *single, uint64_t now, uint64_t *ret_until, char *why,
                        size_t why_size)
{
	ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
	int status = OCSP_single_get0_status(single, NULL, NULL, &from, &until);

	*ret_until = until ? cert_time(until) : 0;
	if (status != V_OCSP_CERTSTATUS_GOOD) {
		snprintf(why, why_size, "it says that the certificate is %s",
		         status == V_OCSP_CERTSTATUS_REVOKED ? "revoked" : "unknown");
		return ERR_REFUSED;
	}
	if (from && cert_time(from) > now + 300) {
		snprintf(why, why_size, "it is not valid yet");
		return ERR_TIMEOUT;
	}
	if (until && *ret_until <= now) {
		snprintf(why, why_size, "it is outdated");
		return ERR_TIMEOUT;
	}
	return OK;
}

static int check(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, uint64_t now, uint64_t *ret_until,
                 char *why, size_t why_size)
{
	OCSP_SINGLERESP *single = issuer ? about(basic, leaf, issuer) : NULL;
	int err;

	if (!issuer) {
		snprintf(
		    why, why_size,
		    "nobody can tell who has signed it: the certificate's issuer is not in its "
		    "chain");
		return ERR_REFUSED;
	}
	if (!single) {
		snprintf(why, why_size, "it is about another certificate");
		return ERR_REFUSED;
	}
	err = check_single(single, now, ret_until, why, why_size);
	if (err == OK && !is_signed(basic, issuer, now)) {
		snprintf(why, why_size, "the certificate's issuer has not signed it");
		err = ERR_REFUSED;
	}
	return err;
}

int cert_ocsp(struct str der, const struct store_cert *c, uint64_t now, uint64_t *ret_until,
              char *why, size_t why_size)
{
	const unsigned char *at = (const unsigned char *)der.s;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
	OCSP_BASICRESP *basic = NULL;
	X509 *leaf = certificate(c, 0), *issuer = certificate(c, 1);
	int err = ERR_SYNTAX;

	*ret_until = 0;
	if (!response || (size_t)(at - (const unsigned char *)der.s) != der.len) {
		snprintf(why, why_size, "it is not an OCSP answer (DER)");
	} else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		snprintf(why, why_size, "it says that the responder had no answer: %s",
		         OCSP_response_status_str(OCSP_response_status(response)));
	} else {
		basic = OCSP_response_get1_basic(response);
		if (!basic || !leaf)
			snprintf(why, why_size, "it is of a kind that nobody uses");
		else
			err = check(basic, leaf, issuer, now, ret_until, why, why_size);
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	X509_free(leaf);
	X509_free(issuer);
	ERR_clear_error();
	return err;
}
