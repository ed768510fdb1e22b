# Build, test and install volpipe.

PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift
# What lld (of the toolchain) links starts sooner than what gold does: it keeps constants apart from
# what is written to.
LINKER = -Xswiftc -use-ld=lld
# The Swift runtime goes into the tools, so that they run where no toolchain is.
SWIFTFLAGS ?= -c release --static-swift-stdlib $(LINKER)

# There is no static library to test with, so that the tests have a build of their own. Its index is
# what scripts/layers reads.
TESTBUILD = .build-tests
TESTFLAGS = -c release --scratch-path $(TESTBUILD) --enable-index-store -Xswiftc -warnings-as-errors \
    $(LINKER)

TOOLS = nifti-cat npy-cat frame-filter vol-write vol-commit vol-meta vol-ls vol-cat vol-export vol-rm vol-gc vol-verify nifti-write
BUILD = .build/release
BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share
BASH_COMPLETIONS = $(SHARE)/bash-completion/completions
ZSH_COMPLETIONS = $(SHARE)/zsh/site-functions
FISH_COMPLETIONS = $(SHARE)/fish/vendor_completions.d

.PHONY: all dependencies build demo check lint install install-data uninstall clean

all: build

dependencies:
	scripts/install-dependencies

build:
	$(SWIFT) build $(SWIFTFLAGS)

# Installs what is needed, builds, and runs the main job on real scans.
demo: dependencies build
	scripts/demo

# Everything that must pass: unit tests, real tools in real pipes, other people's readers.
check:
	scripts/install-dependencies --tests
	$(SWIFT) build $(TESTFLAGS) --build-tests
	# A life of the simulation that fails can be had again by its seed. What every store must do is
	# asked of a real object store, too.
	SWIFT_DETERMINISTIC_HASHING=1 scripts/with-object-store $(SWIFT) test $(TESTFLAGS) --skip-build
	VOLPIPE_BIN="$(CURDIR)/$(TESTBUILD)/release" \
	    "$$(scripts/python Tests/oracle/requirements.txt)" -m pytest -n 2 Tests/oracle
	scripts/fuzz --replay
	scripts/sanitize thread
	scripts/sanitize address

lint:
	scripts/install-dependencies --tests
	scripts/lint

install: build install-data
	install -d "$(BIN)"
	for tool in $(TOOLS); do \
	    install -s -m 755 "$(BUILD)/$$tool" "$(BIN)/$$tool" || exit 1; \
	done

# All that is not built: manuals, completions and the Python module.
install-data:
	install -d "$(SHARE)/man/man1" "$(SHARE)/man/man5" "$(SHARE)/man/man7" "$(BASH_COMPLETIONS)" \
	    "$(ZSH_COMPLETIONS)" "$(FISH_COMPLETIONS)" "$(SHARE)/volpipe"
	install -m 644 python/volpipe.py "$(SHARE)/volpipe/"
	install -m 644 completions/volpipe.bash "$(BASH_COMPLETIONS)/volpipe"
	install -m 644 completions/_volpipe "$(ZSH_COMPLETIONS)/"
	install -m 644 completions/volpipe.fish "$(FISH_COMPLETIONS)/"
	for tool in $(TOOLS); do \
	    ln -sf volpipe "$(BASH_COMPLETIONS)/$$tool" && \
	    ln -sf volpipe.fish "$(FISH_COMPLETIONS)/$$tool.fish" || exit 1; \
	done
	for section in 1 5 7; do \
	    install -m 644 man/*.$$section "$(SHARE)/man/man$$section/" || exit 1; \
	done

uninstall:
	for tool in $(TOOLS); do \
	    rm -f "$(BIN)/$$tool" "$(BASH_COMPLETIONS)/$$tool" "$(FISH_COMPLETIONS)/$$tool.fish"; \
	done
	rm -f "$(BASH_COMPLETIONS)/volpipe" "$(ZSH_COMPLETIONS)/_volpipe" \
	    "$(FISH_COMPLETIONS)/volpipe.fish"
	rm -rf "$(SHARE)/volpipe"
	for page in man/*.[157]; do \
	    rm -f "$(SHARE)/man/man$${page##*.}/$${page##*/}"; \
	done

clean:
	$(SWIFT) package clean
	rm -rf $(TESTBUILD) .build-fuzz .build-thread .build-address .venv demo
