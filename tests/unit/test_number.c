/*
 * test_number.c: numbers of nodes, hidden and found again.
 */
#include "fs/base/base.h"
#include "fs/mount/number.h"
#include "tests/unit/tap.h"

#define MANY 20000

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void test_one_to_one(const struct numbers *n)
{
	static uint64_t shown[MANY];
	size_t wrong = 0, same = 0, equal = 0, ascending = 0;

	for (size_t i = 0; i < MANY; i++) {
		uint64_t node = (uint64_t)53 << 56 | i;

		shown[i] = number_shown(n, node);
		wrong += number_node(n, shown[i]) != node;
		wrong += number_shown(n, number_node(n, i)) != i;
		same += shown[i] == node;
		ascending += i && shown[i] > shown[i - 1];
	}
	is_int((long)wrong, 0, "each is found again, and each number is some node's");
	is_int((long)same, 0, "none is itself");
	ok(ascending > MANY / 2 - 500 && ascending < MANY / 2 + 500, "they aren't in the order of the nodes");
	qsort(shown, MANY, sizeof(shown[0]), compare);
	for (size_t i = 1; i < MANY; i++)
		equal += shown[i] == shown[i - 1];
	is_int((long)equal, 0, "no two are the same");
}

static void test_places(const struct numbers *a, const struct numbers *b)
{
	size_t wrong = 0, large = 0, same = 0;

	for (uint64_t i = 1; i < MANY; i++) {
		uint64_t place = (uint64_t)1 << 48 | i, shown = place_shown(a, place);

		wrong += place_of(a, shown) != place || place_shown(a, place_of(a, i)) != i;
		large += shown >> 62 != 0;
		same += shown == place || shown == place_shown(b, place) || shown == number_shown(a, place);
	}
	is_int((long)wrong, 0, "places are found again");
	is_int((long)large, 0, "each is an offset");
	is_int((long)same, 0, "and says nothing");
	ok(place_shown(a, 0) == 0 && place_of(a, 0) == 0, "the beginning is itself");
}

int main(void)
{
	static const uint64_t ends[] = { 2, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX - 1, UINT64_MAX };
	struct numbers plain = { .hidden = false }, a = plain, b = plain;

	ok(number_shown(&plain, 42) == 42 && number_node(&plain, 42) == 42, "as they are, unless they are hidden");
	is_int(numbers_hide(&a, NULL), 0, "a secret");
	is_int(numbers_hide(&b, NULL), 0, "another");
	test_one_to_one(&a);
	test_places(&a, &b);
	for (uint64_t i = 0; i < 2; i++)
		ok(number_shown(&a, i) == i && number_node(&a, i) == i, "%d is FUSE's own", (int)i);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		ok(number_node(&a, number_shown(&a, ends[i])) == ends[i], "%llx", (unsigned long long)ends[i]);
	ok(number_shown(&a, 42) != number_shown(&b, 42), "each secret makes others of them");
	return done_testing();
}
