#include "fs/base/base.h"
#include "tools/command.h"
const struct command extract_commands[] = { { 0 } };
