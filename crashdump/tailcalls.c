/*
 * tailcalls.c - between a frame and its caller: which functions were called and then jumped on, by the call sites of the
 * debug information. The caller's call site names the function that it called. If that is not the function of the frame,
 * the ways from the one to the other along jumps are searched; what all ways have in common is certain. As gdb does it.
 * Run by the job; the debug information may say anything, so all walks are bounded.
 */
#include "crashdump/tailcalls.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crashdump/unit.h"

#define DIES_MAX  20000         /* looked at for one pair of frames */
#define NEST_MAX  64
#define SITES_MAX 64            /* jumps out of one function that are followed */

struct site {
	uint64_t pc, target;
};

static struct search {
	Dwfl *dwfl;
	uint64_t goal;
	unsigned dies;
	struct site way[TAILCALLS_MAX];         /* the jumps taken so far, outermost first */
	unsigned n;
	uint64_t found[TAILCALLS_MAX];          /* the first way that arrived; shared: what each later one has in common with it */
	unsigned length, head, tail;
	bool any, gave_up;
} search;

/* ------------------------------------------------------------------------------------------------------- functions */

/* The function whose machine code holds an address, and what is to be added to its addresses. */
static bool function_at(uint64_t address, Dwarf_Die *out, Dwarf_Addr *bias)
{
	Dwarf_Die *unit = unit_at(search.dwfl, address, bias), *scopes = NULL, *chain = NULL;
	bool found = false;
	int n = unit && dwarf_getscopes(unit, address - *bias, &scopes) > 0 ? dwarf_getscopes_die(&scopes[0], &chain) : 0;

	for (int i = 0; i < n && !found; i++)
		if (dwarf_tag(&chain[i]) == DW_TAG_subprogram) {
			*out = chain[i];
			found = true;
		}
	free(chain);
	free(scopes);
	return found;
}

/* Where the function that holds an address begins; 0: not known. */
static uint64_t entry_of(uint64_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(search.dwfl, address);
	Dwarf_Addr bias, entry;
	Dwarf_Die function;
	GElf_Off offset;
	GElf_Sym symbol;

	if (function_at(address, &function, &bias) && dwarf_entrypc(&function, &entry) == 0)
		return entry + bias;
	if (module && dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL))
		return address - offset;
	return 0;
}

struct wanted {
	const char *name;
	bool local;                     /* hidden names too: the linker made them local */
	uint64_t address;
};

static int named_in(Dwfl_Module *module, void **data, const char *module_name, Dwarf_Addr start, void *arg)
{
	struct wanted *w = arg;
	int n = dwfl_module_getsymtab(module);

	(void)data;
	(void)module_name;
	(void)start;
	for (int i = 1; i < n; i++) {
		GElf_Sym symbol;
		GElf_Addr address;
		const char *name = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
		size_t length = name ? strcspn(name, "@") : 0;

		if (name && symbol.st_shndx != SHN_UNDEF && GELF_ST_TYPE(symbol.st_info) == STT_FUNC &&
		    (GELF_ST_BIND(symbol.st_info) == STB_LOCAL) == w->local && !strncmp(name, w->name, length) && !w->name[length]) {
			w->address = address;
			return DWARF_CB_ABORT;
		}
	}
	return DWARF_CB_OK;
}

/* A function that is only declared here: of the same file, else the first library's of that name. */
static uint64_t function_named(uint64_t near, const char *name)
{
	struct wanted w = { .name = name };
	Dwfl_Module *module = dwfl_addrmodule(search.dwfl, near);

	if (!name || !*name)
		return 0;
	for (unsigned i = 0; module && i < 2 && !w.address; i++) {
		w.local = i == 1;
		named_in(module, NULL, NULL, 0, &w);
	}
	w.local = false;
	if (!w.address)
		dwfl_getmodules(search.dwfl, named_in, &w, 0);
	return w.address;
}

/* ------------------------------------------------------------------------------------------------------ call sites */

static bool address_of(Dwarf_Die *die, unsigned name, Dwarf_Addr *out)
{
	Dwarf_Attribute attribute;

	return dwarf_formaddr(dwarf_attr(die, name, &attribute), out) == 0;
}

/* Where a call site goes; 0: through a pointer, or not known. */
static uint64_t target_of(Dwarf_Die *die, bool gnu, uint64_t near, Dwarf_Addr bias)
{
	Dwarf_Attribute attribute;
	Dwarf_Die origin;
	Dwarf_Addr entry;
	bool declared = false;

	if (!dwarf_formref_die(dwarf_attr(die, gnu ? DW_AT_abstract_origin : DW_AT_call_origin, &attribute), &origin))
		return 0;
	if (dwarf_formflag(dwarf_attr(&origin, DW_AT_declaration, &attribute), &declared) == 0 && declared) {
		const char *linkage = dwarf_formstring(dwarf_attr(&origin, DW_AT_linkage_name, &attribute));

		return function_named(near, linkage ? linkage : dwarf_diename(&origin));
	}
	return dwarf_entrypc(&origin, &entry) == 0 ? entry + bias : 0;
}

/* What is collected from a function: the call that returns to `back`, or (back = 0) the jumps out of it. */
struct sites {
	uint64_t back;
	Dwarf_Addr bias;
	struct site *site;
	unsigned n, room;
};

static void take_site(Dwarf_Die *die, struct sites *s)
{
	Dwarf_Attribute attribute;
	bool gnu = dwarf_tag(die) == DW_TAG_GNU_call_site, jump = false;
	Dwarf_Addr pc;

	if (dwarf_formflag(dwarf_attr(die, gnu ? DW_AT_GNU_tail_call : DW_AT_call_tail_call, &attribute), &jump))
		jump = false;
	if (!address_of(die, gnu ? DW_AT_low_pc : DW_AT_call_return_pc, &pc)) {
		/* The jump itself, not what lies behind it. */
		if (gnu || !address_of(die, DW_AT_call_pc, &pc))
			return;
		pc++;
	}
	pc += s->bias;
	if (s->back ? pc == s->back : jump) {
		if (s->n == s->room)
			search.gave_up = true;
		else
			s->site[s->n++] = (struct site){ pc, target_of(die, gnu, pc - 1, s->bias) };
	}
}

static void collect(Dwarf_Die *parent, struct sites *s, unsigned nest)
{
	Dwarf_Die die;

	if (nest > NEST_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		int tag = dwarf_tag(&die);

		if (++search.dies > DIES_MAX) {
			search.gave_up = true;
			return;
		}
		if (tag == DW_TAG_call_site || tag == DW_TAG_GNU_call_site)
			take_site(&die, s);
		else if (tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine)
			collect(&die, s, nest + 1);
	} while (dwarf_siblingof(&die, &die) == 0);
}

/* -------------------------------------------------------------------------------------------------------- the ways */

static void arrived(void)
{
	unsigned head = 0, tail = 0;

	if (!search.any) {
		search.any = true;
		search.length = search.head = search.tail = search.n;
		for (unsigned i = 0; i < search.n; i++)
			search.found[i] = search.way[i].pc;
		return;
	}
	while (head < search.n && head < search.head && search.way[head].pc == search.found[head])
		head++;
	while (tail < search.n && tail < search.tail && search.way[search.n - 1 - tail].pc == search.found[search.length - 1 - tail])
		tail++;
	search.head = head;
	search.tail = tail;
}

static bool taken(uint64_t pc)
{
	for (unsigned i = 0; i < search.n; i++)
		if (search.way[i].pc == pc)
			return true;
	return false;
}

/* From the beginning of a function, along jumps, to the goal. At most TAILCALLS_MAX calls deep. */
static void follow(uint64_t function)
{
	struct site jumps[SITES_MAX];
	struct sites s = { .site = jumps, .room = SITES_MAX };
	Dwarf_Die die;

	if (function == search.goal) {
		arrived();
		return;
	}
	if (search.gave_up || !function_at(function, &die, &s.bias))
		return;
	collect(&die, &s, 0);
	for (unsigned i = 0; i < s.n && !search.gave_up; i++) {
		if (!jumps[i].target || taken(jumps[i].pc))
			continue;
		if (search.n == TAILCALLS_MAX) {
			search.gave_up = true;
			return;
		}
		search.way[search.n++] = jumps[i];
		follow(jumps[i].target);
		search.n--;
	}
}

unsigned tailcalls_find(Dwfl *dwfl, uint64_t inner, uint64_t back, uint64_t out[TAILCALLS_MAX])
{
	struct site call = { 0, 0 };
	struct sites s = { .back = back, .site = &call, .room = 1 };
	unsigned n = 0;
	Dwarf_Die caller;

	search = (struct search){ .dwfl = dwfl };
	if (!function_at(back - 1, &caller, &s.bias))
		return 0;
	collect(&caller, &s, 0);
	search.goal = call.target ? entry_of(inner) : 0;
	if (!search.goal || search.gave_up)
		return 0;
	follow(call.target);
	if (!search.any || search.gave_up)
		return 0;
	for (unsigned i = 0; i < search.tail; i++)
		out[n++] = search.found[search.length - 1 - i];
	for (unsigned i = search.head; i-- > 0 && n < search.length; )
		out[n++] = search.found[i];
	return n;
}
