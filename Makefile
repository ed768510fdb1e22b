# Build, test and install volpipe.

PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift
# The Swift runtime goes into the tools, so that they run where no toolchain is.
SWIFTFLAGS ?= -c release --static-swift-stdlib

# There is no static library to test with, so that the tests have a build of their own.
TESTBUILD = .build-tests
TESTFLAGS = -c release --scratch-path $(TESTBUILD) -Xswiftc -warnings-as-errors

TOOLS = nifti-cat npy-cat frame-filter vol-write vol-commit vol-meta vol-ls vol-cat vol-export vol-rm vol-gc vol-verify nifti-write
BUILD = .build/release
BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: all dependencies build demo check lint install uninstall clean

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
	$(SWIFT) test $(TESTFLAGS) --skip-build
	VOLPIPE_BIN="$(CURDIR)/$(TESTBUILD)/release" \
	    "$$(scripts/python Tests/oracle/requirements.txt)" -m pytest Tests/oracle
	scripts/fuzz --replay
	scripts/sanitize thread
	scripts/sanitize address

lint:
	scripts/install-dependencies --tests
	scripts/lint

install: build
	install -d "$(BIN)" "$(SHARE)/man/man1" "$(SHARE)/man/man5" "$(SHARE)/man/man7" \
	    "$(SHARE)/bash-completion/completions" "$(SHARE)/zsh/site-functions" \
	    "$(SHARE)/fish/vendor_completions.d" "$(SHARE)/volpipe"
	install -m 644 python/volpipe.py "$(SHARE)/volpipe/"
	for tool in $(TOOLS); do \
	    install -s -m 755 "$(BUILD)/$$tool" "$(BIN)/$$tool" && \
	    "$(BUILD)/$$tool" --generate-completion-script bash \
	        > "$(SHARE)/bash-completion/completions/$$tool" && \
	    "$(BUILD)/$$tool" --generate-completion-script zsh \
	        > "$(SHARE)/zsh/site-functions/_$$tool" && \
	    "$(BUILD)/$$tool" --generate-completion-script fish \
	        > "$(SHARE)/fish/vendor_completions.d/$$tool.fish" || exit 1; \
	done
	for section in 1 5 7; do \
	    install -m 644 man/*.$$section "$(SHARE)/man/man$$section/" || exit 1; \
	done

uninstall:
	for tool in $(TOOLS); do \
	    rm -f "$(BIN)/$$tool" "$(SHARE)/bash-completion/completions/$$tool" \
	        "$(SHARE)/zsh/site-functions/_$$tool" "$(SHARE)/fish/vendor_completions.d/$$tool.fish"; \
	done
	rm -rf "$(SHARE)/volpipe"
	for page in man/*.[157]; do \
	    rm -f "$(SHARE)/man/man$${page##*.}/$${page##*/}"; \
	done

clean:
	$(SWIFT) package clean
	rm -rf $(TESTBUILD) .build-fuzz .build-thread .build-address .venv demo
