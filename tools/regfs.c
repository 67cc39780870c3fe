/*
 * regfs.c: the command: finds the subcommand's row, reads its options, runs it.
 *
 *	regfs NOUN VERB [options] operands        regfs VERB [options] operands
 *
 * Exit status: 0 done, 1 the answer is no, 2 wrong usage, 3 refused, 4 failed.
 */
#include "fs/base/base.h"
#include "tools/command.h"

#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const struct command *const tables[] = {
	serve_commands, mount_commands, look_commands, diff_commands, extract_commands, repo_commands, tag_commands, image_commands, upkeep_commands,
	people_commands, token_commands, grant_commands, audit_commands, history_commands, undo_commands, prune_commands, login_commands, registry_commands,
	watch_commands, hook_commands,
};

static void print_all(FILE *out)
{
	fputs("usage: regfs COMMAND [options] ...\n\n"
	      "regfs is a container registry that can be mounted as a file system.\n\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct command *c = tables[i]; c->noun; c++) {
			char name[64];

			snprintf(name, sizeof(name), "%s%s%s %s", c->noun, c->verb ? " " : "",
				 c->verb ? c->verb : "", c->operands);
			fprintf(out, "  %-28s %s\n", name, c->summary);
		}
	fputs("\n`regfs COMMAND --help` tells more; so do regfs(1) and, of the mount, regfs(5).\n", out);
}

static void print_help(const struct command *c)
{
	printf("usage: regfs %s%s%s [options]%s%s\n\n%s\n", c->noun, c->verb ? " " : "",
	       c->verb ? c->verb : "", *c->operands ? " " : "", c->operands, c->summary);
	if (c->details)
		printf("\n%s", c->details);
	puts("\noptions:");
	for (const struct option_row *o = c->options; o && o->name; o++) {
		char name[48], letter[8] = "";

		if (o->letter)
			snprintf(letter, sizeof(letter), "-%c, ", o->letter);
		snprintf(name, sizeof(name), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		printf("  %-22s %s\n", name, o->help);
	}
	printf("  %-22s %s\n", "--help", "print this");
}

/* The subcommand of the first words, and how many of them it took. *noun: there is one of that name. */
static const struct command *find_command(char **words, int count, int *taken, bool *noun)
{
	*noun = false;
	for (size_t i = 0; count && i < ARRAY_SIZE(tables); i++)
		for (const struct command *c = tables[i]; c->noun; c++) {
			if (!streq(c->noun, words[0]))
				continue;
			*noun = true;
			if (!c->verb || (count > 1 && streq(c->verb, words[1]))) {
				*taken = c->verb ? 2 : 1;
				return c;
			}
		}
	return NULL;
}

static void print_verbs(FILE *out, const char *noun)
{
	fprintf(out, "usage: regfs %s VERB [options] ...\n\n", noun);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct command *c = tables[i]; c->noun; c++)
			if (streq(c->noun, noun))
				fprintf(out, "  %-8s %-12s %s\n", c->verb ? c->verb : "", c->operands,
					c->summary);
}

static void to_getopt(const struct option_row *rows, struct option *longs, char *letters)
{
	size_t n = 0;

	*letters++ = ':';
	for (; rows && rows[n].name; n++) {
		longs[n] = (struct option){ rows[n].name, rows[n].value ? required_argument : no_argument,
					    NULL, 1000 + (int)n };
		if (rows[n].letter)
			*letters++ = rows[n].letter;
		if (rows[n].letter && rows[n].value)
			*letters++ = ':';
	}
	longs[n] = (struct option){ "help", no_argument, NULL, 'h' };
	longs[n + 1] = (struct option){ 0 };
	*letters++ = 'h';
	*letters = '\0';
}

/* The row of what getopt_long() answered, or NULL. */
static const struct option_row *row_of(const struct option_row *rows, int found)
{
	for (int n = 0; rows && rows[n].name; n++)
		if (found == 1000 + n || (rows[n].letter && found == rows[n].letter))
			return &rows[n];
	return NULL;
}

/* Of a command that works at a store and at no server. */
static bool is_server(const struct command *c, const char *word)
{
	bool store = false;

	for (const struct option_row *o = c->options; o && o->name; o++)
		store = store || streq(o->name, "store");
	return store && (streq(word, "--server") || starts_with(word, "--server="));
}

/* -1: go on; else the exit status. */
static int read_options(const struct command *c, int argc, char **argv, void *options)
{
	struct option longs[COMMAND_ROWS_MAX + 2];
	char letters[2 * COMMAND_ROWS_MAX + 4];
	int found;

	to_getopt(c->options, longs, letters);
	while ((found = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = row_of(c->options, found);

		if (found == 'h') {
			print_help(c);
			return EXIT_DONE;
		}
		if (!row && is_server(c, argv[optind - 1])) {
			fprintf(stderr, "regfs: %s%s%s works at a store only: --store DIR, on the machine that has it\n", c->noun,
				c->verb ? " " : "", c->verb ? c->verb : "");
			return EXIT_USAGE;
		}
		if (!row) {
			fprintf(stderr, "regfs: %s %s (`regfs %s%s%s --help` lists the options)\n",
				found == ':' ? "a value is missing after" : "there is no option",
				argv[optind - 1], c->noun, c->verb ? " " : "", c->verb ? c->verb : "");
			return EXIT_USAGE;
		}
		if (row->value)
			*(const char **)(void *)((char *)options + row->offset) = optarg;
		else
			*(bool *)((char *)options + row->offset) = true;
	}
	return -1;
}

static int run(const struct command *c, int argc, char **argv)
{
	_Alignas(max_align_t) char options[COMMAND_OPTIONS_MAX] = { 0 };
	struct err err = ERR_INIT;
	int status = read_options(c, argc, argv, options), count = argc - optind;
	int r;

	if (status >= 0)
		return status;
	if (count < c->min_operands || count > c->max_operands) {
		fprintf(stderr, "usage: regfs %s%s%s [options] %s\n", c->noun, c->verb ? " " : "",
			c->verb ? c->verb : "", c->operands);
		return EXIT_USAGE;
	}
	r = c->run(options, argv + optind, count, &err);
	if (!r)
		return EXIT_DONE;
	if (*err.text)
		print_error(err.text);
	return err_row(err.reason)->exit_status;
}

/*
 * Passwords, tokens and keys pass through: no core file is left, whether in a file or (where the limit says nothing) through
 * a program, and no other process of the same user looks into this one.
 */
static void keep_secrets(void)
{
	const struct rlimit none = { .rlim_cur = 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int main(int argc, char **argv)
{
	const struct command *c;
	int taken = 0;
	bool noun;

	signal(SIGPIPE, SIG_IGN);
	keep_secrets();
	if (argc < 2) {
		print_all(stderr);
		return EXIT_USAGE;
	}
	if (streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help")) {
		print_all(stdout);
		return EXIT_DONE;
	}
	if (streq(argv[1], "--version"))
		argv[1] += 2;
	c = find_command(argv + 1, argc - 1, &taken, &noun);
	if (c)
		return run(c, argc - taken, argv + taken);
	if (noun && argc > 2 && (streq(argv[2], "--help") || streq(argv[2], "-h"))) {
		print_verbs(stdout, argv[1]);
		return EXIT_DONE;
	}
	if (noun && argc > 2)
		fprintf(stderr, "regfs: %s has no verb %s\n", argv[1], argv[2]);
	if (noun)
		print_verbs(stderr, argv[1]);
	else
		fprintf(stderr, "regfs: there is no command %s (`regfs --help` lists them)\n", argv[1]);
	return EXIT_USAGE;
}
