/*
 * guard.c: which addresses are mapped files', where a handler of SIGBUS can ask it: in places that are never freed, and are taken and left
 * with a lock that the handler doesn't need.
 */
#include "fs/base/base.h"
#include "fs/image/guard.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define PLACES 512

struct place {
	atomic_uintptr_t start, end;	/* start 0: free */
	_Atomic(atomic_bool *) lost;
};

struct places {
	struct place each[PLACES];
	struct places *_Atomic next;
};

static struct places first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* for taking and leaving places */
static struct sigaction before;
static uintptr_t page_size;

static struct place *find(uintptr_t address)
{
	for (struct places *p = &first; p; p = atomic_load(&p->next))
		for (size_t i = 0; i < PLACES; i++)
			if (atomic_load(&p->each[i].start) <= address && address < atomic_load(&p->each[i].end))
				return &p->each[i];
	return NULL;
}

/* In the thread that has touched the page. */
static void take_signal(int number, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	struct place *p = info->si_code > 0 ? find(address) : NULL;	/* else somebody has sent it */
	int errnum = errno;

	if (p && mmap((void *)(address & ~(page_size - 1)), page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
			 MAP_FAILED) {
		atomic_store(atomic_load(&p->lost), true);
		errno = errnum;
		return;
	}
	/* Touched again, it is no longer ours. */
	(void)context;
	sigaction(SIGBUS, &before, NULL);
	if (info->si_code <= 0)
		raise(number);
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = take_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &before);
}

/* With the lock held; NULL: no memory. */
static struct place *take_place(void)
{
	for (struct places *p = &first;; p = atomic_load(&p->next)) {
		for (size_t i = 0; i < PLACES; i++)
			if (!atomic_load(&p->each[i].start))
				return &p->each[i];
		if (!atomic_load(&p->next))
			atomic_store(&p->next, calloc(1, sizeof(*p)));
		if (!atomic_load(&p->next))
			return NULL;
	}
}

int guard_map(int fd, size_t size, atomic_bool *lost, const void **out, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct place *p;
	void *map;

	pthread_once(&once, install);
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, errno, "can't map a file");
	pthread_mutex_lock(&lock);
	p = take_place();
	if (p) {
		/* Nothing lies in it until its end is there. */
		atomic_store(&p->lost, lost);
		atomic_store(&p->start, (uintptr_t)map);
		atomic_store(&p->end, (uintptr_t)map + size);
	}
	pthread_mutex_unlock(&lock);
	if (!p) {
		munmap(map, size);
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	*out = map;
	return 0;
}

void guard_unmap(const void *map, size_t size)
{
	struct place *p;

	pthread_mutex_lock(&lock);
	p = find((uintptr_t)map);
	atomic_store(&p->end, 0);
	atomic_store(&p->start, 0);
	pthread_mutex_unlock(&lock);
	munmap((void *)(uintptr_t)map, size);
}
