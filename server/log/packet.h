/*
 * packet.h - log lines as packets of a system's log: RFC 3164 for syslog, journald's own protocol. The process that logs makes the
 * packet, since it alone knows how grave the line is; the logger sends each as one datagram.
 */
#ifndef BULKHEAD_LOG_PACKET_H
#define BULKHEAD_LOG_PACKET_H

#include "base/err.h"
#include "base/text.h"
#include "conf/conf.h"
#include "log/log.h"

enum log_packet_kind { LOG_PACKET_SYSLOG, LOG_PACKET_JOURNAL };
struct log_packet {
	enum log_packet_kind kind;
	int facility;                           /* as in syslog.h */
	int severity;                           /* of access lines */
	const char *tag;
};

/* "syslog[:facility[:tag]]" and "journald[:priority]", in any case. */
bool log_packet_is(const char *name);
/* NULL with *e. */
struct log_packet *log_packet_new(struct conf_env *env, const char *name, struct err *e);
/* Where it is sent to: BULKHEAD_SYSLOG and BULKHEAD_JOURNAL of the environment say another place. */
const char *log_packet_socket(enum log_packet_kind kind);
/* The line, without its newline, as a packet. severity: an enum log_level, graver than trace. */
void log_packet_put(struct buf *b, const struct log_packet *p, int severity, struct text line);

#endif
