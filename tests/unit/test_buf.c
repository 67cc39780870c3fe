/*
 * test_buf.c: the buffer that grows.
 */
#include "fs/base/base.h"
#include "fs/base/buf.h"
#include "tests/unit/tap.h"

static void test_empty(void)
{
	auto_buf struct buf b = BUF_INIT;
	auto_free char *s = NULL;

	is_str(b.data, "", "an empty buffer is a string");
	is_int(buf_error(&b), 0, "and no error");
	buf_truncate(&b, 0);
	buf_reset(&b);
	buf_add(&b, NULL, 0);
	is_int((int64_t)b.len, 0, "adding nothing");
	s = buf_steal(&b);
	is_str(s, "", "an empty buffer's string is the caller's all the same");
	ok(s != buf_empty, "and can be freed");
}

static void test_add(void)
{
	auto_buf struct buf b = BUF_INIT;
	char *before;

	buf_add(&b, "ab\0c", 4);
	is_int((int64_t)b.len, 4, "bytes, NUL included");
	ok(memcmp(b.data, "ab\0c", 5) == 0, "and a NUL behind them");
	buf_truncate(&b, 2);
	buf_adds(&b, "cd");
	buf_addc(&b, 'e');
	buf_addf(&b, "-%d-%s", 42, "x");
	is_str(b.data, "abcde-42-x", "strings, characters, formats");
	buf_truncate(&b, 99);
	is_int((int64_t)b.len, 10, "a truncation to more than there is does nothing");
	before = b.data;
	buf_reset(&b);
	is_str(b.data, "", "reset empties");
	ok(b.data == before, "and keeps the memory");
	buf_release(&b);
	buf_adds(&b, "again");
	is_str(b.data, "again", "released: usable");
}

static void test_grow(void)
{
	auto_buf struct buf b = BUF_INIT;
	bool same = true;

	for (int i = 0; i < 100000; i++)
		buf_addc(&b, (char)('a' + i % 26));
	for (int i = 0; i < 100000; i++)
		same = same && b.data[i] == 'a' + i % 26;
	is_int((int64_t)b.len, 100000, "100,000 characters");
	ok(same && b.data[b.len] == '\0', "are all there");
	/* A format that fills the room exactly needs one more for its NUL. */
	buf_release(&b);
	for (int i = 0; i < 200; i++) {
		buf_addf(&b, "%c", 'x');
		if (b.len >= b.cap || b.data[b.len])
			break;
	}
	is_int((int64_t)b.len, 200, "one by one, over every size of memory");
}

static void test_fail(void)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, "kept");
	buf_reserve(&b, SIZE_MAX - 2);
	is_int(buf_error(&b), -ENOMEM, "more than memory can address");
	buf_adds(&b, "more");
	is_str(b.data, "kept", "after a failure nothing is added");
	is_int(buf_error(&b), -ENOMEM, "and the failure sticks");
	ok(!buf_steal(&b), "nothing can be taken");
	is_int(buf_error(&b), 0, "which empties it");
	buf_reserve(&b, PTRDIFF_MAX);
	is_int(buf_error(&b), -ENOMEM, "one byte more than malloc gives");
	buf_release(&b);
	is_int(buf_error(&b), 0, "release forgets a failure");
}

int main(void)
{
	test_empty();
	test_add();
	test_grow();
	test_fail();
	return done_testing();
}
