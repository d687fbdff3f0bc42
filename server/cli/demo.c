/*
 * demo.c - a server from nothing: a folder, a certificate for localhost made on the first start, a welcome page. What
 * `make run` starts; runs before anything is forked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/addr.h"
#include "cert/make.h"
#include "cli/cli.h"

#define DAYS 825                /* the longest life that clients accept of a certificate they were told to trust */
#define PLAIN 8080
#define SECURE 8443

static bool has_ipv6(void)
{
	struct addr a;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool works = fd >= 0 && addr_parse(&a, "::1", 0) == 0 && bind(fd, &a.sa, a.len) == 0;

	if (fd >= 0)
		close(fd);
	return works;
}

static int make_certificate(const char *folder)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "::1", NULL };
	char cert[4200], key[4200], text[1600];
	struct err e = { 0 };

	snprintf(cert, sizeof cert, "%s/localhost.pem", folder);
	snprintf(key, sizeof key, "%s/localhost.key", folder);
	if (access(cert, R_OK) == 0 && access(key, R_OK) == 0)
		return 0;
	if (cert_make_self_signed(cert, key, names, DAYS, &e) < 0) {
		fprintf(stderr, "bulkhead: %s\n", err_print(&e, text, sizeof text));
		return -1;
	}
	fprintf(stderr, "bulkhead: made a certificate for localhost: %s\n", cert);
	return 0;
}

const char *demo_configuration(const char *folder)
{
	static const char form[] =
		"ServerName localhost\n"
		"PidFile \"%1$s/bulkhead.pid\"\n"
		"DefaultRuntimeDir \"%1$s\"\n"
		"CoreDumpDirectory \"%1$s/crash\"\n"
		"ErrorLog /dev/stderr\n"
		"LogLevel info\n"
		"CustomLog \"%1$s/access.log\" \"%%h %%t \\\"%%r\\\" %%>s %%O %%{SSL_PROTOCOL}x %%{SSL_CIPHER}x %%{SSL_SESSION_RESUMED}x\"\n"
		"Protocols h2 http/1.1\n"
		"Options None\n"
		"Listen 127.0.0.1:8080\n"
		"Listen 127.0.0.1:8443 https\n"
		"%2$s"
		"<VirtualHost *:8080>\n"
		"    Redirect permanent / https://localhost:8443/\n"
		"</VirtualHost>\n"
		"<VirtualHost *:8443>\n"
		"    SSLEngine on\n"
		"    SSLCertificateFile \"%1$s/localhost.pem\"\n"
		"    SSLCertificateKeyFile \"%1$s/localhost.key\"\n"
		"    <Location />\n"
		"        SetHandler bulkhead-welcome\n"
		"    </Location>\n"
		"    <Location /server-status>\n"
		"        SetHandler server-status\n"
		"        Require local\n"
		"    </Location>\n"
		"</VirtualHost>\n";
	char *text;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "bulkhead: cannot make the folder %s: %s\n", folder, strerror(errno));
		return NULL;
	}
	if (strpbrk(folder, "\"\\\n$")) {
		fprintf(stderr, "bulkhead: the folder's name %s has a character that a configuration cannot hold\n", folder);
		return NULL;
	}
	if (make_certificate(folder) < 0)
		return NULL;
	if (asprintf(&text, form, folder, has_ipv6() ? "Listen [::1]:8080\nListen [::1]:8443 https\n" : "") < 0)
		return NULL;
	return text;
}

void demo_greeting(const char *folder)
{
	if (geteuid() != 0)
		printf("You are not root: all processes run under your account, so that a crash or a break-in in one of them can reach\n"
		       "what you can reach. Started as root, the serving processes and the one with the key have accounts of their own.\n\n");
	printf("Bulkhead serves   https://localhost:%d/\n"
	       "and redirects     http://localhost:%d/\n"
	       "Try it:           curl --cacert %s/localhost.pem https://localhost:%d/\n"
	       "See it at work:   https://localhost:%d/server-status?live\n"
	       "The access log:   tail -f %s/access.log\n"
	       "Ctrl-C ends it.\n\n", SECURE, PLAIN, folder, SECURE, SECURE, folder);
	fflush(stdout);
}
