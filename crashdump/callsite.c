/*
 * callsite.c - whether a call stands just before an address: tells return addresses from other words of a stack. Pure.
 * The job.
 */
#include "crashdump/callsite.h"

#include <stdint.h>
#include <string.h>

#if defined __x86_64__
/* E8 rel32, or FF /2 with any addressing form, ends exactly here. */
bool callsite_before(const unsigned char b[CALLSITE_BYTES])
{
	static const unsigned char modrm_length[4] = { 2, 3, 6, 2 };

	if (b[3] == 0xe8)
		return true;
	for (unsigned length = 2; length <= 7; length++) {
		const unsigned char *p = b + CALLSITE_BYTES - length;
		unsigned mod = p[1] >> 6, form = p[1] & 7, need = modrm_length[mod];

		if (p[0] != 0xff || ((p[1] >> 3) & 7) != 2)
			continue;
		if (mod != 3 && form == 4)
			need++;                         /* a SIB byte follows */
		if (mod == 0 && form == 5)
			need = 6;                       /* relative to the program counter */
		if (mod == 0 && form == 4 && length == 7 && (p[2] & 7) == 5)
			need = 7;
		if (need == length)
			return true;
	}
	return false;
}
#else
/* BL, BLR and its authenticating forms. */
bool callsite_before(const unsigned char b[CALLSITE_BYTES])
{
	uint32_t word;

	memcpy(&word, b + 4, 4);
	return (word & 0xfc000000) == 0x94000000 || (word & 0xfefff000) == 0xd63f0000;
}
#endif
