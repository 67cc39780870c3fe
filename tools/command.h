/*
 * command.h: what the subcommands share: options as tables, the store, output.
 *
 * A subcommand is a row of the table in regfs.c. Its options are rows of a table of its own; they are read
 * from the command line and, for serve, from a file, into a structure of the subcommand's.
 */
#ifndef REGFS_COMMAND_H
#define REGFS_COMMAND_H

#include "fs/base/buf.h"
#include "fs/base/size.h"
#include "fs/tree/tree.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_NO = 1,		/* the answer is no */
	EXIT_USAGE = 2,
	EXIT_REFUSED = 3,
	EXIT_FAILED = 4,
};

struct option_row {
	const char *name;	/* without the dashes; also in the configuration file; NULL ends a table */
	char letter;		/* or 0 */
	const char *value;	/* what the help calls its value; NULL: a flag; DIR, FILE: a path */
	size_t offset;		/* of a const char * (value) or a bool (flag) */
	const char *help;
};

struct command {
	const char *noun, *verb;	/* "repo", "list"; verb NULL: the noun alone */
	const char *operands;		/* for the help: "NAME", "REF TAG", "" */
	int min_operands, max_operands;
	const struct option_row *options;
	const char *summary;
	const char *details;		/* or NULL */
	/* A failure whose text is empty has said what there is to say: it is the exit status only. */
	int (*run)(const void *options, char **operands, int count, struct err *err);
};

#define COMMAND_OPTIONS_MAX 512	/* bytes of a subcommand's structure of options */
#define COMMAND_ROWS_MAX 48	/* rows of one table, without the empty one */

/* The rows that stand in the file of the subcommands; each table ends in an empty row. */
extern const struct command serve_commands[], mount_commands[], registry_commands[],
	repo_commands[], tag_commands[], image_commands[], upkeep_commands[], look_commands[], diff_commands[], extract_commands[],
	people_commands[], token_commands[], grant_commands[], audit_commands[], history_commands[], undo_commands[], prune_commands[], login_commands[],
	watch_commands[], hook_commands[];

/* A configuration file that was read: what its values live in, and where they stood. */
struct config_file {
	const char *path;			/* borrowed; NULL: none was read */
	char *text;
	char *expanded[COMMAND_ROWS_MAX];	/* by the row of the table: a path that began with ~/ */
	int lines[COMMAND_ROWS_MAX];		/* likewise; 0: the value is not of the file */
};

/* Reads `name = value` lines into a structure, by its table; a flag's value is yes or no, and ~/ before a path
 * is the home directory. What the structure has stays. Values live as long as *out. ERR_USAGE names the file
 * and the line. */
int config_read(const char *path, const struct option_row *rows, void *options, struct config_file *out,
		struct err *err) MUST_CHECK;
/* Puts the file and the line before the text of an error that comes from a value of the file (err->option). */
void config_blame(const struct config_file *c, const struct option_row *rows, struct err *err);
void config_release(struct config_file *c);
#define auto_config CLEANUP(config_release)

/* A duration such as 90s or 7d, as nanoseconds; text NULL: `otherwise`. ERR_USAGE names the option, which is given without --. */
int option_duration(const char *name, const char *text, int64_t otherwise, int64_t *out,
		    struct err *err) MUST_CHECK;
/* A number from 1 on; text NULL: `otherwise`. ERR_USAGE says what it is ("-n takes a number from 1 on"), and what was given. */
int option_number(const char *what, const char *text, int64_t otherwise, int64_t *out, struct err *err) MUST_CHECK;
/* A number of bytes (size.h); text NULL: `otherwise`. */
int option_size(const char *name, const char *text, int64_t otherwise, int64_t *out,
		struct err *err) MUST_CHECK;

/* All of a file ("-": standard input) that is to have at most so many bytes: of a longer one a byte more. */
int read_input(const char *path, size_t limit, struct buf *out, struct err *err) MUST_CHECK;

#define DEFAULT_GC_GRACE (3600 * INT64_C(1000000000))

/* ---- Options of the subcommands that look at a store, or at a server ---- */

struct store_options {
	const char *store;	/* first; NULL: $REGFS_STORE, else the default */
	const char *server;	/* NULL: none was named */
	const char *ca;		/* NULL: the system's authorities */
	bool json;
	bool dry_run;
};

#define STORE_OPTION(type, member)                                                          \
	{ "store", 0, "DIR", offsetof(type, member),                                        \
	  "the store (default: $REGFS_STORE, else ~/.local/share/regfs)" }
/* For those that work at a server, too (session.h). `member` is the store's of a struct store_options. */
#define PLACE_OPTIONS(type, member)                                                                           \
	STORE_OPTION(type, member),                                                                           \
	{ "server", 0, "URL", offsetof(type, member) + offsetof(struct store_options, server),                \
	  "work at a server, with one's own rights (default: $REGFS_SERVER, else where `regfs login` was last)" }, \
	{ "ca", 0, "FILE", offsetof(type, member) + offsetof(struct store_options, ca),                       \
	  "believe the authorities in this file (default: the system's)" }
extern const struct option_row look_options[];		/* --store, --server, --json: struct store_options */
extern const struct option_row change_options[];	/* and -n, --dry-run */

/* The store's directory by option, environment, default; the caller frees it. */
int store_path(const char *option, char **out, struct err *err) MUST_CHECK;
/* $HOME, else the user's of passwd(5). */
const char *home_directory(void);
/* Opens an existing one. ERR_USAGE: a server is named, and this works at a store. */
int open_store(const struct store_options *options, struct tree **out, struct err *err) MUST_CHECK;
DEFINE_CLEANUP(cleanup_tree, struct tree *, tree_close)
#define auto_tree CLEANUP(cleanup_tree)

struct cred command_cred(void);

/* The exit status for "the answer is no", where nothing more is to be said. */
int answer_no(struct err *err) MUST_CHECK;

/* ---- Output ---- */

/* A table: cells row by row, the first row being the header; aligned when it is printed. */
struct table {
	struct buf cells;	/* each with its NUL */
	size_t columns;
};
void table_add(struct table *t, const char *cell);
void table_addf(struct table *t, const char *fmt, ...) PRINTF(2, 3);
int table_print(struct table *t, struct err *err) MUST_CHECK;
void table_release(struct table *t);

/* Adds to a sum of sizes, which images say as they like: it stops at what an int64_t holds. */
void size_add(int64_t *sum, int64_t size);

/* Whether it is time for another line of progress on standard error: it is a terminal, and the last one is a while ago. */
bool progress_due(int64_t *last);
/* Takes the line away, if there was one. */
void progress_end(int64_t last);

/* Whether standard output may have colour: it is a terminal, and NO_COLOR isn't set. */
bool use_colour(void);
/* Columns that a text takes on a terminal. */
size_t text_width(const char *s);

/* Writes a JSON document (and a newline) to standard output. */
int print_json(const struct buf *json, struct err *err) MUST_CHECK;
/* "key":"value" and "key":number, with the comma where one is needed. */
void json_add_text(struct buf *b, const char *key, const char *value);
void json_add_number(struct buf *b, const char *key, int64_t value);
void json_add_digest(struct buf *b, const char *key, const struct digest *d);	/* nothing for DIGEST_NONE */
void json_add_time(struct buf *b, const char *key, int64_t t);			/* nothing for 0 */

/* A listing as both: a table for people and a JSON array; `json` chooses which is printed. */
struct output {
	bool json;
	struct table table;
	struct buf array;
};
/* `header`: the table's, `columns` of them. */
void output_begin(struct output *o, bool json, const char *const *header, size_t columns);
/* Begins the next object of the array; end it with buf_addc(&o->array, '}'). */
void output_object(struct output *o);
int output_print(struct output *o, struct err *err) MUST_CHECK;
void output_release(struct output *o);
#define auto_output CLEANUP(output_release)

/* "regfs: " and a text on standard error; what a terminal would obey is escaped, since texts hold names that others chose. */
void print_error(const char *text);

/* What a change did, or (dry_run) would do: one line, or a JSON document. */
int report_change(const struct store_options *options, const char *done, const char *what,
		  struct err *err) MUST_CHECK;

#endif
