# Every target is explained in CONTRIBUTING.md. The shell behind them is in .ci/.
BIN := .venv/bin
LAB := examples/kvm-lab
SEED ?= 0
MINUTES ?= 10
NAME ?=

# .cache/go/bin: the Go that .ci/go found or fetched for the vSphere tests.
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.cache/go/bin:$(PATH)

.PHONY: setup check test soak bench demo demo-undo demo-clean lock

setup:
	@.ci/setup

$(BIN)/ferry:
	@.ci/setup

check: $(BIN)/ferry
	ruff format --check .
	ruff check .
	mypy --strict orchestrator providers
	lint-imports --no-cache
	pytest tests/unit -q

test:
	@.ci/setup --tests
	@.ci/suite

soak:
	@.ci/setup --tests
	FERRY_SOAK_SEED=$(SEED) FERRY_SOAK_MINUTES=$(MINUTES) pytest -m soak --timeout=0 --hypothesis-seed=$(SEED)

bench:
	@.ci/setup $(if $(filter-out offline,$(NAME)),--tests,--bench) >&2
	@$(if $(filter-out isolate-vsphere,$(NAME)),:,.ci/ansible >&2)
	@python tests/bench $(NAME)

demo: setup
	@$(LAB)/demo

demo-undo: setup
	@$(LAB)/undo

demo-clean: setup
	@$(LAB)/clean

lock: $(BIN)/ferry
	@.ci/lock
