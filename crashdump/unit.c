/*
 * unit.c - the compilation unit of an address. libdwfl asks the table .debug_aranges alone, which gcc writes and clang leaves out: without
 * it the units themselves are asked. Run by the job.
 */
#include "crashdump/unit.h"

#include <elfutils/libdw.h>

Dwarf_Die *unit_at(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Addr *bias)
{
	Dwfl_Module *module = dwfl_addrmodule(dwfl, address);
	Dwarf_Die *unit = module ? dwfl_module_addrdie(module, address, bias) : NULL;

	if (unit || !module)
		return unit;
	while ((unit = dwfl_module_nextcu(module, unit, bias)))
		if (dwarf_haspc(unit, address - *bias) > 0)
			return unit;
	return NULL;
}
