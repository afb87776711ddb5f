# `make demo` shows Buildbot at work, `make test` checks all of it. Each target makes what it needs by itself.

SHELL := /bin/bash
PYTHON ?= python3
# A part of the tests: make test TESTS=tests/unit/test_model.py
TESTS ?=
PYTEST_ARGS ?=
# How many test processes at once.
JOBS ?= 2

BIN := .venv/bin
UV := UV_NO_PROGRESS=1 $(BIN)/uv
SPHINX := $(BIN)/python -m sphinx

.PHONY: help demo test lint docs bench torture locks clean

help:
	@echo 'make demo      a master and two slaves building this checkout; Ctrl-C ends it'
	@echo 'make test      lint, docs and every test;  make test TESTS=path runs a part of the tests'
	@echo 'make lint      ruff, mypy, import layers'
	@echo 'make docs      docs/_build/html/index.html'
	@echo 'make bench     this master and Buildbot 4.3.0 on the same work'
	@echo 'make torture   kill, cut and fill up everything while builds run'
	@echo 'make locks     resolve the pinned requirements anew'
	@echo 'make clean     remove everything that make made'

demo: .venv/.stamp
	@contrib/debian-packages git:git
	exec $(BIN)/python contrib/demo.py

ifeq ($(strip $(TESTS)),)
test: lint docs .venv-peer/.stamp
	@contrib/debian-packages -r requirements/debian.txt || test -z "$$CI"
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)
else
test: .venv/.stamp
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(TESTS)
endif

lint: .venv/.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.stamp
	$(SPHINX) -q -W --keep-going -b html docs docs/_build/html

bench: .venv/.stamp .venv-peer/.stamp
	@contrib/debian-packages git:git
	$(BIN)/python -m tests.bench

torture: .venv/.stamp
	@contrib/debian-packages -r requirements/debian.txt
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -q --timeout 7200 tests/unit/test_lives.py
	TRANSFER_MEGABYTES=200 $(BIN)/python -m pytest -q --timeout 7200 tests/integration/test_transfers.py
	$(BIN)/python -m tests.torture

# The environments. uv installs what the lock files pin; pip only installs uv, which pip itself would be far slower than.
# sync also removes what is no longer in the lock file.

.venv/bin/uv: requirements/uv.txt
	@contrib/debian-packages --python '$(PYTHON)'
	$(PYTHON) -m venv $(if $(shell $(BIN)/python -c 'import sys; print(sys.version_info >= (3, 11))' 2>/dev/null | grep True),,--clear) .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --require-hashes -r requirements/uv.txt
	@touch -c $@

.venv/.stamp: requirements/test.txt pyproject.toml setup.py | .venv/bin/uv
	$(UV) pip sync --quiet --python $(BIN)/python requirements/test.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv-peer/.stamp: requirements/peer.txt | .venv/bin/uv
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-peer
	$(UV) pip sync --quiet --python .venv-peer/bin/python requirements/peer.txt
	@touch $@

# Slaves of other eras, for tests/dialects: each on the old Python that the first line of its requirements names.
.venv-peers/%/.stamp: requirements/peers/%.txt contrib/old-python | .venv/bin/uv
	@python=$$(contrib/old-python "$$(sed -n '1s/^# python //p' $<)") && rm -rf .venv-peers/$* && \
	$(UV) tool run --quiet --from 'virtualenv==20.21.1' virtualenv --quiet -p "$$python" .venv-peers/$*
	.venv-peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $< 2> >(grep -v -e DEPRECATION -e ' is ignored' >&2)
	@touch $@

COMPILE = $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header
locks: | .venv/bin/uv
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) pyproject.toml --extra tls --extra test --extra docs requirements/test.in -c requirements/uv.txt -o requirements/test.txt
	$(COMPILE) requirements/peer.in -o requirements/peer.txt

clean:
	rm -rf .venv .venv-peer .venv-peers demo build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-artifacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
