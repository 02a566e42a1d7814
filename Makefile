# fusetsu: `make demo` and `make test` are the two commands; both install what
# they need. `make` builds into build/ with no configure step.

BUILD   ?= build
# Dependencies name objects by their path: it is always the same one.
override BUILD := $(abspath $(BUILD))
PREFIX  ?= /usr/local
DESTDIR ?=
# udev reads no other place but this one and the distribution's own.
RULESDIR ?= $(if $(filter /usr,$(PREFIX)),/usr/lib/udev/rules.d,/etc/udev/rules.d)
CC      ?= cc
ROOMS   := core tpm usb pkcs11 ca cli

PKGS    := tss2-sys tss2-mu tss2-tctildr tss2-rc libcrypto sqlite3 jansson libusb-1.0
WARN    := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes \
           -Wmissing-prototypes -Werror
HARDEN  := -fstack-protector-strong -D_FORTIFY_SOURCE=2
OPT     ?= -O2 -g
SAN     :=
ifeq ($(ASAN),1)
SAN     := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HARDEN  := -fstack-protector-strong
OPT     := -O1 -g
endif
# With clang: the rooms instrumented for libFuzzer, and sanitized.
ifeq ($(FUZZ),1)
SAN     := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined \
           -fno-omit-frame-pointer
HARDEN  := -fstack-protector-strong
OPT     := -O1 -g
endif

ifeq ($(filter clean install-deps deps,$(MAKECMDGOALS)),)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) p11-kit-1 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
endif

# The module has its own SQLite within. A program may bring another one, as Firefox does, whose functions
# would be taken for some of the system's, by name, while those that it lacks are still the system's.
SQLITE_A   := $(wildcard $(shell pkg-config --variable=libdir sqlite3 2>/dev/null)/libsqlite3.a)
MODULE_LIBS = $(if $(SQLITE_A),$(SQLITE_A) $(filter-out -lsqlite3,$(PKG_LIBS)) -lm,$(PKG_LIBS))

ALL_CFLAGS  = -std=c11 -D_GNU_SOURCE -I. $(PKG_CFLAGS) $(OPT) $(WARN) $(HARDEN) $(SAN) \
              -fPIC -fvisibility=hidden $(CFLAGS)
ALL_LDFLAGS = $(SAN) -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)

# Mains belong to their programs.
src   = $(filter-out usb/tokend.c,$(wildcard $(1)/*.c $(1)/*/*.c))
obj   = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIBS  := $(foreach r,core tpm usb pkcs11 ca,$(BUILD)/lib$(r).a)
# Archives in link order: upper rooms first.
ROOM_LIBS := $(foreach r,ca pkcs11 usb tpm core,$(BUILD)/lib$(r).a)

PROGRAM := $(BUILD)/fusetsu
MODULE  := $(BUILD)/fusetsu-pkcs11.so
TOKEND  := $(BUILD)/fusetsu-tokend
TCTI    := $(BUILD)/libtss2-tcti-fusetsu.so.0
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
SUPPORT := $(BUILD)/libtss2-tcti-spy.so $(BUILD)/memsearch $(BUILD)/signloop $(BUILD)/ctxburn \
           $(BUILD)/forge $(BUILD)/forgemany $(BUILD)/tpmforge $(BUILD)/asan_first.so $(BUILD)/conformance $(BUILD)/p11do \
           $(BUILD)/usbstick $(BUILD)/framehost $(BUILD)/usbgadget

all: $(PROGRAM) $(MODULE) $(TCTI) $(TOKEND)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define room_lib
$(BUILD)/lib$(1).a: $(call obj,$(call src,$(1)))
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach r,core tpm usb pkcs11 ca,$(eval $(call room_lib,$(r))))

# The CLI but for its main(), for the tests.
$(BUILD)/libcli.a: $(filter-out %/main.o,$(call obj,$(call src,cli)))
	@rm -f $@
	ar rcs $@ $^

$(PROGRAM): $(call obj,$(call src,cli)) $(ROOM_LIBS)
	$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(PKG_LIBS)

$(MODULE): $(call obj,$(call src,pkcs11)) $(foreach r,usb tpm core,$(BUILD)/lib$(r).a) pkcs11/module.map
	$(CC) $(ALL_LDFLAGS) -shared -Wl,-Bsymbolic -Wl,--version-script=pkcs11/module.map \
	    -Wl,-soname,fusetsu-pkcs11.so -o $@ $(filter %.o %.a,$^) $(MODULE_LIBS) -lpthread

$(TCTI): $(call obj,usb/tcti_lib.c) $(BUILD)/libusb.a $(BUILD)/libcore.a usb/tcti.map
	$(CC) $(ALL_LDFLAGS) -shared -Wl,-Bsymbolic -Wl,--version-script=usb/tcti.map \
	    -Wl,-soname,$(notdir $@) -o $@ $(filter %.o %.a,$^) $(PKG_LIBS) -lpthread

$(TOKEND): $(call obj,usb/tokend.c) $(BUILD)/libusb.a $(BUILD)/libcore.a
	$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(PKG_LIBS) -lseccomp -lpthread

$(BUILD)/tests/%: tests/unit/%.c $(call obj,$(wildcard tests/support/unit_*.c)) $(BUILD)/libcli.a $(ROOM_LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $(filter %.c %.o %.a,$^) \
	    $(PKG_LIBS) -lcmocka -lpthread -ldl

# A TPM that truly is older says so in a session, too, which no TCTI can put on.
$(BUILD)/tests/test_tpm_guard: LDFLAGS += -Wl,--wrap=capability_pin_fail
# Memory that runs out.
$(BUILD)/tests/test_evidence_memory: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

$(BUILD)/fuzz/%: tests/fuzz/%.c $(call obj,$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c))) $(ROOM_LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $(filter %.c %.o %.a,$^) \
	    $(PKG_LIBS) -lpthread

# Test helpers are loaded into foreign processes: never sanitized.
$(BUILD)/libtss2-tcti-spy.so: tests/support/tcti_spy.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -g -fPIC -shared -o $@ $< \
	    $(shell pkg-config --cflags --libs tss2-tctildr tss2-mu)
$(BUILD)/ctxburn: tests/support/ctxburn.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(shell pkg-config --cflags tss2-sys) $(WARN) -g -o $@ $< -ltss2-sys -ltss2-tctildr

$(BUILD)/memsearch: tests/support/memsearch.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -g -o $@ $<
$(BUILD)/signloop $(BUILD)/p11do: $(BUILD)/%: tests/support/%.c pkcs11/p11.h pkcs11/p11_v3.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -I. $(shell pkg-config --cflags p11-kit-1) $(WARN) -g -o $@ $< -ldl

$(BUILD)/asan_first.so: tests/support/asan_first.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -g -fPIC -shared -Wl,-z,initfirst -o $@ $<

# USB tokens that are not there, for processes beside it.
STICK := $(wildcard tests/support/stick/*.c) tests/support/unit_tis.c
$(BUILD)/usbstick: $(STICK) $(wildcard tests/support/stick/*.h) tests/support/unit_tis.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -I. $(WARN) -g -o $@ $(STICK) \
	    $(shell pkg-config --cflags --libs umockdev-1.0)

# The same stick as a device of a kernel, for tests/vm.
$(BUILD)/usbgadget: $(call obj,tests/support/usbgadget.c tests/support/unit_tis.c tests/support/stick/bridge.c tests/support/stick/chip.c) \
    $(BUILD)/libusb.a $(BUILD)/libcore.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lpthread

$(BUILD)/framehost: $(call obj,tests/support/framehost.c tests/support/unit_frame.c) $(BUILD)/libusb.a $(BUILD)/libcore.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Judges any module, ours among others: it shares no code with it, and loads it.
CONFORM := $(patsubst tests/conformance/%.c,$(BUILD)/conform/%.o,$(wildcard tests/conformance/*.c))
$(BUILD)/conform/%.o: tests/conformance/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -I. $(PKG_CFLAGS) $(WARN) -g -MMD -MP -c -o $@ $<
$(BUILD)/conformance: $(CONFORM)
	$(CC) -o $@ $^ -lcmocka -lcrypto -ldl

$(BUILD)/forge: $(call obj,tests/support/forge.c tests/support/unit_forge.c \
    tests/support/unit_forge_statements.c) $(BUILD)/libcore.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(BUILD)/forgemany: $(call obj,tests/support/forgemany.c tests/support/unit_activate.c tests/support/unit_forge.c \
    tests/support/unit_forge_statements.c cli/folder.c) $(BUILD)/libcore.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(BUILD)/tpmforge: $(call obj,tests/support/tpmforge.c) $(BUILD)/libcore.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Writes tests/vectors/evidence anew; what it wrote is committed.
$(BUILD)/vectors: $(call obj,tests/support/vectors.c tests/support/unit_verdict.c \
    tests/support/unit_forge.c tests/support/unit_forge_statements.c) $(BUILD)/libcore.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka
vectors: $(BUILD)/vectors
	@mkdir -p tests/vectors/evidence
	@$(BUILD)/vectors tests/vectors/evidence

# How much what costs, on one core.
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
$(BUILD)/bench/%: tests/bench/%.c $(ROOM_LIBS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $(filter %.c %.a,$^) $(PKG_LIBS)
bench: $(BENCH)
	@for b in $(BENCH); do $$b || exit; done

# --- the two commands, and the rest -----------------------------------------

deps:
	@swtpm-ci/deps

demo: deps
	@$(MAKE) --no-print-directory -s -j2 all $(BUILD)/forge
	@tests/demo

test:
	@swtpm-ci/deps --test
	@tests/run

lint:
	@tests/lint/run

unit: all $(UNIT) $(SUPPORT)
	@tests/run unit

e2e: all $(SUPPORT)
	@tests/run e2e

asan:
	@tests/run asan

# A kernel of our own, in QEMU: real usbfs, udev, resource manager. Some minutes.
vm-test: all support
	@FUSETSU_BUILD=$(BUILD) tests/vm/run

# Kills at every system call and TPM command, and lets memory run out at every allocation; `make
# e2e` and `make unit` take every k-th.
soak: all $(SUPPORT) $(BUILD)/tests/test_evidence_memory
	@SOAK=1 $(BUILD)/tests/test_evidence_memory
	@SOAK=1 FUSETSU_BUILD=$(BUILD) tests/e2e/37-killed-anywhere.sh

# Ten thousand certificates, with kill -9 in between, and how fast that was. Some minutes.
scale: all $(SUPPORT)
	@FUSETSU_BATCH=10000 FUSETSU_BUILD=$(BUILD) tests/e2e/70-batch.sh

# libFuzzer, one target for TARGET=fuzz_calls SECONDS=600; a minute for all of them.
fuzz-build: $(FUZZERS)

fuzz:
	@tests/fuzz/run $(TARGET) $(SECONDS)

fuzz-smoke:
	@tests/fuzz/smoke

support: $(SUPPORT)
unit-build: all $(UNIT) $(SUPPORT)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/pkcs11 \
	    $(DESTDIR)$(PREFIX)/share/p11-kit/modules $(DESTDIR)$(PREFIX)/share/man/man1 \
	    $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7 \
	    $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(RULESDIR) $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/fusetsu
	install -m 755 $(MODULE) $(DESTDIR)$(PREFIX)/lib/pkcs11/fusetsu-pkcs11.so
	install -m 755 $(TOKEND) $(DESTDIR)$(PREFIX)/sbin/fusetsu-tokend
	install -m 755 $(TCTI) $(DESTDIR)$(PREFIX)/lib/$(notdir $(TCTI))
	install -m 644 usb/70-fusetsu.rules $(DESTDIR)$(RULESDIR)/70-fusetsu.rules
	sed 's|@SBIN@|$(PREFIX)/sbin|' usb/fusetsu-tokend.service.in \
	    >$(DESTDIR)$(PREFIX)/lib/systemd/system/fusetsu-tokend.service
	sed 's|@MODULE@|$(PREFIX)/lib/pkcs11/fusetsu-pkcs11.so|' pkcs11/fusetsu.module.in \
	    >$(DESTDIR)$(PREFIX)/share/p11-kit/modules/fusetsu.module
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/fusetsu $(DESTDIR)$(PREFIX)/lib/pkcs11/fusetsu-pkcs11.so \
	    $(DESTDIR)$(PREFIX)/share/p11-kit/modules/fusetsu.module \
	    $(DESTDIR)$(PREFIX)/lib/$(notdir $(TCTI)) $(DESTDIR)$(RULESDIR)/70-fusetsu.rules \
	    $(addprefix $(DESTDIR)$(PREFIX)/share/man/man1/,$(notdir $(wildcard man/*.1))) \
	    $(addprefix $(DESTDIR)$(PREFIX)/share/man/man5/,$(notdir $(wildcard man/*.5))) \
	    $(addprefix $(DESTDIR)$(PREFIX)/share/man/man7/,$(notdir $(wildcard man/*.7))) \
	    $(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,$(notdir $(wildcard man/*.8))) \
	    $(DESTDIR)$(PREFIX)/sbin/fusetsu-tokend $(DESTDIR)$(PREFIX)/lib/systemd/system/fusetsu-tokend.service

clean:
	rm -rf $(BUILD)

.PHONY: vectors bench all deps demo test lint unit e2e asan vm-test soak scale fuzz fuzz-smoke fuzz-build support unit-build install uninstall clean
.SECONDARY:

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
