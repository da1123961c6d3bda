# Chartkey. `make run` shows it, `make test` proves it, `make help` lists the rest.
# Each target installs what it needs and does again only what changed.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# ---- What is built with what -------------------------------------------------

WAILS_VERSION := v2.13.0
SQLC_VERSION := v1.31.1
LINT_VERSION := v2.15.0

WAILS := .tools/wails
SQLC := .tools/sqlc
LINT := .tools/golangci-lint

# Where git or a tag is missing, the version is the one that wails.json names.
PRODUCT_VERSION := $(shell sed -n 's/.*"productVersion": *"\(.*\)".*/\1/p' wails.json)
VERSION := $(or $(shell git describe --tags --match 'v*' --dirty 2>/dev/null),v$(PRODUCT_VERSION)-dev)
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT)

SYSTEM := $(shell uname -s)

# Looked up when a recipe runs, as an earlier step may just have installed it.
# WebKitGTK 4.1 needs a build tag; 4.0, on older systems, needs none.
WEBKIT_TAG = $(if $(filter Linux,$(SYSTEM)),$(shell pkg-config --exists webkit2gtk-4.1 2>/dev/null && echo webkit2_41))
WAILS_TAGS = $(if $(WEBKIT_TAG),-tags $(WEBKIT_TAG))
# make lays out frontend, bindings and modules itself, so that each is redone only when it must be.
WAILS_BUILD = $(WAILS) build -s -m -skipbindings -ldflags "$(LDFLAGS)"

# The folders are named too: their time changes when a file in them is removed.
GO_SOURCES := go.mod go.sum $(wildcard *.go) $(shell find backend ! -name '*_test.go' ! -path '*/testdata*')
# Wails writes frontend/wailsjs/runtime anew in every build, the same each time.
PAGE_SOURCES := $(filter-out %.md5,$(wildcard frontend/*.*)) frontend/.npmrc $(shell find frontend/public frontend/scripts frontend/src frontend/wailsjs/go)
E2E_SOURCES := $(shell find frontend/e2e)

NODE_MODULES := frontend/node_modules/.package-lock.json
PASSED := .tools/passed

.PHONY: FORCE
FORCE:

# ---- Everyday ----------------------------------------------------------------

.PHONY: help run build headless windows dev clean
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

HAS_DISPLAY := $(if $(filter Linux,$(SYSTEM)),$(DISPLAY)$(WAYLAND_DISPLAY),yes)
run: $(if $(HAS_DISPLAY),build,headless) ## show Chartkey on the sandbox: its window or, without a display, the demo
ifdef HAS_DISPLAY
	build/bin/chartkey window --sandbox
else
	@echo "There is no display here, so the demo does the main job without a window."
	build/bin/chartkey-headless demo
endif

build: build/bin/chartkey ## build the window and every command: build/bin/chartkey

build/bin/chartkey: $(GO_SOURCES) frontend/dist/index.html .tools/version build/appicon.png wails.json | window-packages .tools/wails-$(WAILS_VERSION)
	$(WAILS_BUILD) -nopackage $(WAILS_TAGS)
	@test -x $@ && touch $@

# go build itself looks at what changed.
headless: need-go ## build every command and no window, in Go alone: build/bin/chartkey-headless
	CGO_ENABLED=0 go build -tags headless -ldflags "$(LDFLAGS)" -o build/bin/chartkey-headless .

windows: frontend/dist/index.html | .tools/wails-$(WAILS_VERSION) ## build build/bin/chartkey.exe, on any system
	$(WAILS_BUILD) -platform windows/amd64

dev: $(NODE_MODULES) | window-packages .tools/wails-$(WAILS_VERSION) ## open the window and rebuild it as files change
	trap '$(plain-modes)' EXIT; $(WAILS) dev -m $(WAILS_TAGS) -appargs "window --sandbox"

clean: ## remove what was built, but not the tools
	rm -rf build/bin $(PASSED) frontend/node_modules
	find frontend/dist -mindepth 1 ! -name .gitkeep -delete

# ---- Proof -------------------------------------------------------------------

.PHONY: test check lint lint-go vet vet-window test-headless test-go test-unit test-frontend test-keyring test-bindings test-page test-window bench fuzz generate

SUITES := lint test-headless test-go test-frontend test-keyring build vet-window test-bindings test-page test-window

test: ## run every suite, quick ones first, and tell at the end how each went
	@MAKE="$(MAKE)" bash build/suites.sh $(SUITES)

check: ## the quick part: lint and unit tests
	@MAKE="$(MAKE)" bash build/suites.sh lint test-unit test-frontend

lint: lint-go $(PASSED)/svelte-check ## go vet, golangci-lint, svelte-check

lint-go: vet .tools/golangci-lint-$(LINT_VERSION)
	$(LINT) run

vet: need-go
	CGO_ENABLED=0 go vet -tags headless,system ./...

vet-window: build # what the tag headless leaves out
	go vet -tags desktop,production,$(WEBKIT_TAG) .

# Proves that no C compiler and no front end is needed, on each system.
test-headless: need-go ## vet and build in Go alone, for Linux, macOS and Windows
	for os in linux darwin windows; do CGO_ENABLED=0 GOOS=$$os go build -tags headless ./... && CGO_ENABLED=0 GOOS=$$os go vet -tags headless . ./backend/...; done

test-unit: need-go ## Go tests, without the race detector and the scripts of the command line
	CGO_ENABLED=0 go test -tags headless $$(CGO_ENABLED=0 go list -tags headless ./... | grep -v /backend/cli$$)

# The scripts of the command line start the program some hundred times, and each
# start derives a key, which the race detector makes ten times as slow. What the
# commands call is tested with it.
test-go: need-go | race-packages ## Go tests with the race detector
	CGO_ENABLED=1 go test -timeout 30m -race -tags headless $$(CGO_ENABLED=0 go list -tags headless ./... | grep -v /backend/cli$$)
	CGO_ENABLED=0 go test -timeout 20m -tags headless ./backend/cli

# Only the tests that the tag brings; the others were run already.
SYSTEM_TESTS = $(shell grep -rlE --include='*_test.go' '^//go:build.*system' backend)
test-keyring: need-go | race-packages keyring-packages ## Go tests against a real keyring and other programs of the system (Linux)
ifeq ($(SYSTEM),Linux)
	CGO_ENABLED=1 go test -race -tags headless,system -run "^($$(sed -n 's/^func \(Test[A-Za-z0-9_]*\).*/\1/p' $(SYSTEM_TESTS) | paste -sd'|'))\$$" $(addprefix ./,$(sort $(dir $(SYSTEM_TESTS))))
endif

test-frontend: $(PASSED)/vitest ## unit tests of the page

$(PASSED)/svelte-check: $(PAGE_SOURCES) $(NODE_MODULES)
	cd frontend && npm run --silent check
	@mkdir -p $(@D) && touch $@

$(PASSED)/vitest: $(PAGE_SOURCES) $(NODE_MODULES)
	cd frontend && npm run --silent test
	@mkdir -p $(@D) && touch $@

# Wails marks some of what it generates as executable.
plain-modes = find frontend/wailsjs -type f -exec chmod 644 {} +

# The page and the Go code must agree on what one calls of the other.
test-bindings: $(PASSED)/bindings ## the bindings of the page are those of the Go code

$(PASSED)/bindings: $(GO_SOURCES) $(wildcard frontend/wailsjs/go/*/* frontend/wailsjs/go/*.ts) | window-packages .tools/wails-$(WAILS_VERSION)
	@rm -rf $(PASSED)/wailsjs && mkdir -p $(@D) && cp -a frontend/wailsjs $(PASSED)/wailsjs
	$(generate-bindings)
	@diff -r $(PASSED)/wailsjs frontend/wailsjs || { echo "The bindings were out of date. They are generated now: commit them." >&2; exit 1; }
	@rm -rf frontend/wailsjs && mv $(PASSED)/wailsjs frontend/wailsjs && touch $@ # with their times, so that nothing else is redone

test-page: $(PASSED)/page ## the page with its real bindings, in a browser
test-window: $(PASSED)/window ## the real window, by its accessibility tree

$(PASSED)/page: $(GO_SOURCES) $(PAGE_SOURCES) $(E2E_SOURCES) $(NODE_MODULES) | need-go page-packages
	cd frontend && npm run e2e
	@mkdir -p $(@D) && touch $@

$(PASSED)/window: $(GO_SOURCES) $(PAGE_SOURCES) $(E2E_SOURCES) $(NODE_MODULES) | build accessibility-packages
	cd frontend && npm run e2e:window
	@mkdir -p $(@D) && touch $@

BENCHTIME ?= 200ms
bench: need-go ## benchmarks of the backend, as a table
	@mkdir -p build/bin
	CGO_ENABLED=0 go test -tags headless -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./backend/... | tee build/bin/bench.txt | awk -f build/bench.awk

FUZZTIME ?= 10s
fuzz: need-go ## each fuzz target for FUZZTIME (10s)
	go test -tags headless -list '^Fuzz' -json ./backend/... \
	| sed -n 's/.*"Package":"\([^"]*\)","Output":"\(Fuzz[A-Za-z0-9_]*\).*/\1 \2/p' \
	| while read -r package target; do \
		echo "$$package $$target"; \
		go test -tags headless -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	done

# Wails runs the program to read what it binds. It gets as far as opening its data folder; no window is opened.
define generate-bindings
	DISPLAY=$(or $(DISPLAY),:0) CHARTKEY_HOME=$(CURDIR)/.tools/home $(WAILS) generate module $(WAILS_TAGS)
	@rm -rf .tools/home
	@$(plain-modes)
endef

generate: | race-packages window-packages .tools/sqlc-$(SQLC_VERSION) .tools/wails-$(WAILS_VERSION) ## generate the queries (sqlc) and the page's bindings (wails)
	cd backend/store && $(CURDIR)/$(SQLC) generate
	$(generate-bindings)

# ---- What is needed ----------------------------------------------------------

.PHONY: need-go need-node window-packages race-packages keyring-packages page-packages accessibility-packages
need-go:
	@command -v go >/dev/null || { echo "Go is missing. Install the version that go.mod names, or a later one: https://go.dev/doc/install" >&2; exit 1; }
	@go list -m >/dev/null || { echo "This Go cannot read go.mod. Install the version that go.mod names, or a later one: https://go.dev/doc/install" >&2; exit 1; }

need-node:
	@command -v npm >/dev/null || { echo "Node.js or npm is missing. Install Node.js 20.19 or later: https://nodejs.org/en/download" >&2; exit 1; }

window-packages:
	@bash build/setup.sh window
race-packages:
	@bash build/setup.sh race
keyring-packages:
	@bash build/setup.sh keyring page
page-packages:
	@bash build/setup.sh window screen keyring page
accessibility-packages:
	@bash build/setup.sh window screen keyring page accessibility

# install-tool: name, package, version. The stamp's name tells the version.
define install-tool
.tools/$(1)-$(3): | need-go
	GOBIN="$$(CURDIR)/.tools" go install $(2)@$(3)
	@rm -f .tools/$(1)-v* && touch $$@
endef
$(eval $(call install-tool,wails,github.com/wailsapp/wails/v2/cmd/wails,$(WAILS_VERSION)))
$(eval $(call install-tool,sqlc,github.com/sqlc-dev/sqlc/cmd/sqlc,$(SQLC_VERSION)))
$(eval $(call install-tool,golangci-lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,$(LINT_VERSION)))

$(NODE_MODULES): frontend/package.json frontend/package-lock.json | need-node
	cd frontend && npm ci
	@touch $@

frontend/dist/index.html: $(PAGE_SOURCES) $(NODE_MODULES)
	cd frontend && npm run --silent build
	@touch $@

# Changes only when the version does.
.tools/version: FORCE
	@mkdir -p $(@D); echo '$(LDFLAGS)' | cmp -s - $@ || echo '$(LDFLAGS)' >$@
