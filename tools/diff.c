#include "fs/base/base.h"
#include "tools/command.h"
const struct command diff_commands[] = { { 0 } };
