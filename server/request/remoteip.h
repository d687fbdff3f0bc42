/*
 * remoteip.h - who asks, where a proxy or balancer stands in front (mod_remoteip): the address in a field of the request, or
 * in a PROXY header before it.
 */
#ifndef BULKHEAD_REQUEST_REMOTEIP_H
#define BULKHEAD_REQUEST_REMOTEIP_H

#include "conf/conf.h"
#include "request/request.h"

/* RemoteIPHeader RemoteIPInternalProxy RemoteIPTrustedProxy (and their lists) RemoteIPProxiesHeader RemoteIPProxyProtocol */
extern struct conf_module remoteip_module;

/*
 * Sets r->client->peer to what RemoteIPHeader of the host says, as far as the proxies on the way are believed. When the host is known; an
 * internal redirect does not ask again. The field then holds what was not believed, and is gone if nothing is left.
 * 0, or 503 (ENOMEM).
 */
unsigned remoteip_run(struct request *r);
/* Whether a connection from there to the address whose first host is h has to begin with a PROXY header. */
bool remoteip_expected(const struct host *h, const struct addr *peer);

#endif
