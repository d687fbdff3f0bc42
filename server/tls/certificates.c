/*
 * certificates.c - a host's own certificates: read with their chains, each paired with the key of its public part, ordered,
 * and made into GnuTLS's credentials. The keys stay where they are; the policy has references alone. Runs in the master and
 * in checking jobs; children only use what came out.
 */
#include "tls/certificates.h"

#include <gnutls/abstract.h>
#include <string.h>
#include <sys/stat.h>

#include "cert/token.h"

/* F08. A group that root gave the file to (ssl-cert) is an administrator's deliberate choice. */
static void check_rights(const struct tls_key_file *f, struct conf_env *env)
{
	struct stat st;

	if (stat(f->path, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	if ((st.st_mode & S_IROTH) || ((st.st_mode & S_IRGRP) && st.st_uid != 0))
		conf_report(env, CONF_WARNING, &f->pos, conf_printf(env, "chmod 600 %s", f->path),
			    "the private key in %s can be read by others (mode %04o)", f->path,
			    (unsigned)(st.st_mode & 07777));
}

static uint16_t curve_of(gnutls_x509_crt_t crt)
{
	gnutls_pubkey_t pub;
	gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;

	if (gnutls_pubkey_init(&pub) < 0)
		return 0;
	if (gnutls_pubkey_import_x509(pub, crt, 0) >= 0)
		gnutls_pubkey_export_ecc_raw2(pub, &curve, NULL, NULL, 0);
	gnutls_pubkey_deinit(pub);
	switch (curve) {
	case GNUTLS_ECC_CURVE_SECP256R1:
		return 23;
	case GNUTLS_ECC_CURVE_SECP384R1:
		return 24;
	case GNUTLS_ECC_CURVE_SECP521R1:
		return 25;
	default:
		return 0;
	}
}

/* Pairs a certificate with the key of its public part, whatever the order of the lines (F07). */
static int pair(struct tls_certificate *c, const struct tls_file *file, const struct tls_key_file *keys,
		const struct key_ref *refs, unsigned n, struct conf_env *env)
{
	unsigned char id[32];
	char mine[24], theirs[24], shown[2][TOKEN_MAX_URI];
	unsigned guess = 0;

	if (cert_spki(c->chain.at[0], id) != 0) {
		conf_report(env, CONF_ERROR, &file->pos, NULL,
			    "the public key of the certificate in %s cannot be read", file->path);
		return -1;
	}
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(refs[i].spki, id, sizeof id) == 0) {
			c->key = refs[i];
			return 0;
		}
		if (strcmp(keys[i].certificate, file->path) == 0)
			guess = i;
	}
	cert_key_id_text(id, mine);
	if (n == 0)
		conf_report(env, CONF_ERROR, &file->pos, NULL,
			    "no key could be loaded for the certificate in %s (key id %s)", file->path, mine);
	else
		conf_report(
			env, CONF_ERROR, &file->pos,
			"name the key that the certificate was made for, or have the certificate made anew for this key",
			"the certificate in %s (key id %s) and the private key in %s (key id %s) do not match",
			token_is_uri(file->path) ? token_shown(file->path, shown[0]) : file->path, mine,
			token_is_uri(keys[guess].path) ? token_shown(keys[guess].path, shown[1]) : keys[guess].path, cert_key_id_text(refs[guess].spki, theirs));
	return -1;
}

static int load_certificate(struct tls_certificate *c, const struct tls_file *file,
			    const struct tls_key_file *keys, const struct key_ref *refs, unsigned n,
			    struct conf_env *env)
{
	struct err e = { 0 };
	unsigned bits;

	if (cert_chain_load(&c->chain, file->path, &e) != 0)
		return tls_policy_fault(env, &file->pos, &e);
	if (pair(c, file, keys, refs, n, env) != 0)
		return -1;
	c->algorithm = cert_algorithm(c->chain.at[0], &bits);
	c->curve = c->algorithm == GNUTLS_PK_ECDSA ? curve_of(c->chain.at[0]) : 0;
	if (gnutls_x509_crt_export2(c->chain.at[0], GNUTLS_X509_FMT_DER, &c->leaf) < 0) {
		conf_report(env, CONF_ERROR, &file->pos, NULL,
			    "the certificate in %s cannot be written as DER", file->path);
		return -1;
	}
	return 0;
}

/* SSLCertificateChainFile goes behind the certificates that its first one issued. */
static int add_chain(struct tls_policy *p, struct conf_env *env)
{
	struct cert_chain more;
	struct err e = { 0 };
	bool used = false;
	int r = 0;

	if (!p->chain.path)
		return 0;
	if (cert_chain_load(&more, p->chain.path, &e) != 0)
		return tls_policy_fault(env, &p->chain.pos, &e);
	for (unsigned i = 0; i < p->n && r == 0; i++) {
		struct cert_chain *chain = &p->at[i].chain;
		if (!gnutls_x509_crt_check_issuer(chain->at[chain->n - 1], more.at[0]))
			continue;
		used = true;
		if (cert_chain_append(chain, p->chain.path, &e) != 0)
			r = tls_policy_fault(env, &p->chain.pos, &e);
	}
	cert_chain_free(&more);
	if (!used)
		conf_report(
			env, CONF_WARNING, &p->chain.pos,
			"put the certificate that issued the host's first into the file",
			"the first certificate in %s did not issue the host's certificate: the file is left out",
			p->chain.path);
	return r;
}

/* TLS 1.3 takes the first certificate that the client can check: the cheap kinds first (ECDSA signs 30 times as fast as RSA). */
static int rank(const struct tls_certificate *c)
{
	return c->algorithm == GNUTLS_PK_ECDSA                                                    ? 0
	       : c->algorithm == GNUTLS_PK_EDDSA_ED25519 || c->algorithm == GNUTLS_PK_EDDSA_ED448 ? 1
												  : 2;
}

static void order_certificates(struct tls_policy *p)
{
	for (unsigned i = 1; i < p->n; i++) {
		struct tls_certificate c = p->at[i];
		unsigned k = i;
		for (; k && rank(&p->at[k - 1]) > rank(&c); k--)
			p->at[k] = p->at[k - 1];
		p->at[k] = c;
	}
}

static int give_certificate(struct tls_policy *p, const struct tls_certificate *c)
{
	gnutls_pcert_st row[CERT_MAX_CHAIN];
	gnutls_privkey_t key = NULL;
	unsigned n = 0;
	int r = key_import(&key, &c->key);

	for (; r >= 0 && n < c->chain.n; n++)
		if ((r = gnutls_pcert_import_x509(&row[n], c->chain.at[n], 0)) < 0)
			break;
	if (r >= 0 && (r = gnutls_certificate_set_key(p->credentials, NULL, 0, row, (int)n, key)) >= 0)
		return 0;                       /* what the row holds, and the key, are the credentials' now */
	while (n)
		gnutls_pcert_deinit(&row[--n]);
	if (key)
		gnutls_privkey_deinit(key);
	return r;
}

static int make_credentials(struct tls_policy *p, struct conf_env *env)
{
	int r = gnutls_certificate_allocate_credentials(&p->credentials);

	if (r >= 0) {
		/* The public parts were compared; a signature to prove it would need the keyholder. */
		gnutls_certificate_set_flags(p->credentials, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
		r = gnutls_certificate_set_known_dh_params(p->credentials, GNUTLS_SEC_PARAM_MEDIUM);
	}
	for (unsigned i = 0; r >= 0 && i < p->n; i++)
		r = give_certificate(p, &p->at[i]);
	if (r < 0)
		conf_report(env, CONF_ERROR, &p->certs[0].pos, NULL,
			    "host %s: its certificates cannot be used: %s", p->name, gnutls_strerror(r));
	return r < 0 ? -1 : 0;
}

int certificates_load(struct tls_policy *p, const struct key_ref *refs, unsigned nrefs, struct conf_env *env)
{
	struct tls_key_file keys[TLS_MAX_KEYS];
	unsigned nkeys;
	int r = 0;

	if (!p->ncerts) {
		conf_report(env, CONF_ERROR, p->engine_pos.file ? &p->engine_pos : NULL,
			    "add SSLCertificateFile and SSLCertificateKeyFile, or write SSLEngine off",
			    "host %s has SSLEngine on, but no certificate", p->name);
		return -1;
	}
	nkeys = tls_policy_keys(p, keys);
	for (unsigned i = 0; i < nkeys; i++)
		check_rights(&keys[i], env);
	for (p->n = 0; p->n < p->ncerts; p->n++)
		if (load_certificate(&p->at[p->n], &p->certs[p->n], keys, refs, nrefs < nkeys ? nrefs : nkeys,
				     env)
		    != 0) {
			p->n++;                 /* freed with the rest */
			r = -1;
			break;
		}
	if (r != 0 || add_chain(p, env) != 0)
		return -1;
	order_certificates(p);
	return make_credentials(p, env);
}

void certificates_free(struct tls_policy *p)
{
	if (p->credentials)
		gnutls_certificate_free_credentials(p->credentials);
	p->credentials = NULL;
	for (unsigned i = 0; i < p->n; i++) {
		cert_chain_free(&p->at[i].chain);
		gnutls_free(p->at[i].leaf.data);
	}
	p->n = 0;
}
