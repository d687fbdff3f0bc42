/*
 * authorities.c - the authorities whose clients a host lets in, and their lists of revoked certificates: read from files
 * and folders, looked through for what would puzzle an administrator later, hashed for the policy's label. All of it is
 * public. Runs in the master and in checking jobs, when a configuration is read.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tls/clientcert.h"

#define NAMES_MAX 60000                 /* bytes of names in a request for a certificate: its length has 16 bits */
#define NAME_TEXT 512

struct certificates {
	gnutls_x509_crt_t *at;
	unsigned n, room;
};
/* A file that is being read: what it is for decides what it may hold. */
struct reading {
	struct conf_env *env;
	const struct tls_file *named;   /* by which directive */
	const char *directive;
	struct certificates *certificates;      /* NULL: lists of revoked certificates are read */
	struct tls_authorities *lists;
	bool in_folder;                 /* other files may be there */
	unsigned found, other;          /* of what was looked for; of other things */
	bool key;                       /* a private key was among them */
};

static int bad(const struct reading *r, const char *remedy, const char *sentence)
{
	conf_report(r->env, CONF_ERROR, &r->named->pos, remedy, "%s: %s", r->directive, sentence);
	return -1;
}

static void warn(const struct reading *r, const char *remedy, const char *sentence)
{
	conf_report(r->env, CONF_WARNING, &r->named->pos, remedy, "%s: %s", r->directive, sentence);
}

static const char *day(struct conf_env *env, time_t when)
{
	char text[40] = "?";
	struct tm tm;

	if (gmtime_r(&when, &tm))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S GMT", &tm);
	return conf_strdup(env, text);
}

static const char *subject(struct conf_env *env, gnutls_x509_crt_t crt)
{
	gnutls_datum_t dn = { 0 };
	const char *text = gnutls_x509_crt_get_dn3(crt, &dn, 0) >= 0 ? conf_printf(env, "%.*s", NAME_TEXT, (const char *)dn.data) : "?";

	gnutls_free(dn.data);
	return text;
}

/* ------------------------------------------------------------------------------------------------ one certificate, one list */

static void *grown(void *p, unsigned n, unsigned *room, size_t size)
{
	if (n < *room)
		return p;
	*room = *room ? 2 * *room : 8;
	return realloc(p, *room * size);
}

static int keep_certificate(struct reading *r, gnutls_x509_crt_t crt)
{
	struct certificates *c = r->certificates;
	gnutls_x509_crt_t *more;

	r->found++;
	for (unsigned i = 0; i < c->n; i++)
		if (gnutls_x509_crt_equals(c->at[i], crt)) {
			gnutls_x509_crt_deinit(crt);    /* a link and its file, or the same in file and folder */
			return 0;
		}
	more = grown(c->at, c->n, &c->room, sizeof *more);
	if (!more) {
		gnutls_x509_crt_deinit(crt);
		return bad(r, NULL, "out of memory");
	}
	c->at = more;
	c->at[c->n++] = crt;
	return 0;
}

int crl_serial_of(const unsigned char *number, size_t n, struct crl_serial *out)
{
	for (; n > 1 && *number == 0; n--)
		number++;
	memset(out, 0, sizeof *out);
	out->n = (unsigned char)(n > 255 ? 255 : n);
	memcpy(out->bytes, number, n < sizeof out->bytes ? n : sizeof out->bytes);
	return 0;
}

int crl_serial_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct crl_serial));
}

/* Sorted once, so that a handshake looks through a list of a million in twenty steps. */
static int take_serials(struct tls_crl *l)
{
	int count = gnutls_x509_crl_get_crt_count(l->crl);
	gnutls_x509_crl_iter_t it = NULL;
	unsigned char number[256];
	size_t n = sizeof number;

	l->serials = calloc(count > 0 ? (size_t)count : 1, sizeof *l->serials);
	if (!l->serials || count < 0)
		return count < 0 ? count : GNUTLS_E_MEMORY_ERROR;
	while (l->n < (size_t)count && gnutls_x509_crl_iter_crt_serial(l->crl, &it, number, &n, NULL) >= 0) {
		crl_serial_of(number, n, &l->serials[l->n++]);
		n = sizeof number;
	}
	gnutls_x509_crl_iter_deinit(it);
	if (l->n != (size_t)count)
		return GNUTLS_E_ASN1_DER_ERROR;
	qsort(l->serials, l->n, sizeof *l->serials, crl_serial_compare);
	return 0;
}

static bool has_critical_extension(gnutls_x509_crl_t crl)
{
	char oid[128];

	for (unsigned i = 0;; i++) {
		size_t n = sizeof oid;
		unsigned critical = 0;
		if (gnutls_x509_crl_get_extension_info(crl, i, oid, &n, &critical) < 0)
			return false;
		if (critical)
			return true;
	}
}

static void free_crl(struct tls_crl *l)
{
	gnutls_x509_crl_deinit(l->crl);
	gnutls_free(l->issuer.data);
	free(l->serials);
}

static bool same_crl(gnutls_x509_crl_t a, gnutls_x509_crl_t b)
{
	gnutls_datum_t one = { 0 }, two = { 0 };
	bool same = gnutls_x509_crl_export2(a, GNUTLS_X509_FMT_DER, &one) >= 0 && gnutls_x509_crl_export2(b, GNUTLS_X509_FMT_DER, &two) >= 0
		    && one.size == two.size && memcmp(one.data, two.data, one.size) == 0;

	gnutls_free(one.data);
	gnutls_free(two.data);
	return same;
}

static int keep_crl(struct reading *r, gnutls_x509_crl_t crl, const char *path)
{
	struct tls_authorities *a = r->lists;
	struct tls_crl l = { .crl = crl, .from = gnutls_x509_crl_get_this_update(crl), .until = gnutls_x509_crl_get_next_update(crl) }, *more;

	r->found++;
	for (unsigned i = 0; i < a->ncrl; i++)
		if (same_crl(a->crl[i].crl, crl)) {
			gnutls_x509_crl_deinit(crl);
			return 0;
		}
	l.partial = has_critical_extension(crl);
	if (gnutls_x509_crl_get_raw_issuer_dn(crl, &l.issuer) < 0 || take_serials(&l) != 0
	    || !(more = realloc(a->crl, (a->ncrl + 1) * sizeof *more))) {
		free_crl(&l);
		return bad(r, "have the authority make it anew", conf_printf(r->env, "the list of revoked certificates in %s cannot be read", path));
	}
	a->crl = more;
	a->crl[a->ncrl++] = l;
	if (l.until != (time_t)-1 && l.until < time(NULL))
		warn(r, "fetch the authority's new list, and have it fetched regularly",
		     conf_printf(r->env, "the list of revoked certificates in %s is out of date since %s: certificates of its authority are refused", path,
				 day(r->env, l.until)));
	if (l.partial)
		warn(r, "give the authority's whole list, too",
		     conf_printf(r->env, "the list of revoked certificates in %s speaks of some certificates only (it has critical extensions): what it "
				 "names is refused, but what it does not name still needs another list", path));
	return 0;
}

/* ------------------------------------------------------------------------------------------------ files */

static unsigned line_of(struct text all, const char *p)
{
	unsigned line = 1;

	for (const char *c = all.p; c < p; c++)
		line += *c == '\n';
	return line;
}

/* The next "-----BEGIN LABEL-----" to its end; false: no more. */
static bool next_block(struct text *rest, struct text *block, struct text *label)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ";
	const char *limit = rest->p + rest->n, *p = memmem(rest->p, rest->n, begin, sizeof begin - 1), *stop, *done;

	if (!p)
		return false;
	label->p = p + sizeof begin - 1;
	stop = memmem(label->p, (size_t)(limit - label->p), "-----", 5);
	if (!stop)
		return false;
	label->n = (size_t)(stop - label->p);
	done = memmem(stop, (size_t)(limit - stop), end, sizeof end - 1);
	done = done ? memchr(done, '\n', (size_t)(limit - done)) : NULL;
	done = done ? done + 1 : limit;
	*block = (struct text){ p, (size_t)(done - p) };
	*rest = (struct text){ done, (size_t)(limit - done) };
	return true;
}

static int take(struct reading *r, const char *path, struct text block, gnutls_x509_crt_fmt_t form, unsigned line)
{
	gnutls_datum_t data = { (unsigned char *)(uintptr_t)block.p, (unsigned)block.n };
	const char *what = r->certificates ? "certificate" : "list of revoked certificates";
	gnutls_x509_crt_t crt;
	gnutls_x509_crl_t crl;
	int code;

	if (r->certificates) {
		if ((code = gnutls_x509_crt_init(&crt)) >= 0) {
			if ((code = gnutls_x509_crt_import(crt, &data, form)) >= 0)
				return keep_certificate(r, crt);
			gnutls_x509_crt_deinit(crt);
		}
	} else if ((code = gnutls_x509_crl_init(&crl)) >= 0) {
		if ((code = gnutls_x509_crl_import(crl, &data, form)) >= 0)
			return keep_crl(r, crl, path);
		gnutls_x509_crl_deinit(crl);
	}
	return bad(r, conf_printf(r->env, "see what is in it: openssl %s -in %s -noout -text", r->certificates ? "x509" : "crl", path),
		   line ? conf_printf(r->env, "the %s at line %u of %s cannot be read: %s", what, line, path, gnutls_strerror(code))
			: conf_printf(r->env, "%s holds no %s: %s", path, what, gnutls_strerror(code)));
}

static int take_pem(struct reading *r, const char *path, struct text all)
{
	struct text rest = all, block, label;
	int result = 0;

	while (next_block(&rest, &block, &label)) {
		bool certificate = text_is(label, "CERTIFICATE") || text_is(label, "X509 CERTIFICATE"), list = text_is(label, "X509 CRL");

		r->key |= label.n >= 11 && memcmp(label.p + label.n - 11, "PRIVATE KEY", 11) == 0;
		if (r->certificates ? !certificate : !list)
			r->other++;
		else if (take(r, path, block, GNUTLS_X509_FMT_PEM, line_of(all, block.p)) != 0)
			result = -1;
	}
	return result;
}

static int nothing_in(const struct reading *r, const char *path, bool empty)
{
	const char *what = r->certificates ? "certificate" : "list of revoked certificates";
	const char *remedy = conf_printf(r->env, "it must hold lines from -----BEGIN %s----- to -----END %s-----",
					 r->certificates ? "CERTIFICATE" : "X509 CRL", r->certificates ? "CERTIFICATE" : "X509 CRL");

	if (empty)
		return bad(r, remedy, conf_printf(r->env, "%s is empty", path));
	if (r->key)
		return bad(r, r->certificates ? "name the certificates of the authorities; their private keys do not belong on this machine" : remedy,
			   conf_printf(r->env, "%s holds a private key, but no %s", path, what));
	return bad(r, remedy, conf_printf(r->env, "%s holds no %s", path, what));
}

static int read_file(struct reading *r, const char *path)
{
	gnutls_datum_t data = { 0 };
	struct stat st;
	unsigned before = r->found;
	int result, code;

	if (stat(path, &st) != 0)
		return bad(r, errno == ENOENT ? "name a file that exists" : "mend the rights of the file and of the folders above it",
			   conf_printf(r->env, "%s cannot be opened: %s", path, strerror(errno)));
	if (!S_ISREG(st.st_mode))
		return bad(r, S_ISDIR(st.st_mode) ? "a folder is named by the directive that ends in Path" : NULL,
			   conf_printf(r->env, "%s is not a plain file", path));
	if (st.st_size == 0)
		return r->in_folder ? 0 : nothing_in(r, path, true);
	code = gnutls_load_file(path, &data);
	if (code < 0)
		return bad(r, "start as root, or mend the rights of the file", conf_printf(r->env, "%s cannot be read", path));
	if (memmem(data.data, data.size, "-----BEGIN ", 11))
		result = take_pem(r, path, (struct text){ (const char *)data.data, data.size });
	else if (data.size && data.data[0] == 0x30)     /* DER: a sequence */
		result = take(r, path, (struct text){ (const char *)data.data, data.size }, GNUTLS_X509_FMT_DER, 0);
	else
		result = 0;
	gnutls_memset(data.data, 0, data.size);         /* a key may have been in it, by mistake */
	gnutls_free(data.data);
	if (result == 0 && r->found == before && !r->in_folder)
		return nothing_in(r, path, false);
	return result;
}

/* ------------------------------------------------------------------------------------------------ folders */

/* "9d66eef0.0": what OpenSSL looks for; lists have "9d66eef0.r0". */
static bool is_hashed(const char *name)
{
	unsigned i = 0;

	while (i < 8 && isxdigit((unsigned char)name[i]))
		i++;
	if (i != 8 || name[i++] != '.')
		return false;
	if (name[i] == 'r')
		i++;
	return isdigit((unsigned char)name[i]) && name[i + strspn(name + i, "0123456789")] == '\0';
}

static int wanted(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Certificates that have no such name are not looked at by OpenSSL where others have one; a list of revoked ones always counts. */
static int read_folder(struct reading *r, const char *path)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, wanted, alphasort), result = 0;
	bool hashed = false;

	if (n < 0)
		return bad(r, errno == ENOTDIR ? "a file is named by the directive that ends in File" : "name a folder that exists and can be read",
			   conf_printf(r->env, "the folder %s cannot be read: %s", path, strerror(errno)));
	for (int i = 0; i < n; i++)
		hashed |= is_hashed(names[i]->d_name) && !strchr(names[i]->d_name, 'r');
	r->in_folder = true;
	for (int i = 0; i < n; i++) {
		const char *file = conf_printf(r->env, "%s/%s", path, names[i]->d_name);
		struct stat st;
		if (stat(file, &st) == 0 && S_ISREG(st.st_mode) && (!r->certificates || !hashed || is_hashed(names[i]->d_name)))
			result |= read_file(r, file);
		free(names[i]);
	}
	free(names);
	if (result == 0 && r->found == 0)
		warn(r, "put the files into it, or take the line out",
		     conf_printf(r->env, "the folder %s holds no %s", path, r->certificates ? "certificate" : "list of revoked certificates"));
	return result ? -1 : 0;
}

static int read_both(struct conf_env *env, const struct tls_file *file, const char *file_name, const struct tls_file *folder,
		     const char *folder_name, struct certificates *certificates, struct tls_authorities *lists)
{
	struct reading r = { .env = env, .named = file, .directive = file_name, .certificates = certificates, .lists = lists };
	int result = file->path ? read_file(&r, file->path) : 0;

	r = (struct reading){ .env = env, .named = folder, .directive = folder_name, .certificates = certificates, .lists = lists };
	if (folder->path && read_folder(&r, folder->path) != 0)
		result = -1;
	return result;
}

/* ------------------------------------------------------------------------------------------------ a look through */

static bool has_issuer(const struct tls_authorities *a, gnutls_x509_crt_t crt)
{
	for (unsigned i = 0; i < a->n; i++)
		if (gnutls_x509_crt_check_issuer(crt, a->ca[i]))
			return true;
	return false;
}

/* What will refuse clients later is said now. */
static void look_at_authorities(const struct tls_policy *p, struct conf_env *env)
{
	const struct tls_authorities *a = p->clients;
	const struct tls_file *f = p->ca_file.path ? &p->ca_file : &p->ca_path;
	struct reading r = { .env = env, .named = f, .directive = p->ca_file.path ? "SSLCACertificateFile" : "SSLCACertificatePath" };
	time_t now = time(NULL), when;

	for (unsigned i = 0; i < a->n; i++) {
		gnutls_x509_crt_t ca = a->ca[i];
		if ((when = gnutls_x509_crt_get_expiration_time(ca)) < now)
			warn(&r, "put the authority's new certificate into its place",
			     conf_printf(env, "the certificate of the authority %s expired on %s: its clients are refused", subject(env, ca), day(env, when)));
		else if ((when = gnutls_x509_crt_get_activation_time(ca)) > now)
			warn(&r, "see whether the machine's clock is right",
			     conf_printf(env, "the certificate of the authority %s is valid from %s on: its clients are refused until then", subject(env, ca),
					 day(env, when)));
		if (!has_issuer(a, ca))
			warn(&r, "add the certificate of its issuer, up to the self-signed one",
			     conf_printf(env, "the authority %s is not self-signed, and who issued its certificate is not there: its clients are refused",
					 subject(env, ca)));
		else if (gnutls_x509_crt_get_ca_status(ca, NULL) == 0 && !gnutls_x509_crt_check_issuer(ca, ca))
			warn(&r, "name the certificate of the authority that issued it",
			     conf_printf(env, "%s is no authority (basicConstraints has no CA:TRUE)", subject(env, ca)));
	}
	if (a->n == 0 && p->verify >= TLS_VERIFY_OPTIONAL)
		conf_report(env, CONF_WARNING, &p->verify_pos, "name the authorities: SSLCACertificateFile PATH",
			    "host %s asks clients for certificates and knows no authority: every certificate is refused", p->name);
}

static void look_at_lists(const struct tls_policy *p, struct conf_env *env)
{
	const struct tls_authorities *a = p->clients;
	const struct tls_file *f = p->crl_file.path ? &p->crl_file : &p->crl_path;
	struct reading r = { .env = env, .named = f, .directive = p->crl_file.path ? "SSLCARevocationFile" : "SSLCARevocationPath" };

	for (unsigned i = 0; i < a->ncrl; i++) {
		gnutls_datum_t dn = { 0 };
		bool named = false, signed_by = false;
		for (unsigned k = 0; k < a->n; k++)
			if (gnutls_x509_crl_check_issuer(a->crl[i].crl, a->ca[k])) {
				unsigned status = 0;
				named = true;
				signed_by |= gnutls_x509_crl_verify(a->crl[i].crl, &a->ca[k], 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status) >= 0
					     && !(status & (GNUTLS_CERT_SIGNATURE_FAILURE | GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_INSECURE_ALGORITHM));
			}
		if (signed_by || gnutls_x509_crl_get_issuer_dn3(a->crl[i].crl, &dn, 0) < 0)
			continue;
		warn(&r, named ? "fetch the list anew from the authority" : "name the certificate of its authority in SSLCACertificateFile",
		     conf_printf(env, named ? "the list of revoked certificates of %.*s was not signed by that authority's key: it does not count" :
					      "no authority of the host issued the list of revoked certificates of %.*s: it counts only for clients that "
					      "bring that authority's certificate along", NAME_TEXT, (const char *)dn.data));
		gnutls_free(dn.data);
	}
}

/* ------------------------------------------------------------------------------------------------ hashes */

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/* One hash of many, whatever their order. */
static int hash_of(unsigned char (*each)[32], unsigned n, unsigned char out[32])
{
	if (n)
		qsort(each, n, sizeof *each, compare_hashes);
	return gnutls_hash_fast(GNUTLS_DIG_SHA256, each, n * sizeof *each, out);
}

static int make_hashes(struct tls_authorities *a)
{
	unsigned most = a->n > a->ncrl ? a->n : a->ncrl;
	unsigned char (*each)[32] = calloc(most + 1, sizeof *each);
	gnutls_datum_t der = { 0 };
	int r = each ? 0 : GNUTLS_E_MEMORY_ERROR;

	for (unsigned i = 0; r >= 0 && i < a->n; i++) {
		size_t n = 32;
		r = gnutls_x509_crt_get_fingerprint(a->ca[i], GNUTLS_DIG_SHA256, each[i], &n);
	}
	if (r >= 0)
		r = hash_of(each, a->n, a->ca_hash);
	for (unsigned i = 0; r >= 0 && i < a->ncrl; i++) {
		if ((r = gnutls_x509_crl_export2(a->crl[i].crl, GNUTLS_X509_FMT_DER, &der)) >= 0)
			r = gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, each[i]);
		gnutls_free(der.data);
		der.data = NULL;
	}
	if (r >= 0)
		r = hash_of(each, a->ncrl, a->crl_hash);
	free(each);
	return r;
}

/* ------------------------------------------------------------------------------------------------ the whole */

static void merge_file(struct tls_file *f, const struct tls_file *base)
{
	if (!f->path)
		*f = *base;
}

void authorities_merge(struct tls_policy *p, const struct tls_policy *base)
{
	if (p->verify == CONF_UNSET) {
		p->verify = base->verify;
		p->verify_pos = base->verify_pos;
	}
	if (p->depth == CONF_UNSET)
		p->depth = base->depth;
	if (p->crl_check == CONF_UNSET) {
		p->crl_check = base->crl_check;
		p->crl_lenient = base->crl_lenient;
		p->crl_check_pos = base->crl_check_pos;
	}
	if (!p->ocsp_set) {
		p->ocsp_set = base->ocsp_set;
		p->ocsp_pos = base->ocsp_pos;
	}
	merge_file(&p->ca_file, &base->ca_file);
	merge_file(&p->ca_path, &base->ca_path);
	merge_file(&p->names_file, &base->names_file);
	merge_file(&p->names_path, &base->names_path);
	merge_file(&p->crl_file, &base->crl_file);
	merge_file(&p->crl_path, &base->crl_path);
	p->base_places = base->places;
}

/* What a host never asks for, a section cannot have: clients are not asked again after the handshake. */
static int check_places(const struct tls_policy *p, const struct tls_place *places, struct conf_env *env)
{
	int result = 0;

	for (const struct tls_place *i = places; i; i = i->next)
		if (i->verify > TLS_VERIFY_NONE && p->verify == TLS_VERIFY_NONE) {
			conf_report(env, CONF_ERROR, &i->pos,
				    "write \"SSLVerifyClient optional\" and SSLCACertificateFile into the host; the section then lets in only whom it may",
				    "a section asks for certificates of clients, but host %s does not: they cannot be asked for after the handshake", p->name);
			result = -1;
		}
	return result;
}

static int check_revocation_lines(const struct tls_policy *p, struct conf_env *env)
{
	bool lists = p->crl_file.path || p->crl_path.path;

	if (p->ocsp_pos.file) {
		conf_report(env, CONF_ERROR, &p->ocsp_pos, "write SSLOCSPEnable off, and name lists of revoked certificates: SSLCARevocationFile, SSLCARevocationCheck chain",
			    "host %s: responders are not asked about certificates of clients in this release; revoked ones would be let in", p->name);
		return -1;
	}
	if (p->crl_check > CRL_CHECK_NONE && !lists) {
		conf_report(env, CONF_ERROR, &p->crl_check_pos, "add SSLCARevocationFile or SSLCARevocationPath, or write SSLCARevocationCheck none",
			    "host %s: revocation is checked, but no list of revoked certificates is named", p->name);
		return -1;
	}
	if (lists && p->crl_check <= CRL_CHECK_NONE)
		conf_report(env, CONF_WARNING, p->crl_file.path ? &p->crl_file.pos : &p->crl_path.pos, "add: SSLCARevocationCheck chain",
			    "host %s: lists of revoked certificates are named, but SSLCARevocationCheck is none: revoked certificates are let in", p->name);
	return 0;
}

int authorities_load(struct tls_policy *p, struct conf_env *env)
{
	struct certificates found = { 0 };
	struct tls_authorities *a;
	int r = -1;

	if (p->verify == CONF_UNSET)
		p->verify = TLS_VERIFY_NONE;
	if (p->depth == CONF_UNSET)
		p->depth = TLS_VERIFY_DEPTH;
	if (check_places(p, p->places, env) != 0 || check_places(p, p->base_places, env) != 0)
		return -1;
	if (p->verify == TLS_VERIFY_NONE)
		return 0;
	a = p->clients = calloc(1, sizeof *a);
	if (a)
		r = read_both(env, &p->ca_file, "SSLCACertificateFile", &p->ca_path, "SSLCACertificatePath", &found, NULL);
	if (a) {
		a->ca = found.at;
		a->n = found.n;
		if (p->crl_check > CRL_CHECK_NONE
		    && read_both(env, &p->crl_file, "SSLCARevocationFile", &p->crl_path, "SSLCARevocationPath", NULL, a) != 0)
			r = -1;
	}
	if (check_revocation_lines(p, env) != 0 || r != 0)
		return -1;
	if (make_hashes(a) < 0) {
		conf_report(env, CONF_ERROR, &p->verify_pos, NULL, "host %s: its authorities cannot be hashed", p->name);
		return -1;
	}
	look_at_authorities(p, env);
	look_at_lists(p, env);
	return 0;
}

/* The credentials free what they are given: copies. */
static int copy_names(struct certificates *to, const struct tls_authorities *a)
{
	to->at = calloc(a->n + 1, sizeof *to->at);
	for (; to->at && to->n < a->n; to->n++) {
		gnutls_datum_t der = { 0 };
		int r = gnutls_x509_crt_export2(a->ca[to->n], GNUTLS_X509_FMT_DER, &der);
		if (r >= 0 && (r = gnutls_x509_crt_init(&to->at[to->n])) >= 0)
			r = gnutls_x509_crt_import(to->at[to->n], &der, GNUTLS_X509_FMT_DER);
		gnutls_free(der.data);
		if (r < 0)
			return -1;
	}
	return to->at ? 0 : -1;
}

static size_t names_length(const struct certificates *c)
{
	size_t all = 0;

	for (unsigned i = 0; i < c->n; i++) {
		gnutls_datum_t dn = { 0 };
		if (gnutls_x509_crt_get_raw_dn(c->at[i], &dn) >= 0)
			all += 2 + dn.size;
		gnutls_free(dn.data);
	}
	return all;
}

static void drop(struct certificates *c)
{
	for (unsigned i = 0; i < c->n; i++)
		gnutls_x509_crt_deinit(c->at[i]);
	free(c->at);
	*c = (struct certificates){ 0 };
}

int authorities_tell(struct tls_policy *p, struct conf_env *env)
{
	struct certificates names = { 0 };
	gnutls_x509_trust_list_t list;
	int r;

	if (!p->clients)
		return 0;
	if (p->names_file.path || p->names_path.path)
		r = read_both(env, &p->names_file, "SSLCADNRequestFile", &p->names_path, "SSLCADNRequestPath", &names, NULL);
	else
		r = copy_names(&names, p->clients);
	if (r == 0 && names_length(&names) > NAMES_MAX) {
		conf_report(env, CONF_WARNING, &p->verify_pos, "name those that matter in SSLCADNRequestFile",
			    "host %s: the names of its %u authorities are too long for a handshake: clients are told none", p->name, names.n);
		drop(&names);
	}
	if (r == 0 && names.n && (r = gnutls_x509_trust_list_init(&list, 0)) >= 0) {
		r = gnutls_x509_trust_list_add_cas(list, names.at, names.n, GNUTLS_TL_USE_IN_TLS);
		gnutls_certificate_set_trust_list(p->credentials, list, 0);
		names.n = 0;                    /* the list's, and that is the credentials' */
	}
	drop(&names);
	return r < 0 ? -1 : 0;
}

void authorities_free(struct tls_policy *p)
{
	struct tls_authorities *a = p->clients;

	if (!a)
		return;
	for (unsigned i = 0; i < a->n; i++)
		gnutls_x509_crt_deinit(a->ca[i]);
	for (unsigned i = 0; i < a->ncrl; i++)
		free_crl(&a->crl[i]);
	free(a->ca);
	free(a->crl);
	free(a);
	p->clients = NULL;
}
