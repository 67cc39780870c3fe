/*
 * platform.h: an image's platform as regfs writes it: "linux/amd64", "linux/arm64/v8".
 */
#ifndef REGFS_PLATFORM_H
#define REGFS_PLATFORM_H

#include "fs/base/json.h"
#include "fs/base/limits.h"

/*
 * From an object with os, architecture and variant (a descriptor's platform, a config).
 * It becomes a file's name: characters other than letters, digits, '.', '_' and '-' become
 * '_', and it is cut to LIMIT_PLATFORM. "" where os or architecture isn't said.
 * Returns out.
 */
char *platform_format(const struct json *object, char out[static LIMIT_PLATFORM + 1]);

#endif
