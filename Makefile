# SPDX-License-Identifier: Apache-2.0
# Every entry point of the project; `make help` lists them.

# The release that CHANGELOG.md begins with; a checkout between releases has a version of its own.
RELEASE := 0.3.0
VERSION := $(shell packaging/version $(RELEASE))

, := ,

CC      ?= gcc
BUILD   ?= build
PYTHON  ?= /usr/bin/python3

# Where install puts things: the GNU names, and PREFIX. Settings are read from /etc, whatever the prefix.
PREFIX  ?= /usr
prefix        = $(PREFIX)
exec_prefix   = $(prefix)
bindir        = $(exec_prefix)/bin
datarootdir   = $(prefix)/share
mandir        = $(datarootdir)/man
sysconfdir    = /etc
unitdir       = $(prefix)/lib/systemd/system
catalogdir    = $(prefix)/lib/systemd/catalog
completiondir = $(datarootdir)/bash-completion/completions

PACKAGES := libsystemd json-c libcurl libcrypto inih
# Not where a distribution builds it: its compiler may know warnings that nobody here has seen.
WERROR   ?= -Werror
WARNINGS := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
            -Wundef -Wformat=2 -Wvla
# What distributions build with, as far as this compiler knows it; beyond what CFLAGS from elsewhere bring. Not beside
# the sanitizers.
knows     = $(shell printf '\043include <string.h>\n' | $(CC) -O2 -Werror $(1) -x c -c - -o /dev/null 2>/dev/null && echo '$(1)')
ifeq ($(origin HARDENING),undefined)
HARDENING := -U_FORTIFY_SOURCE $(or $(call knows,-D_FORTIFY_SOURCE=3),-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE \
             $(foreach f,-fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero,$(call knows,$f))
endif
SANITIZE  := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
COVERAGE  := -O0 --coverage

CFLAGS   ?= -O2 -g
LDFLAGS  ?= -pie -Wl,-z,relro,-z,now
# A header is included by its room: "credentials/helper.h".
INCLUDES := -Icommon -Idaemon -Itests/unit
override CPPFLAGS += -D_GNU_SOURCE -DVERSION='"$(VERSION)"' $(INCLUDES) $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
# The same bytes wherever it is built.
override CFLAGS   += -std=c17 $(WARNINGS) $(HARDENING) -ffile-prefix-map=$(CURDIR)=.
LIBS     := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -linotifytools

COMMON_SOURCES := $(wildcard common/*/*.c)
DAEMON_SOURCES := $(wildcard daemon/*.c daemon/*/*.c)
TEST_SOURCES   := $(wildcard tests/unit/*/test-*.c)
WALK_SOURCES   := tests/unit/decision/walk.c
FUZZ_SOURCES   := $(wildcard tests/fuzz/*.c)
BENCH_SOURCES  := $(wildcard tests/bench/*.c)
SOURCES        := $(COMMON_SOURCES) $(DAEMON_SOURCES) $(TEST_SOURCES) $(WALK_SOURCES) $(FUZZ_SOURCES) $(BENCH_SOURCES)
HEADERS        := $(wildcard common/*/*.h daemon/*.h daemon/*/*.h tests/unit/*.h tests/unit/*/*.h tests/fuzz/*.h tests/bench/*.h)

COMMON_OBJECTS := $(COMMON_SOURCES:%.c=$(BUILD)/%.o)
DAEMON_OBJECTS := $(DAEMON_SOURCES:%.c=$(BUILD)/%.o)
UNIT_TESTS     := $(TEST_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)
WALK           := $(WALK_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)

# Manual pages are made where scdoc is there to make them; the source of an rpm has them made already.
MAN_SOURCES := $(wildcard packaging/man/*.scd)
MAN_PAGES   := $(if $(shell command -v scdoc),$(MAN_SOURCES:packaging/man/%.scd=$(BUILD)/man/%),$(wildcard $(MAN_SOURCES:%.scd=%)))

# A line for each file; make V=1 shows the commands.
V ?= 0
ifeq ($(V),0)
Q := @
endif
say = $(if $(Q),@printf '%-4s %s\n' $(1) $(2))

all: $(BUILD)/ecs-authd $(MAN_PAGES) ## build the daemon

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 20

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# What shows the version is compiled again if the version changes.
VERSION_STAMP := $(BUILD)/version
$(shell mkdir -p $(BUILD) && [ "$$(cat $(VERSION_STAMP) 2>/dev/null)" = '$(VERSION)' ] || echo '$(VERSION)' > $(VERSION_STAMP))
$(patsubst %.c,$(BUILD)/%.o,$(shell grep -lw VERSION $(DAEMON_SOURCES))): $(VERSION_STAMP)

$(BUILD)/ecs-authd: $(COMMON_OBJECTS) $(DAEMON_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/man/%: packaging/man/%.scd
	@mkdir -p $(@D)
	$(call say,MAN,$@)
	$(Q)scdoc < $< > $@

# --- what people run first: both install what they need ---

demo: ## show the main job in a sandbox; installs what it needs
	@packaging/install-dependencies demo
	@$(MAKE) --no-print-directory -s all
	@$(PYTHON) tests/demo/demo.py $(BUILD)/ecs-authd

check: ## install what is needed, build, run every test
	@packaging/install-dependencies check
	@$(PYTHON) tests/run-all.py

check-on: ## half an hour: the same on another release of Debian (SUITE=trixie)
	@packaging/install-dependencies check
	@tests/check-on $(or $(SUITE),trixie)

# --- the parts of `make check` ---

lint: format-check tidy cppcheck includes fixes ## clang-format, clang-tidy, cppcheck, the includes of the design, a test of each fix

format: ## lay the sources out with clang-format
	clang-format -i $(SOURCES) $(HEADERS)

format-check:
	clang-format --dry-run --Werror $(SOURCES) $(HEADERS)

TIDY_STAMPS := $(SOURCES:%.c=$(BUILD)/tidy/%.stamp)

$(BUILD)/tidy/%.stamp: %.c $(HEADERS) .clang-tidy
	@mkdir -p $(@D)
	$(call say,TIDY,$<)
	$(Q)clang-tidy --quiet $< -- $(CPPFLAGS) $(shell pkg-config --cflags cmocka 2>/dev/null) -std=c17
	@touch $@

tidy: $(TIDY_STAMPS)

cppcheck: # memleak: it does not know _cleanup_; LeakSanitizer does
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 --inline-suppr \
	         --suppress=missingIncludeSystem --suppress=memleak -D_GNU_SOURCE '-D__typeof__(x)=void *' $(INCLUDES) \
	         $(COMMON_SOURCES) $(DAEMON_SOURCES)

includes:
	@$(PYTHON) tests/check-includes.py

fixes: # each message that names a fix has a test that applies it
	@$(PYTHON) -B tests/check-fixes.py

$(UNIT_TESTS) $(WALK): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(COMMON_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) $(shell pkg-config --libs cmocka)

# A room of the daemon has all of the daemon to be linked with.
$(foreach room,$(notdir $(wildcard daemon/*)),$(filter $(BUILD)/tests/$(room)/%,$(UNIT_TESTS))): $(filter-out %/main.o,$(DAEMON_OBJECTS))

unit-tests: $(UNIT_TESTS)

# These take three quarters of the time: ROOM= leaves them out, unless SLOW=1.
UNIT_SLOW := $(foreach t,base/test-json credentials/test-run-helpers decision/test-every-history \
             ecsconfig/test-sync,$(BUILD)/tests/$t)
UNIT_RUN  := $(UNIT_TESTS)
ifdef ROOM
UNIT_RUN  := $(filter-out $(if $(SLOW),,$(UNIT_SLOW)),$(filter $(BUILD)/tests/$(ROOM)/%,$(UNIT_TESTS)))
endif

unit-run-tests: $(UNIT_RUN)

unit-run: $(UNIT_RUN:%=%.run)

$(UNIT_RUN:%=%.run): %.run: %
	@tests/unit/run $<

UNIT_MAKE  = $(MAKE) --no-print-directory -s BUILD=$(BUILD)/sanitize CFLAGS="$(SANITIZE) -g" LDFLAGS= HARDENING=

# -k: all of them run even if one fails.
unit-check: ## unit tests with sanitizers, in parallel with -j (ROOM=credentials: one folder without its slow tests; SLOW=1: with them)
	$(if $(UNIT_RUN),,$(error ROOM=$(ROOM): tests/unit has no such folder))
	@$(UNIT_MAKE) $(if $(ROOM),,all) unit-run-tests
	@$(UNIT_MAKE) -k --output-sync=target unit-run

walk: $(WALK) ## some minutes: random walks through the decision, shrunk if they break something (WALK_STEPS= per kind of host, WALK_SEED=)
	$(Q)$(WALK) $(or $(WALK_STEPS),1000000) $(or $(WALK_SEED),1)

mutate: export COMPILE = $(CC) $(CPPFLAGS) -std=c17 $(WARNINGS)
mutate: export SANITIZE := $(SANITIZE)
mutate: export LIBS := $(LIBS) $(shell pkg-config --libs cmocka 2>/dev/null)
mutate: ## half an hour: change common/ in one place at a time, show what no unit test notices (ROOM= WORD= SAMPLE= SEED= AGAIN=)
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/mutate CFLAGS=-O1 LDFLAGS= HARDENING= unit-tests
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/sanitize CFLAGS="$(SANITIZE) -g" LDFLAGS= HARDENING= unit-tests
	@BUILD=$(BUILD) $(PYTHON) -B tests/mutate.py

bus-check: all ## the daemon on a private bus, with sanitizers; what is measured of it, without
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/sanitize CFLAGS="$(SANITIZE) -g" LDFLAGS= HARDENING= all
	ECS_AUTHD=$(CURDIR)/$(BUILD)/sanitize/ecs-authd ECS_AUTHD_PLAIN=$(CURDIR)/$(BUILD)/ecs-authd \
	        $(PYTHON) -m pytest -q -p no:cacheprovider -n 2 tests/bus

conformance-check: ## credential files of many tools, through every reader of ecs.config, to what the agent pulls with
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/sanitize CFLAGS="$(SANITIZE) -g" LDFLAGS= HARDENING= all
	ECS_AUTHD=$(CURDIR)/$(BUILD)/sanitize/ecs-authd $(PYTHON) -m pytest -q -p no:cacheprovider tests/conformance

recipes-check: all ## the recipes of packaging/recipes, with stand-ins for what they ask
	ECS_AUTHD=$(CURDIR)/$(BUILD)/ecs-authd $(PYTHON) -m pytest -q -p no:cacheprovider tests/recipes

packages-check: all ## what make install, deb and rpm make
	ECS_AUTHD=$(CURDIR)/$(BUILD)/ecs-authd $(PYTHON) -m pytest -q -p no:cacheprovider tests/packages

# What waits for minutes: AWS that is away, the pauses between two restarts, a swap cut off at each of its steps.
HOST_LONG := $(foreach t,aws_away distance_of_restarts down_after_a_restart leases method_docker method_docker_cut_off user_data,tests/host/test_$t.py)

host-check: all ## a real systemd, Docker Engine and registry
	ECS_AUTHD=$(CURDIR)/$(BUILD)/ecs-authd $(PYTHON) -m pytest -q -p no:cacheprovider -n 3 --dist loadfile $(HOST_LONG:%=--ignore=%) tests/host

host-long-check: all ## the same, for what takes too long to be part of check
	ECS_AUTHD=$(CURDIR)/$(BUILD)/ecs-authd $(PYTHON) -m pytest -q -p no:cacheprovider -n 3 --dist loadfile $(HOST_LONG)

torture: all ## half an hour: failing calls, hostile files and peers, kills at each step, and a table of what held
	@ECS_AUTHD=$(CURDIR)/$(BUILD)/ecs-authd $(PYTHON) tests/torture/torture.py

torture-check: all ## a sample of it, a minute or two
	@ECS_AUTHD=$(CURDIR)/$(BUILD)/ecs-authd $(PYTHON) tests/torture/torture.py --short

# --- fuzzing: libFuzzer comes with clang ---

FUZZERS      := $(patsubst tests/fuzz/fuzz-%.c,%,$(wildcard tests/fuzz/fuzz-*.c))
FUZZ_SECONDS ?= 600
FUZZ_CORPUS  ?= $(BUILD)/fuzz-corpus
FUZZ_FLAGS   := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_WRAPPED := open openat read write fsync fstat fchmod renameat renameat2 sd_id128_get_boot \
                pthread_create pthread_clockjoin_np
FUZZ_LDFLAGS  = -fsanitize=fuzzer $(FUZZ_WRAPPED:%=-Wl,--wrap=%)
FUZZ_PARTS   := $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/fuzz/fuzz-%,$(wildcard tests/fuzz/*.c)))
# The seeds are of that version.
FUZZ_MAKE     = $(MAKE) VERSION=0.1.0 --no-print-directory -s BUILD=$(BUILD)/fuzz CC=clang CFLAGS="$(FUZZ_FLAGS)" LDFLAGS= HARDENING= fuzzers

$(BUILD)/fuzzer/%: $(BUILD)/tests/fuzz/fuzz-%.o $(FUZZ_PARTS) $(COMMON_OBJECTS) $(filter-out %/main.o,$(DAEMON_OBJECTS))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) $(FUZZ_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/fuzzer/bus: FUZZ_WRAPPED += sd_bus_open_system sd_event_add_time

fuzzers: $(FUZZERS:%=$(BUILD)/fuzzer/%)

fuzz: ## each fuzz target for FUZZ_SECONDS= (600); what is new is kept in FUZZ_CORPUS= (build/fuzz-corpus)
	@$(FUZZ_MAKE)
	@for f in $(FUZZERS); do tests/fuzz/run $(BUILD)/fuzz/fuzzer/$$f $(FUZZ_SECONDS) $(FUZZ_CORPUS) || exit 1; done

fuzz-check: ## each fuzz target for a moment
	@$(FUZZ_MAKE)
	@for f in $(FUZZERS); do tests/fuzz/run $(BUILD)/fuzz/fuzzer/$$f 3 || exit 1; done

fuzz-every: ## many minutes: in each seed each system call fails in turn
	@$(FUZZ_MAKE)
	@for f in $(FUZZERS); do tests/fuzz/run $(BUILD)/fuzz/fuzzer/$$f every || exit 1; done

fuzz-merge: ## take into the seeds what is new in FUZZ_CORPUS= and reaches more of the code
	@$(FUZZ_MAKE)
	@for f in $(FUZZERS); do tests/fuzz/merge $(BUILD)/fuzz/fuzzer/$$f $(FUZZ_CORPUS) || exit 1; done

coverage: ## lines and branches of common/ that the unit tests reach; a floor for the branches
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/coverage CFLAGS="$(COVERAGE) -g" LDFLAGS=--coverage HARDENING= unit-tests
	@BUILD=$(BUILD) $(PYTHON) tests/coverage.py

# --- what it costs, beside what people would use instead: never a test ---

BENCH_PROGRAMS := $(BENCH_SOURCES:tests/bench/%.c=$(BUILD)/bench/%)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(COMMON_OBJECTS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

bench-programs: $(BENCH_PROGRAMS)

bench: ## a quarter of an hour on a quiet machine: latency, work, rest, start, live, a fleet (BENCH=--help)
	@packaging/install-dependencies bench
	@$(MAKE) --no-print-directory -s all bench-programs
	@$(PYTHON) tests/bench/bench.py $(BENCH) $(BUILD)

bench-page: ## the same, into tests/bench/README.md
	@$(MAKE) --no-print-directory bench BENCH="--page tests/bench/README.md $(BENCH)"

pictures: all ## the terminal pictures of README.md, from real runs
	@$(PYTHON) tests/demo/pictures.py $(BUILD)/ecs-authd packaging/pictures

# --- install ---

install: all ## program, unit, settings, manual pages (DESTDIR=, PREFIX=, and the GNU directory variables)
	install -D -m 755 $(BUILD)/ecs-authd $(DESTDIR)$(bindir)/ecs-authd
	install -d -m 755 $(DESTDIR)$(unitdir)
	sed 's|@BINDIR@|$(bindir)|' units/ecs-authd.service.in > $(DESTDIR)$(unitdir)/ecs-authd.service
	chmod 644 $(DESTDIR)$(unitdir)/ecs-authd.service
	install -D -m 644 units/ecs-authd.catalog $(DESTDIR)$(catalogdir)/ecs-authd.catalog
	install -D -m 644 packaging/completions/ecs-authd $(DESTDIR)$(completiondir)/ecs-authd
	for page in $(MAN_PAGES); do \
	        install -D -m 644 $$page $(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/} || exit 1; \
	done
	@# Settings that somebody has changed stay.
	test -e $(DESTDIR)$(sysconfdir)/ecs-authd.conf || install -D -m 644 conf/ecs-authd.conf $(DESTDIR)$(sysconfdir)/ecs-authd.conf
	install -d -m 755 $(DESTDIR)$(sysconfdir)/ecs-authd.conf.d
	@# Where the agent's package has not been yet: the unit may write only into a directory that is there.
	test -d $(DESTDIR)$(sysconfdir)/ecs || install -d -m 755 $(DESTDIR)$(sysconfdir)/ecs
	@# A package does the rest in its own way.
	@test -n "$(DESTDIR)" || packaging/after-install

uninstall: ## what install brought, but for the settings (DESTDIR=, PREFIX= as then)
	@test -e $(DESTDIR)$(bindir)/ecs-authd || echo "There is no $(DESTDIR)$(bindir)/ecs-authd: was it installed with another PREFIX=?"
	rm -f $(DESTDIR)$(bindir)/ecs-authd $(DESTDIR)$(unitdir)/ecs-authd.service \
	      $(DESTDIR)$(catalogdir)/ecs-authd.catalog $(DESTDIR)$(completiondir)/ecs-authd \
	      $(DESTDIR)$(mandir)/man8/ecs-authd.8 $(DESTDIR)$(mandir)/man5/ecs-authd.conf.5 \
	      $(DESTDIR)$(mandir)/man7/ecs-authd-troubleshooting.7
	@test -n "$(DESTDIR)" || journalctl --update-catalog || true

version: ## print the version of this checkout
	@echo $(VERSION)

deb: ## the Debian package, below build/packages/deb; needs debhelper and what packaging/debian/control names
	@packaging/build-deb $(VERSION) $(CURDIR)/$(BUILD)/packages/deb $(SUFFIX)

rpm: ## the rpm, below build/packages/rpm; needs rpmbuild, systemd-rpm-macros, scdoc and what the spec names
	@packaging/build-rpm $(VERSION) $(CURDIR)/$(BUILD)/packages/rpm -ba

srpm: ## the source of it alone, with the manual pages made: for rpmbuild --rebuild where there is no scdoc
	@packaging/build-rpm $(VERSION) $(CURDIR)/$(BUILD)/packages/rpm -bs

release: ## all that a server offers to hosts, below build/release: packages, repositories, signatures (KEY=KEY-ID or KEY=none)
	@packaging/install-dependencies release
	@packaging/release $(VERSION) $(CURDIR)/$(BUILD)/release '$(KEY)'

compile_commands.json: ## for editors
	bear -- $(MAKE) --no-print-directory BUILD=$(BUILD)/bear all unit-tests

clean: ## remove what was built
	rm -rf $(BUILD) compile_commands.json

.PHONY: all help demo check check-on lint format format-check tidy cppcheck includes fixes unit-tests unit-run-tests unit-run $(UNIT_RUN:%=%.run) unit-check walk mutate conformance-check bus-check recipes-check packages-check host-check host-long-check torture torture-check fuzzers fuzz fuzz-check fuzz-every fuzz-merge coverage bench bench-page bench-programs pictures \
        install uninstall version deb rpm srpm release compile_commands.json clean
.SECONDARY:

-include $(shell find $(BUILD) -path '*/packages/*' -prune -o -type f -name '*.d' -print 2>/dev/null)
