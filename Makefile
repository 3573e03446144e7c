# Two commands do everything on a fresh machine: `make run` and `make test`. `make help` lists the rest.
BIN := .venv/bin
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for found in python3 python3.13 python3.12 python3.11 python; do \
	$$found -c '$(RECENT)' 2>/dev/null && echo $$found && break; done)
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.PHONY: help setup run test test-faults test-browser check format messages bench inbox lock clean

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: .venv/.ready ## create .venv and install everything that the lock file pins

# uv installs in seconds what takes pip a minute; it lives inside .venv. Where it cannot be had, pip does the same.
.venv/.ready: requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(RECENT)' 2>/dev/null || { \
		echo "Bellwire needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not. Try: make PYTHON=/path/to/python3.12 setup"; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { \
		echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv (once; about a minute)"
	@if [ -z "$(WITHOUT_UV)" ] && $(BIN)/python -m pip install -qq "uv==$(UV_VERSION)"; then \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
		echo "Without uv: pip installs everything, which takes a few minutes" && \
		awk '/^[^ ]/ {uv = /^uv==/} !uv' requirements.lock > .venv/without-uv.lock && \
		$(BIN)/python -m pip install -qq --require-hashes -r .venv/without-uv.lock && \
		$(BIN)/python -m pip install -qq --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

run: setup ## start the whole product with the demo tenant and sample events
	@$(BIN)/bellwire up --demo

test: setup ## the test suite (no faults, no browser, no load)
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "not faults and not matrix and not browser and not load"

test-faults: setup ## kills, freezes, broken providers; other brokers and databases
	@$(BIN)/python -m pytest -n 2 --dist loadscope -m "faults or matrix"

test-browser: setup ## the inbox in a real browser; needs Debian's chromium
	@$(BIN)/python -m pytest -m browser tests/browser

check: setup ## format, lint, types, import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## write the code as `make check` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

messages: setup ## bring the catalogues of the languages in step with the templates
	@$(BIN)/python -m pipeline.translations

bench: setup ## the benchmarks: ratios measured side by side
	@$(BIN)/python -m bench

# Both are committed: nobody needs npx to run Bellwire. A test holds them together by the number in the first line.
COMPONENT := api/static/bellwire-inbox
inbox: ## make the small file of the inbox component that is served; needs npx
	@{ echo "/* Bellwire's inbox, made from bellwire-inbox.js $$(sha256sum < $(COMPONENT).js | cut -c1-16) */" && \
		npx --yes esbuild@0.28.2 --minify --log-level=warning $(COMPONENT).js; } > $(COMPONENT).min.js.new && \
		mv $(COMPONENT).min.js.new $(COMPONENT).min.js

lock: setup ## pin the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --all-extras pyproject.toml -o requirements.lock

clean: ## remove what the commands made, the virtual environment too
	rm -rf .venv .bellwire .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
