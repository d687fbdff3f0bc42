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

int reading_bad(const struct cert_reading *r, const char *remedy, const char *sentence)
{
	conf_report(r->env, CONF_ERROR, &r->named->pos, remedy, "%s: %s", r->directive, sentence);
	return -1;
}

void reading_warn(const struct cert_reading *r, const char *remedy, const char *sentence)
{
	conf_report(r->env, CONF_WARNING, &r->named->pos, remedy, "%s: %s", r->directive, sentence);
}

const char *reading_day(struct conf_env *env, time_t when)
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

static int keep_certificate(struct cert_reading *r, gnutls_x509_crt_t crt)
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
		return reading_bad(r, NULL, "out of memory");
	}
	c->at = more;
	c->at[c->n++] = crt;
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

static int take(struct cert_reading *r, const char *path, struct text block, gnutls_x509_crt_fmt_t form, unsigned line)
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
			return crl_keep(r, crl, path);
		gnutls_x509_crl_deinit(crl);
	}
	return reading_bad(r, conf_printf(r->env, "see what is in it: openssl %s -in %s -noout -text", r->certificates ? "x509" : "crl", path),
		   line ? conf_printf(r->env, "the %s at line %u of %s cannot be read: %s", what, line, path, gnutls_strerror(code))
			: conf_printf(r->env, "%s holds no %s: %s", path, what, gnutls_strerror(code)));
}

static int take_pem(struct cert_reading *r, const char *path, struct text all)
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

static int nothing_in(const struct cert_reading *r, const char *path, bool empty)
{
	const char *what = r->certificates ? "certificate" : "list of revoked certificates";
	const char *remedy = conf_printf(r->env, "it must hold lines from -----BEGIN %s----- to -----END %s-----",
					 r->certificates ? "CERTIFICATE" : "X509 CRL", r->certificates ? "CERTIFICATE" : "X509 CRL");

	if (empty)
		return reading_bad(r, remedy, conf_printf(r->env, "%s is empty", path));
	if (r->key)
		return reading_bad(r, r->certificates ? "name the certificates of the authorities; their private keys do not belong on this machine" : remedy,
			   conf_printf(r->env, "%s holds a private key, but no %s", path, what));
	return reading_bad(r, remedy, conf_printf(r->env, "%s holds no %s", path, what));
}

static int read_file(struct cert_reading *r, const char *path)
{
	gnutls_datum_t data = { 0 };
	struct stat st;
	unsigned before = r->found;
	int result, code;

	if (stat(path, &st) != 0)
		return reading_bad(r, errno == ENOENT ? "name a file that exists" : "mend the rights of the file and of the folders above it",
			   conf_printf(r->env, "%s cannot be opened: %s", path, strerror(errno)));
	if (!S_ISREG(st.st_mode))
		return reading_bad(r, S_ISDIR(st.st_mode) ? "a folder is named by the directive that ends in Path" : NULL,
			   conf_printf(r->env, "%s is not a plain file", path));
	if (st.st_size == 0)
		return r->in_folder ? 0 : nothing_in(r, path, true);
	code = gnutls_load_file(path, &data);
	if (code < 0)
		return reading_bad(r, "start as root, or mend the rights of the file", conf_printf(r->env, "%s cannot be read", path));
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
static int read_folder(struct cert_reading *r, const char *path)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, wanted, alphasort), result = 0;
	bool hashed = false;

	if (n < 0)
		return reading_bad(r, errno == ENOTDIR ? "a file is named by the directive that ends in File" : "name a folder that exists and can be read",
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
		reading_warn(r, "put the files into it, or take the line out",
		     conf_printf(r->env, "the folder %s holds no %s", path, r->certificates ? "certificate" : "list of revoked certificates"));
	return result ? -1 : 0;
}

static int read_both(struct conf_env *env, const struct tls_file *file, const char *file_name, const struct tls_file *folder,
		     const char *folder_name, struct certificates *certificates, struct tls_authorities *lists)
{
	struct cert_reading r = { .env = env, .named = file, .directive = file_name, .certificates = certificates, .lists = lists };
	int result = file->path ? read_file(&r, file->path) : 0;

	r = (struct cert_reading){ .env = env, .named = folder, .directive = folder_name, .certificates = certificates, .lists = lists };
	if (folder->path && read_folder(&r, folder->path) != 0)
		result = -1;
	return result;
}

/* ------------------------------------------------------------------------------------------------ a look through */

static bool has_issuer(const struct tls_authorities *a, gnutls_x509_crt_t crt)
{
	if (gnutls_x509_crt_check_issuer(crt, crt))
		return true;
	for (unsigned i = 0; i < a->n; i++)
		if (gnutls_x509_crt_check_issuer(crt, a->ca[i]))
			return true;
	return false;
}

/* The first section that asks for what the host does not. */
static const struct tls_place *asking_place(const struct tls_policy *p)
{
	const struct tls_place *lists[] = { p->places, p->base_places };

	if (p->verify == TLS_VERIFY_NONE)
		for (int k = 0; k < 2; k++)
			for (const struct tls_place *i = lists[k]; i; i = i->next)
				if (i->verify > TLS_VERIFY_NONE)
					return i;
	return NULL;
}

/* What will refuse clients later is said now. */
static void look_at_authorities(const struct tls_policy *p, struct conf_env *env)
{
	const struct tls_authorities *a = p->clients;
	const struct tls_file *f = p->ca_file.path ? &p->ca_file : &p->ca_path;
	struct cert_reading r = { .env = env, .named = f, .directive = p->ca_file.path ? "SSLCACertificateFile" : "SSLCACertificatePath" };
	time_t now = time(NULL), when;

	for (unsigned i = 0; i < a->n; i++) {
		gnutls_x509_crt_t ca = a->ca[i];
		if ((when = gnutls_x509_crt_get_expiration_time(ca)) < now)
			reading_warn(&r, "put the authority's new certificate into its place",
			     conf_printf(env, "the certificate of the authority %s expired on %s: its clients are refused", subject(env, ca), reading_day(env, when)));
		else if ((when = gnutls_x509_crt_get_activation_time(ca)) > now)
			reading_warn(&r, "see whether the machine's clock is right",
			     conf_printf(env, "the certificate of the authority %s is valid from %s on: its clients are refused until then", subject(env, ca),
					 reading_day(env, when)));
		if (!has_issuer(a, ca))
			reading_warn(&r, "add the certificate of its issuer, up to the self-signed one",
			     conf_printf(env, "the authority %s is not self-signed, and who issued its certificate is not there: its clients are refused",
					 subject(env, ca)));
		else if (gnutls_x509_crt_get_ca_status(ca, NULL) == 0 && !gnutls_x509_crt_check_issuer(ca, ca))
			reading_warn(&r, "name the certificate of the authority that issued it",
			     conf_printf(env, "%s is no authority (basicConstraints has no CA:TRUE)", subject(env, ca)));
	}
	if (a->n == 0 && (p->verify >= TLS_VERIFY_OPTIONAL || asking_place(p)))
		conf_report(env, CONF_WARNING, p->verify > TLS_VERIFY_NONE ? &p->verify_pos : &asking_place(p)->pos, "name the authorities: SSLCACertificateFile PATH",
			    "host %s asks clients for certificates and knows no authority: every certificate is refused", p->name);
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

static int take_names(struct tls_authorities *a)
{
	a->names = calloc(a->n + 1, sizeof *a->names);
	for (unsigned i = 0; a->names && i < a->n; i++)
		if (gnutls_x509_crt_get_raw_dn(a->ca[i], &a->names[i]) < 0)
			return -1;
	return a->names ? 0 : -1;
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
	ocsp_merge(&p->ocsp, &base->ocsp);
	merge_file(&p->ca_file, &base->ca_file);
	merge_file(&p->ca_path, &base->ca_path);
	merge_file(&p->names_file, &base->names_file);
	merge_file(&p->names_path, &base->names_path);
	merge_file(&p->crl_file, &base->crl_file);
	merge_file(&p->crl_path, &base->crl_path);
	p->base_places = base->places;
}

/* Such a section asks behind the handshake, which few clients know (RFC 8446, 4.6.2), and none before TLS 1.3. */
static int check_places(const struct tls_policy *p, struct conf_env *env)
{
	static const char remedy[] = "write \"SSLVerifyClient optional\" and SSLCACertificateFile into the host; the section then lets in only whom it may";
	const struct tls_place *place = asking_place(p);

	if (!place)
		return 0;
	if (!(p->protocols & PROTO_TLS13)) {
		conf_report(env, CONF_ERROR, &place->pos, remedy,
			    "a section asks for certificates of clients, but host %s does not, nor has it TLS 1.3: before that they cannot be asked for after the handshake",
			    p->name);
		return -1;
	}
	conf_report(env, CONF_NOTICE, &place->pos, remedy,
		    "host %s asks for certificates of clients in sections only, so behind the handshake: clients before TLS 1.3 and browsers, which cannot be "
		    "asked then, get 403 where one is required", p->name);
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
	if (check_places(p, env) != 0)
		return -1;
	/* Files of authorities say that somebody will be asked, if only by a .htaccess. */
	if (p->verify == TLS_VERIFY_NONE && !asking_place(p) && !p->ca_file.path && !p->ca_path.path)
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
	if (crl_check_lines(p, env) != 0 || r != 0)
		return -1;
	if (take_names(a) < 0 || make_hashes(a) < 0) {
		conf_report(env, CONF_ERROR, &p->certs[0].pos, NULL, "host %s: its authorities cannot be taken into use", p->name);
		return -1;
	}
	look_at_authorities(p, env);
	crl_look(p, env);
	return ocsp_finish(p, env);
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
	for (unsigned i = 0; i < a->n; i++) {
		gnutls_x509_crt_deinit(a->ca[i]);
		if (a->names)
			gnutls_free(a->names[i].data);
	}
	free(a->names);
	for (unsigned i = 0; i < a->ncrl; i++)
		crl_free(&a->crl[i]);
	free(a->ca);
	free(a->crl);
	free(a);
	p->clients = NULL;
}
