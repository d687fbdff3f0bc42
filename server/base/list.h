/*
 * list.h - an intrusive doubly linked list. Any process; a list has one owner.
 */
#ifndef BULKHEAD_BASE_LIST_H
#define BULKHEAD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list { struct list *next, *prev; };

#define LIST_INIT(l) { &(l), &(l) }
#define list_entry(item, type, member) ((type *)(void *)((char *)(item) - offsetof(type, member)))
#define list_each(i, l) for (struct list *i = (l)->next, *i##_next = i->next; i != (l); i = i##_next, i##_next = i->next)

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_append(struct list *l, struct list *item)
{
	item->prev = l->prev;
	item->next = l;
	l->prev->next = item;
	l->prev = item;
}
static inline void list_remove(struct list *item)       /* may be repeated */
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

#endif
