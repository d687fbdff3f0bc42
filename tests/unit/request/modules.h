/*
 * modules.h - the modules that are on a request's way, of the rooms request, auth, rewrite and filter, in the order of process/config.c:
 * for tests that lead requests through all phases. A module that a phase asks must be among them.
 */
#ifndef BULKHEAD_TESTS_REQUEST_MODULES_H
#define BULKHEAD_TESTS_REQUEST_MODULES_H

#include "auth/authn.h"
#include "auth/compat.h"
#include "filter/coding.h"
#include "request/access.h"
#include "request/actions.h"
#include "request/core.h"
#include "request/env.h"
#include "request/expires.h"
#include "request/filter.h"
#include "request/headers.h"
#include "request/map.h"
#include "request/methods.h"
#include "request/mime.h"
#include "request/negotiate.h"
#include "request/remoteip.h"
#include "request/rewrite.h"
#include "request/speling.h"
#include "request/userdir.h"
#include "request/vhostalias.h"
#include "request/walk.h"

#define REQUEST_MODULES \
	&core_module, &authz_core_module, &authn_module, &access_compat_module, &alias_module, &dir_module, \
	&mime_module, &negotiation_module, &rewrite_module, &headers_module, &env_module, &setenvif_module, \
	&userdir_module, &vhost_alias_module, &speling_module, &remoteip_module, &filter_module, &deflate_module, \
	&brotli_module, &zstd_module, &expires_module, &allowmethods_module, &actions_module

#endif
