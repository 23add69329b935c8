# xcat-nodetools: what an administrator and a developer type.
#
#   make demo       the main job, for real, on this machine
#   make test       prove it (under ten minutes)      make test-cluster   under a real Pacemaker (root)
#   make genesis    a boot image for nodes            make test-vm        on a virtual machine (root)
#   make            release binaries            make install DESTDIR= PREFIX=/usr
#   make campaign   fuzz, kill and fault campaigns (their length is in variables, below; each is campaign-NAME)
#   make bench      ratios against peers        make dist    static agents, tarballs, checksums
#   make dist-others    the same for aarch64 and ppc64le (root)    make test-others    they, emulated
#   make packages   .deb and .rpm           make test-packages    in a clean Debian (root)
#   make lint       format, clippy, man pages, scripts

PREFIX      ?= /usr
SBINDIR     ?= $(PREFIX)/sbin
LIBEXECDIR  ?= $(PREFIX)/libexec/xcat-nodetools
MANDIR      ?= $(PREFIX)/share/man
UNITDIR     ?= $(PREFIX)/lib/systemd/system
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
BASHDIR     ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR      ?= $(PREFIX)/share/zsh/site-functions
FISHDIR     ?= $(PREFIX)/share/fish/vendor_completions.d
DOCDIR      ?= $(PREFIX)/share/doc/xcat-nodetools
DATADIR     ?= $(PREFIX)/share/xcat-nodetools
# Where resource managers look, whatever PREFIX is.
OCFDIR      ?= /usr/lib/ocf/resource.d/xcat
LOGROTATEDIR ?= /etc/logrotate.d
DESTDIR     ?=
# 1: nodereboot-priv is installed with the setuid bit (nodereboot-priv(8) says what else there is).
SETUID      ?= 0
CARGO       ?= cargo
CAMPAIGN_SECONDS ?= 600
CAMPAIGN_RUNS ?= 10000
CAMPAIGN_NODES ?= 1000
CAMPAIGN_CUTS ?= 50
CAMPAIGN_LOADS ?= 60
# Of packages: greater for each that has the same version and is not the same.
REVISION ?= 1
# Programs are killed at every so manyth call.
KILL_STRIDE ?= 1
# What the virtual machine has; a small image starts in little memory.
VM_MODULES = af_packet virtio_pci virtio_net virtio_blk e1000 8139cp
# Built into nodereboot-priv, which runs nothing else, and into xtab doctor.
export NODETOOLS_SBINDIR = $(SBINDIR)
export NODETOOLS_LIBEXECDIR = $(LIBEXECDIR)

PLACES = $(foreach name,SBINDIR LIBEXECDIR MANDIR UNITDIR TMPFILESDIR SYSUSERSDIR LOGROTATEDIR BASHDIR ZSHDIR FISHDIR DOCDIR DATADIR OCFDIR STATIC,$(name)="$($(name))")
# scripts/install-files and tests read these two lines.
PROGRAMS = getadapter findadapter-agent callbackd nodereboot nodereboot-priv oneserver osload osload-agent rflash snmove xtab
# xCAT has commands of these names too: they are installed where no shell looks (scripts/link-names).
CLASHING = rflash snmove
RELEASE  ?= target/release
STATIC   ?= target/static/x86_64-unknown-linux-gnu/release

# Over all that lies in dist/.
CHECKSUMS = cd dist && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS

.PHONY: all demo test test-cluster test-vm genesis campaign campaign-kills campaign-rflash campaign-oneserver campaign-fuzz lint bench dist dist-others packages test-packages test-others print-static install uninstall clean setup-build setup-test setup-lint

all: setup-build
	$(CARGO) build --release --locked --workspace --bins

setup-build:
	scripts/setup build

setup-lint:
	scripts/setup lint

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
	GENESIS_AGENTS=$(STATIC) tests/vm/disk-image loaded target/genesis/test/disk
	$(CARGO) build --locked --workspace --bins
	TEST_VM=1 $(CARGO) test --locked -p scenarios --test vm -- --nocapture --test-threads=1

campaign: campaign-kills campaign-rflash campaign-oneserver campaign-fuzz

campaign-kills: setup-test
	$(CARGO) build --locked --workspace --bins
	KILL_STRIDE=$(KILL_STRIDE) $(CARGO) test --locked -p scenarios --test kill_points --test snmove_kill --test osload_kill
	KILL_STRIDE=$(KILL_STRIDE) $(CARGO) test --locked -p firmware-update --test engine
	KILL_STRIDE=$(KILL_STRIDE) $(CARGO) test --locked -p osload --test kill
	OSLOAD_AGENT_RUNS=$(CAMPAIGN_LOADS) $(CARGO) test --locked -p osload-agent --test campaign -- --nocapture

campaign-rflash: setup-test
	$(CARGO) build --locked --workspace --bins
	NODEREBOOT_STORM=$(CAMPAIGN_NODES) $(CARGO) test --locked -p scenarios --test nodereboot -- --nocapture --test-threads 1 controllers
	RFLASH_RUNS=$(CAMPAIGN_RUNS) $(CARGO) test --locked -p scenarios --test rflash_campaign -- --nocapture

campaign-oneserver: setup-test
	$(CARGO) build --locked --workspace --bins
	ONESERVER_FAULTS=$(CAMPAIGN_RUNS) ONESERVER_CUTS=$(CAMPAIGN_CUTS) $(CARGO) test --locked -p scenarios --test oneserver_campaign -- --nocapture --test-threads=1

campaign-fuzz: setup-test
	scripts/fuzz $(CAMPAIGN_SECONDS)

bench: setup-test
	$(CARGO) build --release --locked --workspace --bins
	$(CARGO) run --release --locked -p scenarios --bin bench

lint: setup-test setup-lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	mandoc -T lint -W warning man/*.[1-8]
	shellcheck $$(scripts/list-scripts)
	scripts/readme --check
	scripts/promises --check
	target/tools/bin/cargo-deny --locked check licenses bans sources

# The agents for nodes: static, nothing else needed there.
dist: setup-build
	scripts/dist
	scripts/sbom >dist/xcat-nodetools.cdx.json
	$(CHECKSUMS)

# The same for nodes of other processors.
dist-others:
	scripts/setup others
	scripts/dist aarch64 ppc64le
	$(CHECKSUMS)

test-others: dist-others
	tests/others aarch64 ppc64le

# Of what make install installs, in dist/. What built them must be at hand: see scripts/setup.
packages: all dist
	scripts/setup packages
	scripts/packages/build deb $(REVISION)
	scripts/packages/build rpm $(REVISION)
	scripts/packages/check $(REVISION)
	$(CHECKSUMS)

test-packages: packages
	$(CARGO) build --locked --workspace --bin bmc-simulator
	scripts/packages/build deb 2
	scripts/packages/test

print-static:
	@echo $(STATIC)

# Builds nothing: root installs what a user has made.
install:
	scripts/install-files "$(DESTDIR)" "$(RELEASE)" $(PLACES) SETUID="$(SETUID)"

uninstall:
	scripts/install-files --remove "$(DESTDIR)" "$(RELEASE)" $(PLACES)

clean:
	$(CARGO) clean
	rm -rf dist
