/*
 * fuzz.h - what every fuzz target is: one function, called by libFuzzer or by replay.c with one input after another, and
 * a check that ends the process (so that the input is kept) when an invariant does not hold.
 */
#ifndef BULKHEAD_TESTS_FUZZ_H
#define BULKHEAD_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Holds with NDEBUG too, unlike assert. */
#define CHECK(condition) \
	((condition) ? (void)0 : (fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition), abort()))

#endif
