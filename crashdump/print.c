/*
 * print.c - texts of reports: see print.h. Master and job.
 */
#include "crashdump/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void print_add(struct print *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (p->full)
		return;
	va_start(ap, fmt);
	n = vsnprintf(p->text + p->length, p->room - p->length, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= p->room - p->length) {
		p->full = true;
		p->text[p->length] = '\0';
		return;
	}
	p->length += (size_t)n;
}

void print_bytes(struct print *p, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && !p->full; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c < ' ' || c > '~')
			print_add(p, "\\x%02x", c);
		else
			print_add(p, "%c", c);
	}
}

void print_clean(char *to, size_t room, const char *from)
{
	struct print p = { .text = to, .room = room };

	to[0] = '\0';
	print_bytes(&p, from, strlen(from));
}

void print_request(char *to, size_t room, const struct activity *a)
{
	struct print p = { .text = to, .room = room };
	struct activity_record r;

	to[0] = '\0';
	activity_read(a, &r);
	if (!r.connection)
		return;
	if (r.method[0]) {
		print_bytes(&p, r.method, strlen(r.method));
		print_add(&p, " ");
		print_bytes(&p, r.path, strlen(r.path));
	} else {
		print_add(&p, "connection %llu", (unsigned long long)r.connection);
	}
	if (r.peer[0]) {
		print_add(&p, " for ");
		print_bytes(&p, r.peer, strlen(r.peer));
	}
	if (r.host[0]) {
		print_add(&p, " on ");
		print_bytes(&p, r.host, strlen(r.host));
	}
	if (r.phase[0]) {
		print_add(&p, ", phase ");
		print_bytes(&p, r.phase, strlen(r.phase));
	}
}

const char *print_signal(int signal)
{
	static char other[24];
	const char *name = signal > 0 ? sigabbrev_np(signal) : NULL;

	if (name)
		snprintf(other, sizeof other, "SIG%s", name);
	else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
		snprintf(other, sizeof other, "SIGRTMIN+%d", signal - SIGRTMIN);
	else
		snprintf(other, sizeof other, "signal %d", signal);
	return other;
}

const char *print_code(int signal, int code)
{
	static const struct { int signal, code; const char *name; } names[] = {
		{ SIGSEGV, SEGV_MAPERR, "SEGV_MAPERR" }, { SIGSEGV, SEGV_ACCERR, "SEGV_ACCERR" },
		{ SIGSEGV, 3, "SEGV_BNDERR" }, { SIGSEGV, 4, "SEGV_PKUERR" },
		{ SIGBUS, BUS_ADRALN, "BUS_ADRALN" }, { SIGBUS, BUS_ADRERR, "BUS_ADRERR" },
		{ SIGBUS, BUS_OBJERR, "BUS_OBJERR" }, { SIGBUS, 4, "BUS_MCEERR_AR" },
		{ SIGILL, ILL_ILLOPC, "ILL_ILLOPC" }, { SIGILL, ILL_ILLOPN, "ILL_ILLOPN" },
		{ SIGILL, ILL_PRVOPC, "ILL_PRVOPC" },
		{ SIGFPE, FPE_INTDIV, "FPE_INTDIV" }, { SIGFPE, FPE_INTOVF, "FPE_INTOVF" },
		{ SIGFPE, FPE_FLTDIV, "FPE_FLTDIV" }, { SIGFPE, FPE_FLTINV, "FPE_FLTINV" },
		{ SIGTRAP, TRAP_BRKPT, "TRAP_BRKPT" }, { SIGTRAP, TRAP_TRACE, "TRAP_TRACE" },
		{ SIGSYS, 1, "SYS_SECCOMP" }, { 0, SI_USER, "SI_USER" }, { 0, SI_QUEUE, "SI_QUEUE" },
		{ 0, SI_TKILL, "SI_TKILL" }, { 0, 0x80, "SI_KERNEL" },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].code == code && (names[i].signal == signal || !names[i].signal))
			return names[i].name;
	return "";
}
