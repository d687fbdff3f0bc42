/*
 * replay.c - runs a fuzz target over kept inputs without a fuzzer: each file named on the command line, and each file of
 * each folder. So the corpora are part of the ordinary tests, built with any compiler. Linked with one *_fuzz.c.
 * Exit: 0 all were run; 1 a file could not be read or there was none; the target aborts when an invariant does not hold,
 * after the name of the file was printed.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

static unsigned runs;

static bool run_file(const char *path)
{
	FILE *f = fopen(path, "rbe");
	struct stat st;
	uint8_t *data;
	size_t n;
	bool good;

	if (!f || fstat(fileno(f), &st) != 0) {
		perror(path);
		if (f)
			fclose(f);
		return false;
	}
	/* exactly as large as the input, so that a byte read behind it is seen */
	data = malloc(st.st_size ? (size_t)st.st_size : 1);
	n = data ? fread(data, 1, (size_t)st.st_size, f) : 0;
	good = data && n == (size_t)st.st_size;
	fclose(f);
	if (good) {
		fprintf(stderr, "%s\n", path);
		LLVMFuzzerTestOneInput(data, n);
		runs++;
	} else {
		fprintf(stderr, "%s: cannot be read whole\n", path);
	}
	free(data);
	return good;
}

static bool run_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	bool good = n >= 0;

	if (n < 0)
		perror(path);
	for (int i = 0; i < n; i++) {
		char name[4096];
		int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			good = length > 0 && (size_t)length < sizeof name && run_file(name) && good;
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return good;
}

int main(int argc, char **argv)
{
	bool good = true;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		good = (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? run_folder(argv[i]) : run_file(argv[i])) && good;
	}
	printf("%u inputs replayed\n", runs);
	return good && runs ? 0 : 1;
}
