/*
 * autoindex.h - listings of folders (mod_autoindex): the handler of a folder that has no index file, where Options has Indexes.
 * Below: what its three files share - indexread.c reads the directives, autoindex.c collects and sends, indexpage.c renders.
 */
#ifndef BULKHEAD_HANDLER_AUTOINDEX_H
#define BULKHEAD_HANDLER_AUTOINDEX_H

#include <sys/stat.h>

#include "conf/conf.h"
#include "request/handler.h"
#include "request/request.h"

extern const struct handler autoindex_handler;

/* IndexOptions AddIcon AddDescription HeaderName and their kin */
extern struct conf_module autoindex_module;

/* ------------------------------------------------------------------------------------------------ settings */

enum {
	INDEX_FANCY = 1, INDEX_FOLDERS_FIRST = 2, INDEX_TABLE = 4, INDEX_ICONS_ARE_LINKS = 8, INDEX_IGNORE_CASE = 0x10, INDEX_IGNORE_CLIENT = 0x20,
	INDEX_TITLES = 0x40, INDEX_FORBIDDEN = 0x80, INDEX_NO_SORTING = 0x100, INDEX_NO_DESCRIPTION = 0x200, INDEX_NO_PREAMBLE = 0x400,
	INDEX_NO_ICON = 0x800, INDEX_NO_MODIFIED = 0x1000, INDEX_NO_RULES = 0x2000, INDEX_NO_SIZE = 0x4000, INDEX_TRACK = 0x8000,
	INDEX_VERSIONS = 0x10000, INDEX_XHTML = 0x20000, INDEX_OLD_DATES = 0x40000, INDEX_PARENT_EMPTY = 0x80000, INDEX_NONE = 0x100000,
};

#define INDEX_WIDTH_ALL (-2)            /* NameWidth=*: as wide as the longest */
#define INDEX_ICON_SIZE 20              /* of IconWidth and IconHeight without a number */

enum index_by { INDEX_BY_NAME, INDEX_BY_TYPE, INDEX_BY_CODING };

/* A line's word for what it matches: an icon, the text in place of one, a description. */
struct index_item {
	enum index_by by;
	const char *pattern;            /* with * and ?; "^^DIRECTORY^^", "^^BLANKICON^^" */
	bool whole_path;                /* the pattern holds a slash */
	const char *value, *alt;        /* alt: of AddIcon (ALT,icon) */
	const struct index_item *next;  /* the order of the lines; what comes from outside behind it */
};

/* autoindex_module's section structure; CONF_UNSET and NULL = unset. */
struct index_section {
	unsigned options, add, remove;  /* INDEX_*: read with index_options */
	int name_width, description_width, icon_width, icon_height;
	const char *type, *charset;
	const struct index_item *icons, *alts, *descriptions;
	const char **ignore;            /* ended by NULL */
	int ignore_reset;
	const char *default_icon, *header, *readme, *head_insert, *style;
	char sort_key;                  /* N M S D; 0 = unset */
	int descending;
};

/* The options in force. */
unsigned index_options(const struct index_section *s);

/* ------------------------------------------------------------------------------------------------ a listing */

struct index_entry {
	const char *name;               /* with a slash behind a folder's; "../" for the folder above */
	bool folder, above;
	int64_t size;                   /* -1: a folder */
	time_t modified;
	const char *icon, *alt, *description;   /* NULL = none */
};

struct index_list {
	const struct index_section *settings;
	unsigned options;               /* in force for this request: the client may ask for other columns */
	char key;
	bool descending;
	const char *pattern;            /* ?P=, NULL = all */
	struct index_entry *at;
	unsigned n;
	bool cut;                       /* there are more than are listed */
	unsigned name_width, description_width;
	struct text header, readme;     /* HTML, or escaped text within <pre>; absent = none */
	bool whole_header;              /* header begins the document itself */
};

/*
 * The page's parts. `b` has room for INDEX_PIECE bytes, the header and readme are sent beside it. An entry takes at most three quarters of
 * that: twice its path or name with each byte as %XX, its name in HTML, and three values.
 */
#define INDEX_VALUE_MOST 4096           /* of a description, an icon, text for the head */
#define INDEX_PIECE 65536
void index_put_head(struct buf *b, struct request *r, const struct index_list *l);
void index_put_columns(struct buf *b, const struct index_list *l);
void index_put_entry(struct buf *b, const struct request *r, const struct index_list *l, const struct index_entry *e);
void index_put_columns_end(struct buf *b, const struct index_list *l);
void index_put_tail(struct buf *b, struct request *r, const struct index_list *l);
/* "2.0K" as Apache's listings; buf has 8 bytes. */
const char *index_size(int64_t size, char *buf);

#endif
