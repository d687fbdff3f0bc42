/*
 * overrides_test.c - of every module's table: which directives per-directory files may hold, and by which group of
 * AllowOverride, held against Apache's documentation. A directive in the wrong group would let a tenant set what the
 * administrator kept from him, or refuse files that work with Apache.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "process/config.h"
#include "process/settings.h"

static const struct { unsigned group; const char *names; } documented[] = {
	{ CONF_OR_AUTHCONFIG,
	  " Anonymous Anonymous_LogEmail Anonymous_MustGiveEmail Anonymous_NoUserID Anonymous_VerifyEmail AuthBasicAuthoritative AuthBasicFake"
	  " AuthBasicProvider AuthBasicUseDigestAlgorithm AuthDBMGroupFile AuthDBMType AuthDBMUserFile AuthDigestAlgorithm AuthDigestDomain"
	  " AuthDigestNonceLifetime AuthDigestProvider AuthDigestQop AuthDigestNcCheck AuthGroupFile AuthMerging AuthName AuthnCacheContext"
	  " AuthnCacheProvideFor AuthnCacheTimeout AuthType AuthUserFile CGIPassAuth AuthzSendForbiddenOnFailure Require <RequireAll <RequireAny <RequireNone"
	  " Satisfy SSLCipherSuite SSLRenegBufferSize SSLRequire SSLRequireSSL SSLUserName SSLVerifyClient SSLVerifyDepth "
	  " Session SessionCookieName SessionCookieName2 SessionEnv SessionExclude SessionInclude SessionMaxAge SessionHeader " },
	{ CONF_OR_FILEINFO,
	  " AcceptPathInfo Action AddCharset AddDefaultCharset AddEncoding AddHandler AddInputFilter AddLanguage AddOutputFilter AddOutputFilterByType"
	  " AddType BrowserMatch BrowserMatchNoCase BufferSize CGIVar CharsetDefault CharsetOptions CharsetSourceEnc CookieDomain CookieExpires"
	  " CookieName CookieStyle CookieTracking CookieHTTPOnly CookieSameSite CookieSecure DefaultLanguage DefaultType EnableMMAP EnableSendfile"
	  " ErrorDocument FileETag ForceLanguagePriority ForceType H2CopyFiles H2EarlyHint H2PushResource Header InputSed LanguagePriority MultiviewsMatch OutputSed PassEnv ProxyFCGIBackendType"
	  " ProxyFCGISetEnvIf"
	  " QualifyRedirectURL Redirect RedirectMatch RedirectPermanent RedirectRelative RedirectTemp RemoveCharset RemoveEncoding RemoveHandler RemoveInputFilter"
	  " RemoveLanguage RemoveOutputFilter RemoveType RequestHeader RewriteBase RewriteCond RewriteEngine RewriteOptions RewriteRule"
	  " ScriptInterpreterSource SetEnv SetEnvIf SetEnvIfExpr SetEnvIfNoCase SetHandler SetInputFilter SetOutputFilter Substitute"
	  " SubstituteInheritBefore SubstituteMaxLineLength UnsetEnv " },
	{ CONF_OR_INDEXES,
	  " AddAlt AddAltByEncoding AddAltByType AddDescription AddIcon AddIconByEncoding AddIconByType DefaultIcon DirectoryCheckHandler DirectoryIndex"
	  " DirectoryIndexRedirect DirectorySlash ExpiresActive ExpiresByType ExpiresDefault FallbackResource HeaderName ImapBase ImapDefault ImapMenu"
	  " IndexHeadInsert IndexIgnore IndexIgnoreReset IndexOptions IndexOrderDefault IndexStyleSheet MetaDir MetaFiles MetaSuffix ReadmeName " },
	{ CONF_OR_LIMIT, " Allow Deny Order SSIAccessEnable SSILegacyExprParser " },
	{ CONF_OR_OPTIONS,
	  " CheckBasenameMatch CheckCaseOnly CheckSpelling ContentDigest FilterChain FilterDeclare FilterProvider FilterProtocol H2Push Options"
	  " ReflectorHeader SSIEndTag SSIStartTag SSIETag SSILastModified SSLOptions XBitHack " },
	{ CONF_OR_ANY,
	  " <Else <ElseIf <Files <FilesMatch <If <Limit <LimitExcept LimitRequestBody LimitXMLRequestBody ServerSignature SSIErrorMsg SSITimeFormat"
	  " SSIUndefinedEcho DeflateInflateLimitRequestBody DeflateInflateRatioBurst DeflateInflateRatioLimit CGIScriptTimeout"
	  " CGIDScriptTimeout RLimitCPU RLimitMEM RLimitNPROC " },
};

static bool named(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; *p; p++)
		if (*p == ' ' && strncasecmp(p + 1, name, n) == 0 && p[n + 1] == ' ')
			return true;
	return false;
}

/* The group Apache documents; 0: not in .htaccess. Several names of one list follow each other, so that the first counts. */
static unsigned group_of(const char *name)
{
	for (size_t i = 0; i < sizeof documented / sizeof documented[0]; i++)
		if (named(documented[i].names, name))
			return documented[i].group;
	return 0;
}

static void groups_are_those_of_apache(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (struct conf_module *const *m = config_modules; *m; m++)
		for (const struct conf_directive *d = (*m)->directives; d && d->name; d++) {
			unsigned is = d->contexts & CONF_HTACCESS ? d->override : 0, wanted = group_of(d->name);

			if (*m == &harmless_module)
				continue;       /* without effect: in all groups that let anything in */
			if (is == wanted)
				continue;
			print_error("%s (%s): group %u, not %u\n", d->name, (*m)->source, is, wanted);
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

/* A structure of a host would outlive the file that is to fill it. */
static void none_fills_a_host(void **state)
{
	(void)state;
	for (struct conf_module *const *m = config_modules; *m; m++)
		for (const struct conf_directive *d = (*m)->directives; d && d->name; d++)
			if ((d->contexts & CONF_HTACCESS) && d->scope == CONF_OF_HOST && d->args != CONF_SECTION && d->set != conf_set_notice &&
			    d->set != conf_set_refused)
				fail_msg("%s fills a structure of the host", d->name);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(groups_are_those_of_apache), cmocka_unit_test(none_fills_a_host) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
