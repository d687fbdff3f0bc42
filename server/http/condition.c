/*
 * condition.c - HTTP dates, entity tags, and whether a request's preconditions hold (RFC 9110, 13.2.2). Pure;
 * runs in the children. Dates are reckoned here and not by gmtime, which may read time-zone files that the
 * sandbox forbids.
 */
#include "http/condition.h"

static const char days[7][10] = {
	"Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday",
};
static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

#define DAY 86400
#define LAST_SECOND 253402300799LL      /* of the year 9999: four digits are all that the form has */

/* ------------------------------------------------------------------------------------------------- dates */

/*
 * Days since 1970-01-01 and back. A year is taken to begin in March, so that the leap day is its last; 400
 * years are 146097 days; 719468 days lie between 0000-03-01 and 1970-01-01.
 */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400;
	unsigned in_era = (unsigned)(y - era * 400);
	unsigned in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + (int64_t)in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static void date_of(int64_t n, unsigned *year, unsigned *month, unsigned *day)
{
	unsigned in_era, y, in_year, m;
	int64_t era;

	n += 719468;
	era = n / 146097;
	in_era = (unsigned)(n - era * 146097);
	y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	in_year = in_era - (365 * y + y / 4 - y / 100);
	m = (5 * in_year + 2) / 153;
	*day = in_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (unsigned)(era * 400) + y + (*month <= 2);
}

static char *put_number(char *p, unsigned v, unsigned digits)
{
	for (unsigned i = digits; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + digits;
}

static char *put_clock(char *p, unsigned s)
{
	p = put_number(p, s / 3600, 2);
	*p++ = ':';
	p = put_number(p, s / 60 % 60, 2);
	*p++ = ':';
	return put_number(p, s % 60, 2);
}

char *http_date(time_t t, char *buf)
{
	int64_t s = t < 0 ? 0 : t > LAST_SECOND ? LAST_SECOND : t;
	unsigned year, month, day;
	char *p = buf;

	date_of(s / DAY, &year, &month, &day);
	memcpy(p, days[s / DAY % 7], 3);
	p[3] = ',';
	p[4] = ' ';
	p = put_number(p + 5, day, 2);
	*p++ = ' ';
	memcpy(p, months[month - 1], 3);
	p[3] = ' ';
	p = put_number(p + 4, year, 4);
	*p++ = ' ';
	p = put_clock(p, (unsigned)(s % DAY));
	memcpy(p, " GMT", 5);
	return buf;
}

/* A date in parts, and what is left to read; `bad` sticks. */
struct reader {
	const char *p, *end;
	unsigned year, month, day, seconds;
	bool bad;
};

static void want(struct reader *r, const char *s)
{
	size_t n = strlen(s);

	if (r->bad || (size_t)(r->end - r->p) < n || memcmp(r->p, s, n) != 0)
		r->bad = true;
	else
		r->p += n;
}

static unsigned number(struct reader *r, unsigned digits)
{
	unsigned v = 0;

	for (unsigned i = 0; i < digits && !r->bad; i++) {
		if (r->p == r->end || *r->p < '0' || *r->p > '9')
			r->bad = true;
		else
			v = v * 10 + (unsigned)(*r->p++ - '0');
	}
	return v;
}

static void read_month(struct reader *r)
{
	for (unsigned m = 0; m < 12; m++)
		if (r->end - r->p >= 3 && memcmp(r->p, months[m], 3) == 0)
			r->month = m + 1;
	r->bad |= r->month == 0;
	if (!r->bad)
		r->p += 3;
}

static void read_clock(struct reader *r)
{
	unsigned h = number(r, 2), m, s;

	want(r, ":");
	m = number(r, 2);
	want(r, ":");
	s = number(r, 2);
	r->bad |= h > 23 || m > 59 || s > 60;   /* 60: a leap second */
	r->seconds = h * 3600 + m * 60 + s;
}

/* "Sun, " (IMF-fixdate), "Sunday, " (RFC 850), "Sun " (asctime); false for none of these. */
static bool read_day_name(struct reader *r, bool *whole)
{
	size_t have = (size_t)(r->end - r->p);

	for (unsigned d = 0; d < 7; d++) {
		size_t n = strlen(days[d]);
		*whole = have >= n && memcmp(r->p, days[d], n) == 0;
		if (!*whole && !(have >= 3 && memcmp(r->p, days[d], 3) == 0))
			continue;
		r->p += *whole ? n : 3;
		return true;
	}
	return false;
}

static void read_fixdate(struct reader *r, bool rfc850)
{
	const char *dash = rfc850 ? "-" : " ";

	want(r, ", ");
	r->day = number(r, 2);
	want(r, dash);
	read_month(r);
	want(r, dash);
	r->year = number(r, rfc850 ? 2 : 4);
	if (rfc850)
		r->year += r->year < 70 ? 2000 : 1900;
	want(r, " ");
	read_clock(r);
	want(r, " GMT");
}

static void read_asctime(struct reader *r)
{
	want(r, " ");
	read_month(r);
	want(r, " ");
	if (r->p < r->end && *r->p == ' ') {
		r->p++;
		r->day = number(r, 1);
	} else {
		r->day = number(r, 2);
	}
	want(r, " ");
	read_clock(r);
	want(r, " ");
	r->year = number(r, 4);
}

static unsigned days_in(unsigned year, unsigned month)
{
	static const unsigned char lengths[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return lengths[month - 1] + (month == 2 && leap ? 1u : 0u);
}

int http_date_parse(struct text t, time_t *out)
{
	struct reader r = { .p = t.p, .end = t.p ? t.p + t.n : NULL };
	bool whole;

	if (!t.p || t.n == 0 || !read_day_name(&r, &whole))
		return -1;
	if (r.p < r.end && *r.p == ',')
		read_fixdate(&r, whole);
	else if (!whole)
		read_asctime(&r);
	else
		return -1;
	if (r.bad || r.p != r.end || r.day == 0 || r.day > days_in(r.year, r.month))
		return -1;
	*out = (time_t)(days_of(r.year, r.month, r.day) * DAY + r.seconds);
	return 0;
}

/* ------------------------------------------------------------------------------------------- entity tags */

/* The next tag of a list, "W/" included; *rest moves on. False at the end or at what is no tag. */
static bool next_tag(struct text *rest, struct text *tag)
{
	const char *end;
	size_t open;

	while (rest->n && (rest->p[0] == ' ' || rest->p[0] == '\t' || rest->p[0] == ',')) {
		rest->p++;
		rest->n--;
	}
	open = text_starts(*rest, "W/") ? 2 : 0;
	if (rest->n < open + 2 || rest->p[open] != '"')
		return false;
	/* no backslash escapes here, unlike in quoted strings (RFC 9110, 8.8.3) */
	end = memchr(rest->p + open + 1, '"', rest->n - open - 1);
	if (!end)
		return false;
	*tag = (struct text){ rest->p, (size_t)(end + 1 - rest->p) };
	rest->p += tag->n;
	rest->n -= tag->n;
	return true;
}

static bool take_weak(struct text *tag)
{
	if (!text_starts(*tag, "W/"))
		return false;
	tag->p += 2;
	tag->n -= 2;
	return true;
}

bool etag_listed(struct text list, struct text etag, bool weak)
{
	bool etag_weak = take_weak(&etag);
	struct text tag;

	if (text_starts(text_trim(list), "*"))
		return true;
	if (etag.n == 0 || (etag_weak && !weak))
		return false;
	while (next_tag(&list, &tag)) {
		bool tag_weak = take_weak(&tag);
		if ((weak || !tag_weak) && text_eq(tag, etag))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------------------------------ preconditions */

/* Whether the representation has one of the listed tags; "*" asks whether there is any. */
static bool matches(struct text list, const struct validators *v, bool weak)
{
	return text_starts(text_trim(list), "*") ? v->exists : etag_listed(list, v->etag, weak);
}

/* The field's date, if it is there once and is one. */
static bool date_field(const struct fields *in, const char *name, time_t *out)
{
	return fields_count(in, name) == 1 && http_date_parse(fields_get(in, name), out) == 0;
}

unsigned condition_check(const struct fields *in, enum http_method m, const struct validators *v, time_t now)
{
	bool reads = m == HTTP_GET || m == HTTP_HEAD;
	/* a file from the future was told to the client as of the response's own date (RFC 9110, 8.8.2.1) */
	time_t modified = v->modified > now ? now : v->modified, date;

	if (fields_count(in, "If-Match")) {
		if (!matches(fields_combined(in, "If-Match"), v, false))
			return 412;
	} else if (v->modified != -1 && date_field(in, "If-Unmodified-Since", &date) && modified > date) {
		return 412;
	}
	if (fields_count(in, "If-None-Match")) {
		if (matches(fields_combined(in, "If-None-Match"), v, true))
			return reads ? 304 : 412;
	} else if (reads && v->modified != -1 && date_field(in, "If-Modified-Since", &date) && modified <= date && date <= now) {
		return 304;             /* nobody can have a copy of a moment that is still to come: such a date is ignored */
	}
	return 0;
}
