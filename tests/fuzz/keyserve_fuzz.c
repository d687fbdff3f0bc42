/*
 * keyserve_fuzz.c - fuzzes what a child that was taken over can say to a keyholder (server/process/keyserve.c,
 * tls/key.c). An input is records, each a message over the child's socket: a byte of type and manner, a byte of length,
 * so many bytes of data. Holds:
 * - each message has one answer, with its number, an error or a result no longer than it may be; or it is none, and the
 *   child is dropped;
 * - only hashes of their length, DigestInfo of TLS, and texts that a TLS server signs are signed, with algorithms of the
 *   key's kind;
 * - nothing that only the master may say has an effect; no descriptor stays open.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "process/keyserve.c"

#define ROOM 64
enum { TYPE = 15, FIX = 16, WITH_FD = 32, BARE = 64 };  /* of a record's first byte: FIX: the request's length is made right */

static struct keyserve_board board;

static void add_key(gnutls_pk_algorithm_t kind, unsigned bits)
{
	gnutls_x509_privkey_t key;
	gnutls_datum_t pem;
	struct key_ref ref;
	struct err e = { .text = "" };
	int fd = memfd_create("key", MFD_CLOEXEC);

	CHECK(fd >= 0 && gnutls_x509_privkey_init(&key) == 0 && gnutls_x509_privkey_generate(key, kind, bits, 0) == 0);
	CHECK(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem) == 0);
	CHECK(write(fd, pem.data, pem.size) == (ssize_t)pem.size && lseek(fd, 0, SEEK_SET) == 0);
	CHECK(key_store_add(holder.store, fd, "key", &ref, &e) == 0);
	gnutls_free(pem.data);
	gnutls_x509_privkey_deinit(key);
	close(fd);
}

static void start(void)
{
	holder.epoll = epoll_create1(EPOLL_CLOEXEC);
	holder.room = ROOM;
	holder.askers = calloc(ROOM, sizeof *holder.askers);
	holder.store = key_store_new();
	holder.board = &board;
	holder.control = -1;
	CHECK(holder.epoll >= 0 && holder.askers && holder.store);
	add_key(GNUTLS_PK_RSA, 1024);
	add_key(GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
	add_key(GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519));
}

/* What a result may be of. */
static bool may_be_signed(const struct key_request *r, const uint8_t *in)
{
	size_t n = r->length;

	if (r->key > 2)
		return false;
	if (r->operation == KEY_DECRYPT)
		return r->key == 0 && n == 128;
	if (r->operation == KEY_SIGN_DATA)
		return r->key == 2 && r->algorithm == GNUTLS_SIGN_EDDSA_ED25519
		       && ((n > 98 && in[0] == ' ' && memcmp(in + 63, " TLS 1.3, server ", 17) == 0) || (n > 68 && in[64] == 3 && n == 68u + in[67]));
	if (r->key == 2)
		return false;
	if (r->key == 0 && r->algorithm == GNUTLS_SIGN_RSA_RAW)
		return n == 36 || (n >= 35 && in[0] == 0x30 && in[1] == n - 2);
	return n == 20 || n == 32 || n == 48 || n == 64;
}

static void see_answer(int child, const struct ipc_head *head, const uint8_t *data, size_t n)
{
	static struct ipc_message m;
	struct key_request r;

	CHECK(ipc_recv(child, &m) == 1 && m.head.id == head->id && m.nfds == 0);
	if (m.head.type == KEY_MSG_ERROR) {
		CHECK(m.len == sizeof(int32_t));
	} else {
		CHECK(m.head.type == KEY_MSG_RESULT && m.len > 0 && m.len <= KEY_MAX_SIGNATURE);
		CHECK(head->type == KEY_MSG_RUN && n >= sizeof r);
		memcpy(&r, data, sizeof r);
		CHECK(r.length == n - sizeof r && may_be_signed(&r, data + sizeof r));
	}
	CHECK(recv(child, &m, sizeof m, MSG_DONTWAIT) < 0);
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* One message, handled as the loop does. False: the child was dropped. */
static bool say(int child, int end, uint8_t how, uint8_t *data, size_t n, uint32_t id)
{
	struct ipc_head head = { how & TYPE, id };
	uint32_t length = (uint32_t)(n - sizeof(struct key_request));
	int null = how & WITH_FD ? 0 : -1;

	if (how & BARE) {
		CHECK(send(child, data, n, 0) == (ssize_t)n);
		if (n < sizeof head) {
			from_child(end, EPOLLIN);
			return false;
		}
		memcpy(&head, data, sizeof head);
		data += sizeof head;
		n -= sizeof head;
	} else {
		if (how & FIX && n >= sizeof(struct key_request))
			memcpy(data + offsetof(struct key_request, length), &length, sizeof length);
		CHECK(ipc_send(child, head.type, id, data, n, &null, null >= 0) == 0);
	}
	from_child(end, EPOLLIN);
	see_answer(child, &head, data, n);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t copy[255];
	int pair[2], before = 0;
	uint32_t id = 7;

	if (!holder.store)
		start();
	before = next_fd();
	CHECK(ipc_pair(pair) == 0 && pair[1] < ROOM);
	holder.price = 0;
	message.fds[0] = pair[1];
	message.nfds = 1;
	message.len = 0;
	attach();
	while (n >= 2) {
		size_t length = data[1] < n - 2 ? data[1] : n - 2;

		memcpy(copy, data + 2, length);
		if (!(data[0] & BARE && !length) && !say(pair[0], pair[1], data[0], copy, length, id++))
			break;
		data += 2 + length;
		n -= 2 + length;
	}
	close(pair[0]);
	if (holder.sockets)
		drop_child(pair[1]);
	CHECK(holder.sockets == 0 && holder.waiting == 0 && holder.control == -1 && next_fd() == before);
	return 0;
}
