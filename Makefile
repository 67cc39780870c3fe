# regfs: one non-recursive Makefile. `make help` lists what it does.

VERSION  = 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CLANG   ?= clang
SAN     ?=
# Sanitized objects stand beside the ordinary ones: SAN=address,undefined or SAN=thread.
comma   := ,
# make V=1 shows the commands.
Q        = $(if $(V),,@echo "  $(1) $@";)
B       := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
STORE   ?= $(HOME)/.local/share/regfs
MNT     ?= $(HOME)/regfs
LISTEN  ?= 127.0.0.1:5000

PACKAGES = fuse3 libmicrohttpd gnutls libcrypto sqlite3 jansson libisal libzstd libcurl
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lcrypt

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
       -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wcast-qual -Werror=implicit-function-declaration
CFLAGS  ?= -O2 -g
HARDEN   = $(if $(SAN),-fno-omit-frame-pointer,-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DREGFS_VERSION='"$(VERSION)"' -I. \
             $(WARN) $(HARDEN) $(if $(SAN),-fsanitize=$(SAN)) $(CFLAGS) -pthread -fPIE
ALL_LDFLAGS = $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS) -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed

LIB_SRC  := $(wildcard fs/*/*.c)
HTTP_SRC := $(wildcard httpd/*.c)
TOOL_SRC := $(wildcard tools/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC := $(wildcard tests/bench/*.c)
obj = $(patsubst %.c,$(B)/%.o,$(1))
OBJ  := $(call obj,$(LIB_SRC) $(HTTP_SRC) $(TOOL_SRC))
# What unit tests and fuzz targets link with: everything but main().
TESTED := $(call obj,$(LIB_SRC) $(HTTP_SRC))
UNIT   := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRC))
REPLAY := $(patsubst tests/fuzz/fuzz_%.c,$(B)/tests/fuzz/replay_%,$(FUZZ_SRC))
BENCH  := $(patsubst %.c,$(B)/%,$(BENCH_SRC))
FUZZ   := $(patsubst tests/fuzz/%.c,build-fuzz/%,$(FUZZ_SRC))

all: $(B)/regfs

help:
	@echo "make run      install what it needs, build, start on $(LISTEN), mount on $(MNT)"
	@echo "make check    install what the tests need, build, run every test"
	@echo "make          build $(B)/regfs         make install   DESTDIR= PREFIX=$(PREFIX)"
	@echo "make soak     collect garbage under load, for two minutes; merge random images"
	@echo "make bench    measure beside peers    make fuzz      FUZZ_SECONDS=60 each"
	@echo "make lint     clang, cppcheck, mandoc make format    clang-format, in place"
	@echo "SAN=address,undefined or SAN=thread builds beside the ordinary one"

$(B)/regfs: $(OBJ)
	$(call Q,LD)$(CC) $(ALL_LDFLAGS) -o $@ $(OBJ) $(PKG_LIBS)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call Q,CC)$(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(TESTED)
	$(call Q,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(B)/tests/bench/%: $(B)/tests/bench/%.o $(TESTED)
	$(call Q,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lz

$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(TESTED)
	$(call Q,LD)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

# ---- Running ----

run:
	@tests/install-packages build
	@$(MAKE) --no-print-directory -s all
	@exec $(B)/regfs serve --store '$(STORE)' --mount '$(MNT)' --listen '$(LISTEN)' --open

install: all
	install -D -m 755 $(B)/regfs $(DESTDIR)$(PREFIX)/bin/regfs
	for p in man/*.[1-8]; do \
		install -D -m 644 $$p $(DESTDIR)$(PREFIX)/share/man/man$${p##*.}/$${p##*/} || exit 1; \
	done

# ---- Tests ----

check:
	@tests/install-packages build check
	@$(MAKE) --no-print-directory test

test: all unit check-headers
	@REGFS=$(CURDIR)/$(B)/regfs tests/run $(B)

unit: $(UNIT) $(REPLAY)

# Each header compiles by itself.
HEADERS := $(wildcard fs/*/*.h httpd/*.h tools/*.h)
check-headers: $(patsubst %.h,$(B)/%.h.ok,$(HEADERS))
$(B)/%.h.ok: %.h
	@mkdir -p $(@D)
	$(if $(V),,@)echo '#include "fs/base/base.h"' | $(CC) $(ALL_CFLAGS) $(PKG_CFLAGS) -Wno-unused-function \
		-include $< -fsyntax-only -x c - && touch $@

# The stress of garbage collection, for two minutes; random images merged, for five.
soak: all $(B)/tests/unit/test_layer
	@tests/install-packages build check
	@REGFS=$(CURDIR)/$(B)/regfs STRESS_SECONDS=120 tests/stress.t
	@tests/merge-oracle $(B)/tests/unit/test_layer 10000 $$(date +%s)

bench: all
	@tests/install-packages build check bench
	@$(MAKE) --no-print-directory -s bench-programs
	@REGFS=$(CURDIR)/$(B)/regfs tests/bench/run; missed=$$?; tests/bench/run --readme && exit $$missed

bench-programs: $(BENCH)

# ---- Fuzzing: libFuzzer, with address and undefined-behaviour checks ----

FUZZ_SECONDS ?= 60
FUZZ_CFLAGS = $(filter-out -D_FORTIFY_SOURCE=2 -fstack-protector-strong,$(ALL_CFLAGS)) \
              -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
fuzz-obj = $(patsubst %.c,build-fuzz/%.o,$(1))

build-fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call Q,CC)$(CLANG) $(FUZZ_CFLAGS) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

build-fuzz/fuzz_%: build-fuzz/tests/fuzz/fuzz_%.o $(call fuzz-obj,$(LIB_SRC) $(HTTP_SRC))
	$(call Q,LD)$(CLANG) -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(PKG_LIBS)

fuzz:
	@tests/install-packages build fuzz
	@$(MAKE) --no-print-directory fuzz-all

fuzz-all: $(FUZZ)
	@set -e; for f in $(FUZZ); do n=$${f##*/fuzz_}; mkdir -p build-fuzz/corpus/$$n; \
		echo "== $$n"; $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
		-artifact_prefix=build-fuzz/crash-$$n- build-fuzz/corpus/$$n tests/fuzz/corpus/$$n; done

-include $(wildcard build-fuzz/*/*.d build-fuzz/*/*/*.d)

# ---- Keeping house ----

format:
	@tests/install-packages lint
	clang-format -i $(LIB_SRC) $(HTTP_SRC) $(TOOL_SRC) $(HEADERS)

# What it can't see: cleanup attributes, statement expressions, values set through a result checked later.
CPPCHECK_BLIND = --suppress=memleak --suppress=autoVariables --suppress=uninitStructMember \
                 --suppress=uninitvar --suppress=ctuuninitvar --suppress=internalAstError

lint:
	@tests/install-packages build lint
	$(MAKE) --no-print-directory B=build-clang CC=$(CLANG) CFLAGS='-O1 -Werror' all unit
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		$(CPPCHECK_BLIND) --error-exitcode=1 -I. fs httpd tools
	mandoc -T lint -W warning man/*.[1-8]

clean:
	rm -rf build build-*

.PHONY: all help run install check test unit check-headers soak bench bench-programs fuzz fuzz-all format lint clean
.DELETE_ON_ERROR:
.SECONDARY:
