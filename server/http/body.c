/*
 * body.c - how long a request's body is, and the chunked coding (RFC 9112, 6 and 7). Pure; runs in the
 * children.
 *
 * Two readers of one stream that disagree about where a body ends are how requests are smuggled. So here
 * nothing is guessed: what the grammar does not allow is refused, whatever other servers let pass.
 */
#include "http/body.h"

#define CHUNK_LINE_MAX 4096             /* bytes of a chunk's line, its extensions included */
#define TRAILERS_MAX 16384              /* bytes of all trailer lines */
#define SIZE_DIGITS_MAX 16

static int refuse(struct body_framing *f, unsigned status, const char *reason)
{
	f->status = status;
	f->reason = reason;
	return -1;
}

static int transfer_encoding(const struct request_head *h, struct body_framing *f)
{
	bool chunked = false;

	if (fields_count(&h->fields, "Content-Length"))
		return refuse(f, 400, "Transfer-Encoding together with Content-Length");
	if (h->major == 1 && h->minor == 0)
		return refuse(f, 400, "Transfer-Encoding in an HTTP/1.0 request");
	for (unsigned i = 0; i < h->fields.n; i++) {
		struct text rest = h->fields.at[i].value, coding;
		if (!text_is_nocase(h->fields.at[i].name, "Transfer-Encoding"))
			continue;
		/* not fields_list_next: others see no chunked coding in "chunked," */
		while (text_split(&rest, ',', &coding)) {
			coding = text_trim(coding);
			if (chunked)
				return refuse(f, 400, "chunked is not the last transfer coding");
			if (coding.n == 0)
				return refuse(f, 400, "an empty member of Transfer-Encoding");
			if (!text_is_nocase(coding, "chunked"))
				return refuse(f, 501, "a transfer coding that is not known");
			chunked = true;
		}
	}
	f->kind = BODY_CHUNKED;
	return 0;
}

/*
 * Once and in figures. RFC 9110, 8.6 would allow a length that is repeated the same; Apache and llhttp refuse
 * it, and one meaning less to agree on is one less to smuggle by.
 */
static int content_length(const struct request_head *h, struct body_framing *f)
{
	struct text value = fields_get(&h->fields, "Content-Length");

	if (fields_count(&h->fields, "Content-Length") > 1)
		return refuse(f, 400, "Content-Length more than once");
	if (value.n == 0)
		return refuse(f, 400, "an empty Content-Length");
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] < '0' || value.p[i] > '9')
			return refuse(f, 400, "a Content-Length that is no number");
	if (text_u64(value, INT64_MAX, &f->length) != 0)
		return refuse(f, 413, "a Content-Length beyond all bounds");
	f->kind = BODY_LENGTH;
	return 0;
}

int body_framing(const struct request_head *h, struct body_framing *f)
{
	*f = (struct body_framing){ .kind = BODY_NONE };
	if (fields_count(&h->fields, "Transfer-Encoding"))
		return transfer_encoding(h, f);
	if (fields_count(&h->fields, "Content-Length"))
		return content_length(h, f);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ reading */

enum state {
	SIZE_FIRST, SIZE, SIZE_BLANK, EXTENSION, SIZE_LF,               /* the line before a chunk */
	DATA, DATA_CR, DATA_LF,
	TRAILER, TRAILER_NAME, TRAILER_VALUE, TRAILER_LF, LAST_LF,      /* after the chunk of size 0 */
	OVER, BROKEN
};

void body_reader_init(struct body_reader *b, const struct body_framing *f)
{
	*b = (struct body_reader){ .kind = f->kind, .state = SIZE_FIRST };
	if (f->kind == BODY_LENGTH)
		b->left = f->length;
}

static enum state broken(struct body_reader *b, const char *reason)
{
	b->reason = reason;
	return BROKEN;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)ascii_lower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static enum state size_digit(struct body_reader *b, int digit)
{
	if (b->line > SIZE_DIGITS_MAX || b->left > INT64_MAX >> 4)
		return broken(b, "a chunk size beyond all bounds");
	b->left = b->left << 4 | (unsigned)digit;
	return SIZE;
}

/* One byte of the line before a chunk. */
static enum state size_step(struct body_reader *b, char c)
{
	int digit;

	if (++b->line > CHUNK_LINE_MAX)
		return broken(b, "a chunk extension that is too long");
	switch (b->state) {
	case SIZE_FIRST:
	case SIZE:
		digit = hex_digit(c);
		if (digit >= 0)
			return size_digit(b, digit);
		if (b->state == SIZE_FIRST)
			return broken(b, "a chunk without a size");
		if (c == ' ' || c == '\t')
			return SIZE_BLANK;
		if (c == ';' || c == '\r')
			return c == ';' ? EXTENSION : SIZE_LF;
		return broken(b, "a chunk size that is no hexadecimal number");
	case SIZE_BLANK:        /* blanks may stand before an extension, not before the end of the line */
		if (c == ' ' || c == '\t')
			return SIZE_BLANK;
		return c == ';' ? EXTENSION : broken(b, "a blank after a chunk size");
	case EXTENSION:
		if (c == '\r')
			return SIZE_LF;
		return is_control(c) ? broken(b, "a control character in a chunk extension") : EXTENSION;
	default:
		if (c != '\n')
			return broken(b, "a CR without LF in the line of a chunk");
		b->line = 0;
		return b->left ? DATA : TRAILER;
	}
}

/* One byte behind the data of a chunk, or of the trailer section. */
static enum state trailer_step(struct body_reader *b, char c)
{
	if (b->state >= TRAILER && ++b->line > TRAILERS_MAX)
		return broken(b, "trailers that are too long");
	switch (b->state) {
	case DATA_CR:
		return c == '\r' ? DATA_LF : broken(b, "a chunk longer than its size");
	case DATA_LF:
		return c == '\n' ? SIZE_FIRST : broken(b, "a CR without LF after a chunk");
	case TRAILER:
		if (c == '\r')
			return LAST_LF;
		return http_is_token((struct text){ &c, 1 }) ? TRAILER_NAME : broken(b, "a trailer without a name");
	case TRAILER_NAME:
		if (c == ':')
			return TRAILER_VALUE;
		return http_is_token((struct text){ &c, 1 }) ? TRAILER_NAME : broken(b, "a trailer without a colon");
	case TRAILER_VALUE:
		if (c == '\r')
			return TRAILER_LF;
		return is_control(c) ? broken(b, "a control character in a trailer") : TRAILER_VALUE;
	case TRAILER_LF:
		return c == '\n' ? TRAILER : broken(b, "a CR without LF in a trailer");
	default:
		return c == '\n' ? OVER : broken(b, "a CR without LF at the end of a chunked body");
	}
}

static enum body_result take_data(struct body_reader *b, const char *p, size_t n, struct text *data)
{
	*data = (struct text){ p, n < b->left ? n : (size_t)b->left };
	b->left -= data->n;
	b->total += data->n;
	return BODY_DATA;
}

static enum body_result read_chunked(struct body_reader *b, const char *p, size_t n, size_t *used,
	struct text *data)
{
	size_t i = 0;

	while (i < n && b->state < OVER) {
		if (b->state == DATA) {
			enum body_result r = take_data(b, p + i, n - i, data);
			if (b->left == 0)
				b->state = DATA_CR;
			*used = i + data->n;
			return r;
		}
		b->state = b->state < DATA ? size_step(b, p[i]) : trailer_step(b, p[i]);
		i++;
	}
	*used = i;
	if (b->state == OVER)
		return BODY_END;
	return b->state == BROKEN ? BODY_BAD : BODY_MORE;
}

enum body_result body_read(struct body_reader *b, const char *p, size_t n, size_t *used, struct text *data)
{
	*used = 0;
	*data = (struct text){ NULL, 0 };
	if (b->kind == BODY_CHUNKED)
		return read_chunked(b, p, n, used, data);
	if (b->left == 0)
		return BODY_END;
	if (n == 0)
		return BODY_MORE;
	take_data(b, p, n, data);
	*used = data->n;
	return BODY_DATA;
}

size_t chunk_head(size_t n, char *buf)
{
	static const char hex[] = "0123456789abcdef";
	unsigned shift = 0;
	size_t at = 0;

	while (n >> shift >> 4)
		shift += 4;
	for (;; shift -= 4) {
		buf[at++] = hex[n >> shift & 15];
		if (shift == 0)
			break;
	}
	buf[at++] = '\r';
	buf[at++] = '\n';
	return at;
}
