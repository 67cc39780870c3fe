/*
 * replay.c: runs a fuzz target over every file of the corpus directories given, as TAP.
 *
 * What libFuzzer's own main() does for clang builds; so the seeds, and whatever once
 * made a target fail, are tests for every compiler.
 */
#include "fs/base/base.h"
#include "fs/base/buf.h"

#include <dirent.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

DEFINE_CLEANUP(cleanup_file, FILE *, fclose)

static int replay(const char *path)
{
	CLEANUP(cleanup_file) FILE *file = fopen(path, "rb");
	auto_buf struct buf b = BUF_INIT;
	char piece[65536];
	auto_free uint8_t *exact = NULL;
	size_t n;

	if (!file)
		return -errno;
	while ((n = fread(piece, 1, sizeof(piece), file)) > 0)
		buf_add(&b, piece, n);
	if (ferror(file) || buf_error(&b))
		return -EIO;
	/* Exactly as long as the input, so that the sanitizer sees a byte read behind it. */
	exact = malloc(MAX(b.len, (size_t)1));
	if (!exact)
		return -ENOMEM;
	memcpy(exact, b.data, b.len);
	return LLVMFuzzerTestOneInput(exact, b.len);
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Prints a line for each file; false if one failed or there is none. */
static bool replay_directory(const char *dir, int *number)
{
	struct dirent **entries = NULL;
	int count = scandir(dir, &entries, not_hidden, alphasort);
	bool good = count > 0;

	if (count < 0)
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		int ret;

		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		/* An assertion ends the program: name the file first. */
		printf("# %s\n", path);
		fflush(stdout);
		ret = replay(path);
		printf("%s %d - %s\n", ret ? "not ok" : "ok", ++*number, entries[i]->d_name);
		good = good && ret == 0;
		free(entries[i]);
	}
	free(entries);
	return good;
}

int main(int argc, char **argv)
{
	bool good = argc > 1;
	int number = 0;

	for (int i = 1; i < argc; i++)
		good = replay_directory(argv[i], &number) && good;
	printf("1..%d\n", number);
	return good ? 0 : 1;
}
