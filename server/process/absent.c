/*
 * absent.c - the table of modules that are not part of this server. Their directives are refused, never passed over: a rule of access
 * may hang on them. Runs wherever a configuration is read.
 */
#include "process/absent.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "process/config.h"

/* The first row whose beginning fits counts: longer ones stand before shorter ones. */
static const struct {
	const char *module;             /* without mod_ and _module */
	const char *prefixes;           /* its directives begin so; blank-separated */
	const char *remedy;
} absent[] = {
	/* of others */
	{ "php", "php_", "PHP runs in php-fpm: write php_value lines into its pool or .user.ini, and SetHandler \"proxy:unix:/run/php/php-fpm.sock|fcgi://localhost\" for .php files" },
	{ "wsgi", "WSGI", "mod_wsgi does not exist here: run the application as a server of its own behind ProxyPass" },
	{ "passenger", "Passenger Rails Rack", "Passenger does not exist here: run it standalone behind ProxyPass" },
	{ "fcgid", "Fcgid", "mod_fcgid does not exist here: let the program run as a service, and hand requests on to it: SetHandler \"proxy:unix:/run/app.sock|fcgi://localhost\"" },
	{ "fastcgi", "FastCgi", "mod_fastcgi does not exist here: let the program run as a service, and hand requests on to it: SetHandler \"proxy:unix:/run/app.sock|fcgi://localhost\"" },
	{ "perl", "Perl <Perl", "mod_perl does not exist here: run the application as a server of its own behind ProxyPass, or as CGI" },
	{ "python", "Python", "mod_python does not exist here: run the application as a server of its own behind ProxyPass" },
	{ "jk", "Jk", "mod_jk does not exist here: use ProxyPass" },
	{ "rpaf", "RPAF", "mod_rpaf does not exist here: use RemoteIPHeader and RemoteIPInternalProxy" },
	{ "xsendfile", "XSendFile", "files are not sent in the name of a program here: let the program write them itself" },
	{ "evasive", "DOS", "mod_evasive does not exist here: see MaxConnectionsPerAddress, RequestReadTimeout and AuthFailureLimit" },
	{ "qos", "QS_", "mod_qos does not exist here: see MaxConnectionsPerAddress, RequestReadTimeout and the Limit directives" },
	{ "mpm_itk", "AssignUserID", "hosts have no accounts of their own here: SuexecUserGroup for programs, a pool of php-fpm for PHP" },
	{ "security2", "Sec", "mod_security does not exist here: put it in front" },
	{ "auth_openidc", "OIDC", "mod_auth_openidc does not exist here: let the application do it, or a proxy for logins behind ProxyPass" },
	{ "auth_mellon", "Mellon", "mod_auth_mellon does not exist here: let the application do it, or a proxy for logins behind ProxyPass" },
	{ "shib", "Shib", "mod_shib does not exist here: let the application do it, or a proxy for logins behind ProxyPass" },
	{ "auth_gssapi", "Gss Krb AuthKerb", "Kerberos does not exist here: use passwords or certificates of clients (SSLVerifyClient)" },
	{ "dav_svn", "SVN AuthzSVN", "Subversion is not served from here" },
	/* of Apache */
	{ "dav", "Dav", "WebDAV does not exist here: put a server made for it behind ProxyPass" },
	{ "ldap", "LDAP AuthLDAP", "LDAP does not exist here: use AuthUserFile and AuthGroupFile, or certificates of clients (SSLVerifyClient)" },
	{ "file_cache", "MMapFile CacheFile", "files are not cached by name here: KeepFilesOpen keeps those that are asked for" },
	{ "cache", "Cache Socache", "mod_cache does not exist here: let the server behind keep its answers, or put a cache between" },
	{ "md", "MD <MDomain", "managed certificates do not exist here: let an ACME client write the files that SSLCertificateFile names" },
	{ "session_dbd", "SessionDBD", "sessions are kept by the applications behind, not here" },
	{ "session", "Session", "sessions are kept by the applications behind, not here" },
	{ "dbd", "DBD AuthDBD AuthnDBD AuthzDBD", "databases are not reached from here: use AuthUserFile and AuthGroupFile" },
	{ "authn_dbm", "AuthDBM AuthzDBM", "users and groups are read from text files: AuthUserFile, AuthGroupFile" },
	{ "authnz_fcgi", "AuthnzFcgi", "logins are not asked of FastCGI servers here: use AuthUserFile, or let the application behind do it" },
	{ "auth_form", "AuthForm", "logins by a form do not exist here: use AuthType Basic inside TLS, or the application's own" },
	{ "proxy_html", "ProxyHTML", "pages are not rewritten here: let the application behind know its address (ProxyPreserveHost, X-Forwarded-Host), ProxyPassReverse changes fields" },
	{ "xml2enc", "xml2", "pages are not recoded here: let the application behind send UTF-8" },
	{ "charset_lite", "Charset", "pages are not recoded here: recode the files (iconv), or name what they are in by AddDefaultCharset or AddCharset" },
	{ "proxy_express", "ProxyExpress", "mod_proxy_express does not exist here: use RewriteMap and RewriteRule with [P]" },
	{ "proxy_ftp", "ProxyFtp", "there is no FTP here" },
	{ "substitute", "Substitute", "content is not changed on its way here: let the application behind write what is meant" },
	{ "sed", "OutputSed InputSed", "content is not changed on its way here: let the application behind write what is meant" },
	{ "ext_filter", "ExtFilter", "programs as filters do not exist here: use Action, which runs a program for files of a type" },
	{ "lua", "Lua", "mod_lua does not exist here: use RewriteRule, <If> and Header, or an application behind ProxyPass" },
	{ "request", "KeptBodySize", "bodies of requests are not kept here" },
	{ "reflector", "Reflector", "mod_reflector does not exist here" },
	{ "usertrack", "Cookie", "mod_usertrack does not exist here: Header add Set-Cookie sets one, %{UNIQUE_ID}e names a request in the log" },
	{ "cern_meta", "Meta", "files of fields do not exist here: write Header lines into a <Files> section or .htaccess" },
	{ "imagemap", "Imap", "maps of images are made by the page itself: the HTML element <map>" },
	{ "ident", "IdentityCheck", "clients are not asked who they are here: %l is always -" },
	{ "dialup", "ModemStandard", "mod_dialup does not exist here" },
	{ "echo", "ProtocolEcho", "mod_echo does not exist here" },
	{ "dumpio", "DumpIO", "what goes over a connection is not logged here: use curl -v, or tcpdump on a plain port" },
	{ "log_debug", "LogMessage", "write LogLevel with a subject, as in LogLevel rewrite:trace3, or a CustomLog with expr=" },
	{ "log_forensic", "ForensicLog", "it is not needed here: a crash report names the request that was at work, and the others are logged" },
	{ "heartbeat", "Heartbeat", "servers do not tell each other of themselves here: use health checks (hcmethod= of BalancerMember)" },
	{ "socache_memcache", "Memcache", "sessions are shared between machines by SSLSessionTicketKeyFile" },
	{ "socache_redis", "Redis", "sessions are shared between machines by SSLSessionTicketKeyFile" },
	{ "example_hooks", "Example", "it is an example for those who write modules" },
	{ "mpm_event", "", "each child serves many connections without threads: MaxRequestWorkers counts them all, ConnectionsPerChild those of one" },
	{ "mpm_worker", "", "each child serves many connections without threads: MaxRequestWorkers counts them all, ConnectionsPerChild those of one" },
	{ "mime_magic", "", "types come from TypesConfig and AddType" },
	/* of the core, and of Apache on other systems */
	{ "core", "FancyIndexing", "write IndexOptions FancyIndexing" },
	{ "core", "Port", "write Listen" },
	{ "macro", "MacroIgnore", "take it out: what is wrong in a macro is told where it is used" },
	{ "core", "ListenTCPDeferAccept", "take it out: a connection that says nothing costs no process here" },
	{ "core", "RegexDefaultOptions", "write the options into the expressions that need them, as in (?i)name: without the directive $ is the very end" },
	{ "core", "Protocol", "write Listen 443 https for TLS, and Protocols for HTTP/2" },
	{ "core", "ScriptInterpreterSource CGIMapExtension UNCList", "of another system: the first line of a program names its interpreter" },
	{ "mpm_netware", "MaxThreads", "of another system: write MaxRequestWorkers" },
	{ "nw_ssl", "SecureListen NWSSL", "of another system: write Listen 443 https" },
	{ "isapi", "ISAPI", "of another system" },
	{ "privileges", "Privileges VHost DTrace", "of another system: SuexecUserGroup runs the programs of a host as an account of their own" },
};
/* Names that LoadModule lines give and that are neither here nor above; most are shipped with Apache. */
static const char shipped[] = "authn_dbd authn_socache authnz_ldap authz_dbd authz_dbm buffer cache_disk cache_socache "
	"auth_kerb authz_svn data dav_fs dav_lock heartmonitor lbmethod_heartbeat proxy_ajp proxy_connect "
	"proxy_fdpass proxy_http2 ratelimit session_cookie session_crypto slotmem_plain socache_dbm socache_dc systemd gnutls php5 php7 php8 php";

static bool in_list(const char *list, struct text name)
{
	struct text rest = text_of(list), word;

	while (text_split(&rest, ' ', &word))
		if (text_eq(word, name))
			return true;
	return false;
}

static int row_of(struct text module)
{
	for (unsigned i = 0; i < sizeof absent / sizeof *absent; i++)
		if (text_is(module, absent[i].module))
			return (int)i;
	return -1;
}

bool absent_known(struct text name)
{
	char module[64];

	snprintf(module, sizeof module, "%.*s_module", (int)(name.n < sizeof module ? name.n : 0), name.p);
	return config_has_module(module) || row_of(name) >= 0 || in_list(shipped, name);
}

int absent_load_module(struct conf_call *call, void *config, int argc, char **argv)
{
	struct text bare = text_of(argv[0]);

	(void)config;
	(void)argc;
	if (config_has_module(argv[0]))
		return 0;
	if (bare.n > 7 && !strcmp(bare.p + bare.n - 7, "_module"))
		bare.n -= 7;
	if (row_of(bare) >= 0)
		conf_note(call, absent[row_of(bare)].remedy, "%s is not there: <IfModule> leaves its sections out", argv[0]);
	else if (in_list(shipped, bare))
		conf_note(call, NULL, "%s is not there: <IfModule> leaves its sections out", argv[0]);
	else
		conf_note(call, "modules are not loaded here: what exists is built in (bulkhead -M)", "%s is unknown: its directives will be refused", argv[0]);
	return 0;
}

const char *absent_remedy(const char *directive)
{
	for (unsigned i = 0; i < sizeof absent / sizeof *absent; i++) {
		struct text rest = text_of(absent[i].prefixes), prefix;

		while (text_split(&rest, ' ', &prefix))
			if (prefix.n && !strncasecmp(directive, prefix.p, prefix.n))
				return absent[i].remedy;
	}
	return NULL;
}
