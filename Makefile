# Grail: `make run` shows it, `make test` proves it. Only Python 3.11 to 3.13 and make are assumed.

SHELL  := /bin/sh
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ROOT   ?= data
SCALE  ?= 0.3
SEED   ?= 42

.DEFAULT_GOAL := help
.PHONY: help install lock run up containers test test-fast coverage lint types docs bench mlflow clean

help: ## Show what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(VENV)/.installed ## Install what requirements.lock names into .venv

$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed, this is %d.%d: make PYTHON=/path/to/python" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@touch $@

COMPILE = $(VENV)/lock/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11

lock: ## Make the locks anew from pyproject.toml, for Python 3.11 to 3.13 and every platform
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	$(COMPILE) --group dev --extra s3 --extra dask pyproject.toml -o requirements.lock
	$(COMPILE) --group containers --extra s3 --extra dask --constraint requirements.lock pyproject.toml -o deploy/grail.lock
	$(COMPILE) --constraint requirements.lock deploy/model-server.in -o deploy/model-server.lock
	$(COMPILE) --extra s3 --extra ray --constraint requirements.lock pyproject.toml -o deploy/ray.lock
	$(COMPILE) --extra gpu --extra s3 --extra dask --extra ray --constraint deploy/ray.lock --override deploy/gpu-overrides.txt pyproject.toml -o deploy/gpu.lock

run: install ## Make a demo world (SCALE, SEED), run the nightly flow on it, print the models' table
	$(BIN)/python -m flows nightly --source demo --scale $(SCALE) --seed $(SEED) --root $(ROOT) --summary $(ROOT)/summary.json

# Flags of the scheduled night; those of an earlier start stay as they are unless given again
given = $(if $(filter-out file,$(origin $(1))),$(2) '$($(1))')
NIGHTS = $(if $(SOURCE),--source '$(SOURCE)') $(call given,SCALE,--scale) $(call given,SEED,--seed) $(NIGHT)

up: install ## Start Prefect, a worker, MLflow on ROOT (SOURCE, SCALE, SEED, NIGHT: flags of its nights; UP: its own)
	$(BIN)/python -m flows up --root '$(ROOT)' $(UP) -- $(NIGHTS)

.env:
	@umask 077 && for name in POSTGRES PREFECT MLFLOW STORAGE; do \
	    echo "$${name}_PASSWORD=$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; done > $@

containers: .env ## Build the images and start all of compose.yaml, with passwords of its own in .env
	docker compose up --build --detach --wait

# Longest files first, as tests/conftest.py orders them, so that no process is left with one of them.
# One process more than two cores have: each waits for servers and clocks a fifth of its time
PYTEST = $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test: install lint types docs ## Check style and types, build the site, run all tests
	$(PYTEST)

test-fast: install ## Run the tests that need neither a server nor TensorFlow
	$(PYTEST) -m 'not server and not tensorflow'

coverage: install ## Run all tests, and show which lines of tasks and schemas they miss in their own process
	$(PYTEST) --cov --cov-report term-missing:skip-covered

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

docs: install ## Write the documentation as a site into site/; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: install ## Measure it side by side with what one would otherwise write (BENCH: flags), hours
	$(BIN)/python -m benchmarks --out benchmarks/results.json --readme benchmarks/README.md $(BENCH)

mlflow: install ## Open the runs of ROOT in MLflow, on http://127.0.0.1:5000
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false GRAIL_ROOT='$(ROOT)' $(BIN)/python -m flows.dev_stack.mlflow_server --host 127.0.0.1 --port 5000 --workers 1

clean: ## Remove the environment and all that was computed under ROOT
	rm -rf $(VENV) $(ROOT)
