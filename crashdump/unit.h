/*
 * unit.h - which compilation unit's debug information tells of an address. The job only.
 */
#ifndef CRASHDUMP_UNIT_H
#define CRASHDUMP_UNIT_H

#include <elfutils/libdwfl.h>

/* The unit that holds the machine code at an address, and what is to be added to its addresses. NULL: none is known. */
Dwarf_Die *unit_at(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Addr *bias);

#endif
