# The door to everything. On a fresh Debian machine, as root: `make demo`, `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
# else make would compile plugins/ebpf_guard.bpf.c for this machine, over the object beside it
MAKEFLAGS += --no-builtin-rules
BUILD := build
BIN := $(BUILD)/venv/bin
VERSION := $(shell sed -n 's/^version: //p' galaxy.yml)
ARTIFACT := $(BUILD)/dist/loopbreak-deploy-$(VERSION).tar.gz
COLLECTIONS := $(BUILD)/collections
INSTALLED := $(COLLECTIONS)/ansible_collections/loopbreak/deploy
OBJECTS := ebpf_guard.bpf.o ebpf_guard_files.bpf.o ebpf_guard_unix.bpf.o ebpf_guard_unix_cgroup.bpf.o
SOURCE_FOR_BCC := ebpf_guard.bpf.c
ABI := plugins/module_utils/_abi.py
BPF_SOURCES := $(wildcard bpf/*.c bpf/*.h bpf/*.py)
CLANG := clang-14
# the map of prefixes keeps the place of the checkout out of the object: every machine makes the same bytes
CLANG_FLAGS := -O2 -g -ffile-prefix-map=$(CURDIR)/= -target bpf -mcpu=v2 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/$(shell uname -m)-linux-gnu
# what the collection is made of: a change in it makes a new artifact
CONTENTS := $(shell git ls-files -co --exclude-standard -- plugins roles playbooks scripts meta bpf docs changelogs galaxy.yml \
	README.md CHANGELOG.md COPYING LICENSES 2>/dev/null)

.PHONY: help demo pictures test unit page kernel kills integration shapes matrix drills kernels vm quality lint bench soak bpf dist release clean

help:
	@echo "make demo         the story in a minute: three hosts over SSH, a circular dependency seen and denied"
	@echo "make test         every test; installs what it needs"
	@echo "make unit         the tests of what touches no kernel, and of the layout"
	@echo "make page         the HTML report in a real browser"
	@echo "make pictures     the pictures of docs/, of the demo's output and page and of others"
	@echo "make kernel       the BPF programs in this kernel"
	@echo "make kills        a call killed before every line that it runs, and what becomes of the guard; writes build/kills.txt"
	@echo "make integration  plays over SSH on test hosts"
	@echo "make shapes       plays of every shape, with one ansible-core: make shapes CORE=2.17; without one, with each; writes docs/shapes.md"
	@echo "make matrix       all plays over SSH with every supported ansible-core; DNS by large clients; Debian's releases; SELinux and AppArmor; a stranger's first run"
	@echo "make drills       what tools say in a drill, and in a real outage; writes docs/drills.md"
	@echo "make kernels      the role on virtual machines with every supported kernel; writes docs/kernels.md"
	@echo "make vm           a root shell on such a machine: make vm KERNEL=5.10, 6.1, 6.12 or sid"
	@echo "make quality      ansible-test sanity, ansible-lint, galaxy-importer, molecule"
	@echo "make lint         ansible-lint with the production profile"
	@echo "make bench        what a guard costs, as ratios; a table and build/bench.json; with ROWS='connect dns' these alone"
	@echo "make soak         guards come, change, are killed and go, for minutes: make soak MINUTES=60 SEED=7 KERNEL=6.12"
	@echo "make bpf          compile the BPF objects, and write what BCC compiles on hosts and what Python knows of them"
	@echo "make dist         build the collection's artifact, and install it below build/"
	@echo "make release      write the changelog, build, check and tag the version of galaxy.yml; says what to push"

demo: $(INSTALLED)/MANIFEST.json
	@PYTHONPATH=$(CURDIR)/tests/fleet $(BIN)/python demo/demo.py

# calls are forked from the process of tests/life, so it is one that has done nothing else
test: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/life
	$(BIN)/python -m pytest tests --ignore=tests/life

unit: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/unit tests/house

page: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/page

integration: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/fleet tests/integration

shapes: CORE ?= all
shapes: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/integration -m shape --core $(CORE)

matrix: $(INSTALLED)/MANIFEST.json
	@tests/install-packages.sh tests/large-packages.txt
	$(BIN)/python -m pytest tests/integration --core all
	$(BIN)/python -m pytest tests/integration tests/quality tests/vm -m large

drills: $(INSTALLED)/MANIFEST.json
	@tests/install-packages.sh tests/drills/packages.txt
	@PYTHONPATH=$(CURDIR)/tests/integration:$(CURDIR)/tests/fleet:$(CURDIR)/tests/support $(BIN)/python tests/drills/drills.py

quality: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/quality

pictures: $(INSTALLED)/MANIFEST.json
	script --quiet --return --command "$(MAKE) demo" $(BUILD)/demo.txt
	@PYTHONPATH=$(CURDIR)/tests/support:$(CURDIR)/$(COLLECTIONS) $(BIN)/python tests/page/pictures.py

kernel: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/bpf

kills: $(INSTALLED)/MANIFEST.json
	@PYTHONPATH=$(CURDIR)/tests/life:$(CURDIR)/tests/support:$(CURDIR)/tests/fleet:$(CURDIR)/$(COLLECTIONS) $(BIN)/python tests/life/kills.py

kernels: $(INSTALLED)/MANIFEST.json
	EVERY_KERNEL=1 $(BIN)/python -m pytest tests/vm

vm: KERNEL ?= 6.12
vm: $(INSTALLED)/MANIFEST.json
	@$(BIN)/python tests/vm/machines.py $(KERNEL)

lint: $(INSTALLED)/MANIFEST.json
	$(BIN)/python -m pytest tests/quality -k lint

bench: $(INSTALLED)/MANIFEST.json $(addprefix $(BUILD)/bench/,load flood servers stall accesses empty.bpf.o trie.bpf.o supplies.stamp)
	@$(BIN)/python tests/vm/images.py 6.12
	@PYTHONPATH=$(CURDIR)/tests/fleet:$(CURDIR)/tests/vm:$(CURDIR)/$(COLLECTIONS) $(BIN)/python bench/bench.py $(ROWS)

soak: MINUTES ?= 5
soak: $(INSTALLED)/MANIFEST.json
	@$(if $(KERNEL),$(BIN)/python,/usr/bin/python3) tests/soak/soak.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(KERNEL),--kernel $(KERNEL)) $(OPTIONS)

$(BUILD)/bench/supplies.stamp: bench/supplies.py bench/packages.txt $(BUILD)/venv.stamp
	mkdir -p $(@D)
	tests/install-packages.sh bench/packages.txt
	PYTHONPATH=$(CURDIR)/tests/vm $(BIN)/python bench/supplies.py
	touch $@

$(BUILD)/bench/%.bpf.o: bench/%.bpf.c $(BUILD)/packages.stamp
	mkdir -p $(@D)
	$(CLANG) $(CLANG_FLAGS) -c $< -o $@

$(BUILD)/bench/%: bench/%.c bench/enter.h $(BUILD)/packages.stamp
	mkdir -p $(@D)
	$(CLANG) -O2 -static -Wall -Wextra -Wno-unused-result -Werror $< -o $@

bpf: $(addprefix $(BUILD)/bpf/,$(OBJECTS) $(SOURCE_FOR_BCC) _abi.py)
	cp $(addprefix $(BUILD)/bpf/,$(OBJECTS) $(SOURCE_FOR_BCC)) plugins/
	cp $(BUILD)/bpf/_abi.py $(ABI)

dist: $(INSTALLED)/MANIFEST.json

release: $(INSTALLED)/MANIFEST.json
	.ci/release $(VERSION) $(ARTIFACT)

$(BUILD)/bpf/ebpf_guard.bpf.o: SOURCE := guard.bpf.c
$(BUILD)/bpf/ebpf_guard_files.bpf.o: SOURCE := files.bpf.c
$(BUILD)/bpf/ebpf_guard_unix.bpf.o: SOURCE := unix.bpf.c
$(BUILD)/bpf/ebpf_guard_unix_cgroup.bpf.o: SOURCE := unix_cgroup.bpf.c
$(addprefix $(BUILD)/bpf/,$(OBJECTS)): $(BPF_SOURCES) $(BUILD)/packages.stamp
	mkdir -p $(@D)
	cd bpf && $(CLANG) $(CLANG_FLAGS) -c $(SOURCE) -o ../$@
	llvm-strip-14 -g $@

$(BUILD)/bpf/$(SOURCE_FOR_BCC): $(BPF_SOURCES)
	mkdir -p $(@D)
	python3 bpf/gen_source.py bpf/guard.bpf.c > $@

$(BUILD)/bpf/_abi.py: $(BPF_SOURCES) $(BUILD)/bpf/ebpf_guard.bpf.o $(BUILD)/packages.stamp
	mkdir -p $(@D)
	cd bpf && $(CLANG) $(CLANG_FLAGS) -c abi.c -o ../$(BUILD)/bpf/abi.o
	for object in abi.o ebpf_guard.bpf.o; do bpftool btf dump file $(@D)/$$object -j > $(@D)/$$object.json || exit 1; done
	python3 bpf/gen_abi.py $(@D)/abi.o.json $(@D)/ebpf_guard.bpf.o.json > $@

$(ARTIFACT): $(CONTENTS) $(BUILD)/venv.stamp
	$(BIN)/ansible-galaxy collection build --force --output-path $(@D)

$(INSTALLED)/MANIFEST.json: $(ARTIFACT)
	$(BIN)/ansible-galaxy collection install --force --offline --collections-path $(COLLECTIONS) $(ARTIFACT)
	touch $@

$(BUILD)/venv.stamp: tests/requirements.txt $(BUILD)/packages.stamp
	/usr/bin/python3 -m venv --clear $(BUILD)/venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

$(BUILD)/packages.stamp: tests/packages.txt
	mkdir -p $(BUILD)
	tests/install-packages.sh tests/packages.txt
	touch $@

clean:
	rm -rf $(BUILD)
