/*
 * pack.h: writes tar archives: POSIX ustar, and pax records (IEEE Std 1003.1-2017, pax) where that doesn't hold what there is.
 *
 * What tar.h, GNU tar and bsdtar read back as it was: names beyond ustar's, and UTF-8 ones; large numbers; times with a fraction or
 * before 1970; extended attributes as SCHILY.xattr.*; sparse files as GNU's PAX format 1.0. A name that isn't UTF-8 stands as it
 * is, in the ustar header where it fits, else under hdrcharset=BINARY.
 */
#ifndef REGFS_PACK_H
#define REGFS_PACK_H

#include "fs/image/tar.h"

#define PACK_BLOCK 512

/*
 * Appends what stands before an entry's data: headers, and the map of a sparse file. Behind it come the bytes of a file, of a
 * sparse one those of its extents (whose `data` has no meaning here), one behind the other, and pack_padding(). The path of a
 * directory ends in a slash. Of attributes whose names hold a '=', which no record can name, *left_out counts those.
 */
int pack_header(struct buf *out, const struct tar_entry *entry, int64_t *left_out, struct err *err) MUST_CHECK;
/* Appends the zeros behind `size` bytes of data; sparse: of all extents together. */
void pack_padding(struct buf *out, int64_t size);
/* Appends the end of the archive. */
void pack_end(struct buf *out);

#endif
