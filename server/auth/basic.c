/*
 * basic.c - AuthType Basic (RFC 7617): a name and a password with each request, looked for in each provider. Runs in the
 * children.
 *
 * A hash that is slow is computed by a thread (client_work) while the request waits; the phase is run again when it is done,
 * and finds what came of it by the MAC of what was asked.
 */
#include "auth/authn.h"

#include <errno.h>
#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth/password.h"
#include "auth/userfile.h"
#include "base/secret.h"
#include "request/access.h"
#include "request/phases.h"
#include "request/variables.h"

enum found { FOUND_GOOD, FOUND_WRONG, FOUND_NOBODY, FOUND_FAULT, FOUND_BUSY, FOUND_LIMITED, FOUND_LATER };

/* What came with a request. The password is wiped when it has been looked at. */
struct login {
	char *user, *password;
	char *all;
	size_t n;
};

/* ---------------------------------------------------------------------------------------------- the field */

static int digit64(unsigned char c)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(letters, c) : NULL;

	return at ? (int)(at - letters) : -1;
}

/* 0, or -1: what came is not base64. Padding may be left out. */
static int decode64(struct text t, char *out, size_t *n)
{
	unsigned v = 0, bits = 0;

	*n = 0;
	while (t.n && t.p[t.n - 1] == '=')
		t.n--;
	for (size_t i = 0; i < t.n; i++) {
		int d = digit64((unsigned char)t.p[i]);

		if (d < 0)
			return -1;
		v = (v << 6 | (unsigned)d) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			out[(*n)++] = (char)(v >> bits & 0xff);
		}
	}
	return 0;
}

/* 0, or -1: there is no name and password of this kind in the field. */
static int login_read(struct request *r, struct text value, struct login *l)
{
	char *colon;

	if (value.n < 6 || !text_is_nocase((struct text){ value.p, 6 }, "Basic "))
		return -1;
	value = text_trim((struct text){ value.p + 6, value.n - 6 });
	l->all = arena_alloc(r->arena, value.n + 1);
	if (!l->all || decode64(value, l->all, &l->n) != 0 || memchr(l->all, '\0', l->n))
		return -1;
	l->all[l->n] = '\0';
	colon = strchr(l->all, ':');
	if (!colon)
		return -1;
	*colon = '\0';
	l->user = l->all;
	l->password = colon + 1;
	return 0;
}

static int encode_login(struct request *r, const char *user, const char *password)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *all = arena_printf(r->arena, "%s:%s", user, password);
	size_t n = all ? strlen(all) : 0;
	char *value = all ? arena_alloc(r->arena, n / 3 * 4 + 16) : NULL, *out = value;

	if (!value)
		return -1;
	memcpy(out, "Basic ", 6);
	out += 6;
	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)(unsigned char)all[i] << 16 | (i + 1 < n ? (unsigned)(unsigned char)all[i + 1] << 8 : 0)
			     | (i + 2 < n ? (unsigned char)all[i + 2] : 0);

		*out++ = letters[v >> 18];
		*out++ = letters[v >> 12 & 63];
		*out++ = i + 1 < n ? letters[v >> 6 & 63] : '=';
		*out++ = i + 2 < n ? letters[v & 63] : '=';
	}
	*out = '\0';
	return fields_set(&r->in, "Authorization", value);
}

/* ---------------------------------------------------------------------------------------------- slow hashes */

struct job {
	struct client_work work;
	unsigned char mac[LOGINS_MAC];
	bool matches;
	char *password;                 /* behind the hash, in the same memory */
	char hash[];
};

static void job_run(struct client_work *w)
{
	struct job *j = (struct job *)(void *)w;

	j->matches = password_matches(j->password, j->hash);
	secret_wipe(j->password, strlen(j->password));
}

static void job_free(struct client_work *w)
{
	struct job *j = (struct job *)(void *)w;

	secret_wipe(j->password, strlen(j->password));
	free(j);
}

static struct job *job_new(const char *password, const char *hash, const unsigned char mac[LOGINS_MAC])
{
	size_t h = strlen(hash) + 1, p = strlen(password) + 1;
	struct job *j = calloc(1, sizeof *j + h + p);

	if (!j)
		return NULL;
	j->work.run = job_run;
	j->work.free = job_free;
	memcpy(j->mac, mac, LOGINS_MAC);
	memcpy(j->hash, hash, h);
	j->password = j->hash + h;
	memcpy(j->password, password, p);
	return j;
}

static enum found by_thread(struct request *r, const char *password, const char *hash, const unsigned char mac[LOGINS_MAC])
{
	struct job *j;
	unsigned waiting = (unsigned)authn_host_of(r)->queue;

	for (struct client_work *w = client_worked(r->client); w; w = w->next) {
		j = (struct job *)(void *)w;
		if (w->run == job_run && password_same(j->mac, mac, LOGINS_MAC))
			return j->matches ? FOUND_GOOD : FOUND_WRONG;
	}
	j = job_new(password, hash, mac);
	if (!j)
		return FOUND_BUSY;
	if (client_work(r->client, &j->work, waiting) == 0)
		return FOUND_LATER;
	job_free(&j->work);
	if (errno == EBUSY)             /* another look-up of this request is first */
		return FOUND_LATER;
	if (errno == ENOSYS)            /* there are no threads: nobody else would wait for it */
		return password_matches(password, hash) ? FOUND_GOOD : FOUND_WRONG;
	log_errorx(&r->client->about, LOG_AUTHZ, "BH0635", "%s answered with 503: %s", r->path,
		   errno == ETIMEDOUT ? "the hash of a password took longer than Timeout: it was made to be slower than it need be"
				      : "too many passwords wait to be looked at in this process (AuthPasswordQueue)");
	return FOUND_BUSY;
}

/* `known`: the user exists; else the time alone counts, which must be the same. */
static enum found check(struct request *r, const struct login *l, const char *hash, bool known)
{
	const struct logins_settings *s = &authn_host_of(r)->logins;
	unsigned char mac[LOGINS_MAC];
	enum password_kind kind;
	enum found f;

	password_init();
	kind = password_kind(hash);
	if (kind == PASSWORD_UNKNOWN || kind == PASSWORD_DEAR) {
		if (known)
			log_errorx(&r->client->about, LOG_AUTHZ, "BH0639", "what stands for the password of %s is %s: make it anew with htpasswd -B",
				   authn_shown(r, l->user), kind == PASSWORD_DEAR ? "a hash that takes more time or memory than one login may" :
				   "no hash that is known here (is it plain text?)");
		return FOUND_WRONG;
	}
	if (!logins_mac(l->user, l->password, hash, mac))
		return FOUND_BUSY;
	if (known && logins_known(mac))
		return FOUND_GOOD;
	if (logins_refused(s, &r->client->peer))
		return FOUND_LIMITED;
	if (kind == PASSWORD_QUICK)
		f = password_matches(l->password, hash) ? FOUND_GOOD : FOUND_WRONG;
	else
		f = by_thread(r, l->password, hash, mac);
	if (f == FOUND_GOOD && known)
		logins_remember(s, mac);
	return f;
}

/* ---------------------------------------------------------------------------------------------- providers */

/* AuthBasicUseDigestAlgorithm MD5: the file holds USER:REALM:HASH, the hash of USER:REALM:PASSWORD. */
static bool digest_matches(struct request *r, const struct login *l, const char *realm, const char *hash)
{
	char *all = arena_printf(r->arena, "%s:%s:%s", l->user, realm, l->password), hex[33];
	unsigned char digest[16];
	struct buf b;

	if (!all)
		return false;
	password_init();
	gcry_md_hash_buffer(GCRY_MD_MD5, digest, all, strlen(all));
	secret_wipe(all, strlen(all));
	buf_init(&b, hex, sizeof hex);
	for (size_t i = 0; i < sizeof digest; i++)
		buf_printf(&b, "%02x", digest[i]);
	return strlen(hash) == b.n && password_same(hex, hash, b.n);
}

static enum found in_file(struct request *r, const struct authn_section *s, bool hashed, const struct login *l, char template[USERFILE_HASH])
{
	const char *realm = hashed ? authn_realm(r) : NULL;
	struct userfile_entry e;
	enum userfile_found found;
	enum found f;

	if (!s->user_file) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0640", "AuthUserFile not specified in the configuration: %s (it names the file that htpasswd makes)", r->path);
		return FOUND_FAULT;
	}
	found = userfile_find(s->user_file, l->user, realm, &e);
	if (found == USERFILE_ERROR) {
		log_error(&r->client->about, LOG_AUTHZ, "BH0641", "could not open password file: %s (the children's user must be able to read it)", s->user_file);
		return FOUND_FAULT;
	}
	if (found == USERFILE_NONE) {
		if (!hashed && !*template)
			memcpy(template, e.hash, strlen(e.hash) + 1);
		return FOUND_NOBODY;
	}
	if (hashed)
		f = logins_refused(&authn_host_of(r)->logins, &r->client->peer) ? FOUND_LIMITED : digest_matches(r, l, realm, e.hash) ? FOUND_GOOD : FOUND_WRONG;
	else
		f = check(r, l, e.hash, true);
	secret_wipe(e.hash, sizeof e.hash);
	return f;
}

static bool is_guest(const struct authn_section *s, const char *user)
{
	if (!*user)
		return s->no_name == 1;
	if (s->any_guest == 1)
		return true;
	for (const char **g = s->guests; g && *g; g++)
		if (strcasecmp(*g, user) == 0)
			return true;
	return false;
}

/* A guest's password is an address, if anything. */
static enum found as_guest(struct request *r, const struct authn_section *s, const struct login *l)
{
	if (!is_guest(s, l->user))
		return FOUND_NOBODY;
	if (!*l->password && s->must_email != 0)
		return FOUND_WRONG;
	if (s->verify_email == 1 && (!strchr(l->password, '@') || !strchr(l->password, '.')))
		return FOUND_WRONG;
	if (s->log_email != 0 && !r->original && !r->parent)
		log_infox(&r->client->about, LOG_AUTHZ, "BH0642", "guest %s gave the address <%s>", authn_shown(r, l->user), authn_shown(r, l->password));
	return FOUND_GOOD;
}

static enum found look(struct request *r, const struct authn_section *s, const struct login *l)
{
	const struct authn_provider *p = s->basic ? s->basic : authn_default_provider();
	char template[USERFILE_HASH] = "";
	enum found f = FOUND_NOBODY;

	for (; p && f == FOUND_NOBODY; p = p->next) {
		const struct authn_section *own = p->own ? p->own : s;
		f = p->kind == PROVIDER_ANON ? as_guest(r, own, l) : in_file(r, own, s->hashed == 1, l, template);
	}
	if (f != FOUND_NOBODY || !*template)
		return f;
	/* Nobody may see by the time whether a name exists: the first hash of the file is as slow as the user's would be. */
	f = check(r, l, template, false);
	secret_wipe(template, sizeof template);
	return f == FOUND_GOOD || f == FOUND_WRONG ? FOUND_NOBODY : f;
}

/* ---------------------------------------------------------------------------------------------- the phase */

static unsigned answer(struct request *r, const struct authn_section *s, const struct login *l, enum found f)
{
	const char *user = arena_strdup(r->arena, l->user), *shown = authn_shown(r, l->user);

	if (!user || !shown)
		return 503;
	switch (f) {
	case FOUND_GOOD:
		r->user = user;
		return 0;
	case FOUND_LATER:
		return PHASE_WAIT;
	case FOUND_FAULT:
		return 500;
	case FOUND_BUSY:
		return 503;
	case FOUND_LIMITED:
		return authn_limited(r);
	case FOUND_WRONG:
		/* These lines and the next keep Apache's words, without an id before them: what looks for failed logins knows them so. */
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "user %s: authentication failure for \"%s\": Password Mismatch (BH0630)", shown, r->path);
		return authn_failed(r, user, false);
	case FOUND_NOBODY:
		break;
	}
	if (s->authoritative == 0) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0643", "%s answered with 500: nobody else can be asked for the user %s (AuthBasicAuthoritative Off)", r->path, shown);
		return 500;
	}
	if (!r->quiet)
		log_errorx(&r->client->about, LOG_AUTHZ, NULL, "user %s not found: %s (BH0631)", shown, r->path);
	return authn_failed(r, user, false);
}

/*
 * FakeBasicAuth: the certificate's subject is the user, "password" his password. Nobody may come in by writing that down himself:
 * a name like a subject with that password is forbidden, also where the way here led through places that ask for nobody. A
 * colon in a subject would end the name there, and make the rest a password. 0 or 403.
 */
static unsigned fake_by_certificate(struct request *r)
{
	const char *subject = client_subject(r->client, r->section, r->arena);
	struct login l = { NULL };
	bool forged, again = r->original || r->parent;

	for (const struct request *q = r; q; q = q->parent ? q->parent : q->original)
		if (q->faked)
			return 0;
	forged = login_read(r, fields_get(&r->in, "Authorization"), &l) == 0 && l.user[0] == '/' && strcmp(l.password, "password") == 0;
	if (l.all)
		secret_wipe(l.all, l.n);
	if (forged) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0644", "%s answered with 403: a client wrote down a certificate's subject as its name", r->path);
		r->refused = "the name is that of a certificate";
		return 403;
	}
	if (again || r->waits || !subject)
		return 0;
	if (strchr(subject, ':')) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0781", "%s answered with 403: the subject of the client's certificate holds a colon, and cannot be a name for "
			   "Basic (SSLOptions +FakeBasicAuth): %s", r->path, authn_shown(r, subject));
		r->refused = "a colon in the certificate's subject";
		return 403;
	}
	r->faked = true;
	return encode_login(r, subject, "password") == 0 ? 0 : 503;
}

unsigned basic_run(struct request *r, const struct authn_section *s)
{
	struct login l = { NULL };
	struct text value;
	enum found f;
	unsigned status = fake_by_certificate(r);

	if (status)
		return status;
	if (!authn_realm(r))
		return 500;
	value = fields_get(&r->in, "Authorization");
	if (!value.p)
		return authn_challenge(r, false);
	if (login_read(r, value, &l) != 0) {
		if (!r->quiet)
			log_errorx(&r->client->about, LOG_AUTHZ, NULL, "client used wrong authentication scheme: %s (BH0645)", r->path);
		return authn_challenge(r, false);
	}
	f = look(r, s, &l);
	status = answer(r, s, &l, f);
	secret_wipe(l.all, l.n);
	return status;
}

void access_fake(struct request *r)
{
	const struct authn_section *s = authn_section_of(r);
	const char *user, *password;

	if (s->fake != 1)
		return;
	r->faked = true;
	user = variables_string(r, s->fake_user);
	password = variables_string(r, s->fake_password);
	if (!user || !password || encode_login(r, user, password) != 0) {
		log_errorx(&r->client->about, LOG_AUTHZ, "BH0646", "%s: AuthBasicFake has no value: no user is passed on", r->path);
		fields_remove(&r->in, "Authorization");
	}
}
