# xcat-nodetools: what an administrator and a developer type.
#
#   make demo       the main job, for real, on this machine
#   make test       prove it (under ten minutes)      make test-cluster   under a real Pacemaker (root)
#   make genesis    a boot image for nodes            make test-vm        on a virtual machine (root)
#   make            release binaries            make install DESTDIR= PREFIX=/usr
#   make campaign   fuzz, kill and fault campaigns (their length is in variables, below)
#   make bench      ratios against peers        make dist    static agents and tarballs
#   make lint       format, clippy, man pages, scripts

PREFIX      ?= /usr
SBINDIR     ?= $(PREFIX)/sbin
LIBEXECDIR  ?= $(PREFIX)/libexec/xcat-nodetools
MANDIR      ?= $(PREFIX)/share/man
UNITDIR     ?= $(PREFIX)/lib/systemd/system
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
DOCDIR      ?= $(PREFIX)/share/doc/xcat-nodetools
DATADIR     ?= $(PREFIX)/share/xcat-nodetools
# Where resource managers look, whatever PREFIX is.
OCFDIR      ?= /usr/lib/ocf/resource.d/xcat
DESTDIR     ?=
# 1: nodereboot-priv is installed with the setuid bit (nodereboot-priv(8) says what else there is).
SETUID      ?= 0
CARGO       ?= cargo
CAMPAIGN_SECONDS ?= 600
CAMPAIGN_RUNS ?= 10000
CAMPAIGN_NODES ?= 1000
CAMPAIGN_CUTS ?= 50
CAMPAIGN_LOADS ?= 60
# Programs are killed at every so manyth call.
KILL_STRIDE ?= 1
# What the virtual machine has; a small image starts in little memory.
VM_MODULES = af_packet virtio_pci virtio_net virtio_blk e1000 8139cp
# Built into nodereboot-priv, which runs nothing else.
export NODETOOLS_SBINDIR = $(SBINDIR)

PROGRAMS = getadapter findadapter-agent callbackd nodereboot nodereboot-priv oneserver osload-agent rflash snmove xtab
RELEASE  = target/release
STATIC   = target/static/x86_64-unknown-linux-gnu/release

.PHONY: all demo test test-cluster test-vm genesis campaign lint bench dist install uninstall clean setup-build setup-test

all: setup-build
	$(CARGO) build --release --locked --workspace --bins

setup-build:
	scripts/setup build

setup-test:
	scripts/setup test

demo: setup-test
	$(CARGO) build --locked --workspace --bins
	scripts/demo target/debug

test: setup-test
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace

test-cluster:
	scripts/setup cluster
	$(CARGO) build --locked -p oneserver
	TEST_CLUSTER=1 $(CARGO) test --locked -p scenarios --test cluster -- --nocapture --test-threads=1

# Kernel and initial file system for nodes, in target/genesis.
genesis:
	scripts/setup vm
	scripts/genesis/build target/genesis

test-vm:
	scripts/setup vm
	GENESIS_MODULES="$(VM_MODULES)" scripts/genesis/build target/genesis/test
	$(CARGO) build --locked --workspace --bins
	TEST_VM=1 $(CARGO) test --locked -p scenarios --test vm -- --nocapture --test-threads=1

campaign: setup-test
	$(CARGO) build --locked --workspace --bins
	KILL_STRIDE=$(KILL_STRIDE) $(CARGO) test --locked -p scenarios --test kill_points --test snmove_kill
	NODEREBOOT_STORM=$(CAMPAIGN_NODES) $(CARGO) test --locked -p scenarios --test nodereboot -- --nocapture --test-threads 1 controllers
	KILL_STRIDE=$(KILL_STRIDE) $(CARGO) test --locked -p firmware-update --test engine
	RFLASH_RUNS=$(CAMPAIGN_RUNS) $(CARGO) test --locked -p scenarios --test rflash_campaign -- --nocapture
	ONESERVER_FAULTS=$(CAMPAIGN_RUNS) ONESERVER_CUTS=$(CAMPAIGN_CUTS) $(CARGO) test --locked -p scenarios --test oneserver_campaign -- --nocapture --test-threads=1
	OSLOAD_AGENT_RUNS=$(CAMPAIGN_LOADS) $(CARGO) test --locked -p osload-agent --test campaign -- --nocapture
	scripts/fuzz $(CAMPAIGN_SECONDS)

bench: setup-test
	$(CARGO) build --release --locked --workspace --bins
	$(CARGO) run --release --locked -p scenarios --bin bench

lint: setup-test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	mandoc -T lint -W warning man/*.[1-8]
	shellcheck $$(scripts/list-scripts)
	scripts/readme --check

# The agents for nodes: static, nothing else needed there.
dist: setup-build
	scripts/dist

# Builds nothing: root installs what a user has made.
install:
	scripts/install-files "$(DESTDIR)" "$(RELEASE)" SBINDIR="$(SBINDIR)" LIBEXECDIR="$(LIBEXECDIR)" MANDIR="$(MANDIR)" UNITDIR="$(UNITDIR)" TMPFILESDIR="$(TMPFILESDIR)" DOCDIR="$(DOCDIR)" DATADIR="$(DATADIR)" OCFDIR="$(OCFDIR)" SETUID="$(SETUID)" STATIC="$(STATIC)"

uninstall:
	scripts/install-files --remove "$(DESTDIR)" "$(RELEASE)" SBINDIR="$(SBINDIR)" LIBEXECDIR="$(LIBEXECDIR)" MANDIR="$(MANDIR)" UNITDIR="$(UNITDIR)" TMPFILESDIR="$(TMPFILESDIR)" DOCDIR="$(DOCDIR)" DATADIR="$(DATADIR)" OCFDIR="$(OCFDIR)" STATIC="$(STATIC)"

clean:
	$(CARGO) clean
	rm -rf dist
