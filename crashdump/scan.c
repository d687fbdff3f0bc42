/*
 * scan.c - looks through a snapshot's slice of the stack, word by word, for return addresses: words that point behind a call
 * in a function that has a name. What symbols.c goes on with where the unwind tables end too early. Run by the job; the
 * words are those of a broken process.
 */
#include "crashdump/scan.h"

#include <gelf.h>
#include <string.h>

#include "crashdump/callsite.h"

bool scan_word(const struct crash_snapshot *s, uint64_t address, uint64_t *out)
{
	if (address < s->stack_address || s->stack_length < 8 || address - s->stack_address > s->stack_length - 8)
		return false;
	memcpy(out, s->stack + (address - s->stack_address), 8);
	return true;
}

bool scan_is_code(const struct crash_snapshot *s, uint64_t address)
{
	struct crash_range r;

	return snapshot_find(s->maps, s->maps_length, address, &r) && r.executable;
}

/* Bytes of the program file in front of a return address; how many there are. */
static size_t bytes_before(Dwfl_Module *module, uint64_t address, unsigned char *out, size_t want)
{
	Dwarf_Addr bias;
	Elf *elf = dwfl_module_getelf(module, &bias);
	size_t count;
	GElf_Phdr ph;

	if (!elf || elf_getphdrnum(elf, &count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t at = address - bias - want;
		Elf_Data *data;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD || at < ph.p_vaddr ||
		    at - ph.p_vaddr > ph.p_filesz || ph.p_filesz - (at - ph.p_vaddr) < want)
			continue;
		data = elf_getdata_rawchunk(elf, (int64_t)(ph.p_offset + (at - ph.p_vaddr)), want, ELF_T_BYTE);
		if (!data || !data->d_buf || data->d_size < want)
			return 0;
		memcpy(out, data->d_buf, want);
		return want;
	}
	return 0;
}

static bool is_return_address(Dwfl *dwfl, const struct crash_snapshot *s, uint64_t word)
{
	Dwfl_Module *module = word > 8 && scan_is_code(s, word - 1) ? dwfl_addrmodule(dwfl, word - 1) : NULL;
	unsigned char before[CALLSITE_BYTES];
	GElf_Off offset;
	GElf_Sym symbol;

	return module && dwfl_module_addrinfo(module, word - 1, &offset, &symbol, NULL, NULL, NULL) &&
	       bytes_before(module, word, before, sizeof before) && callsite_before(before);
}

bool scan_next(Dwfl *dwfl, const struct crash_snapshot *s, uint64_t *sp, uint64_t *word)
{
	uint64_t at = *sp < s->stack_address ? s->stack_address : *sp;

	for (at = (at + 7) & ~(uint64_t)7; scan_word(s, at, word); at += 8) {
		if (!is_return_address(dwfl, s, *word))
			continue;
		*sp = at;
		return true;
	}
	return false;
}
