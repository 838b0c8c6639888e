# Every target sets up .venv first, which costs nothing when it is up to date.
.DEFAULT_GOAL := help
.PHONY: help setup web azurite run test test-all check fix lock bench soak clean

ARGS ?=

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: # what all the others do first
	@scripts/setup

web: setup ## build the page of `tokentail web`; quick when nothing changed
	@scripts/web

azurite: setup # what the tests of az:// start; quick when it is there
	@scripts/azurite || true

run: setup ## run tokentail; ARGS="daily --json" gives it words
	@case " $(ARGS) " in " web "*) scripts/web || true;; esac
	@.venv/bin/tokentail $(ARGS)

test: setup web azurite ## the tests, without the slow ones; ARGS="-k cursor" picks some
	@scripts/test -m "not slow" $(ARGS)

test-all: setup web azurite ## all tests
	@scripts/test $(ARGS)

check: setup ## layout, lint and types
	@scripts/check

fix: setup ## put layout and simple lint right
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format --quiet .

lock: ## write constraints.txt anew from pyproject.toml; ARGS=--upgrade moves to newer versions
	@scripts/lock $(ARGS)

bench: setup ## measure against the budgets; ARGS go to the benchmarks
	@.venv/bin/python -m benchmarks $(ARGS)

soak: setup ## follow for 10 minutes while all kinds of things happen; ARGS="--minutes 1" for less
	@.venv/bin/python -m benchmarks.soak $(ARGS)

clean: ## delete what was made: .venv, caches, builds
	rm -rf tests/azurite/node_modules tests/azurite/install.log
	rm -rf web/node_modules web/.node web/.built web/build.log src/tokentail/web/static
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
