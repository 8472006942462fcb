# Every target does its own set-up: `make demo` and `make test` work in a fresh clone.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo dev test test-bigquery parity lint chaos replay bench-chunks bench-embedding bench-sync bench-freshness \
	bench-retrieval

setup: $(STAMP)

# torch first, so that a CPU build that is already at hand is taken for what the other packages ask.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) scripts/check_python.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bigquery,dev]'
	touch $(STAMP)

demo: setup
	$(BIN)/headrace demo

dev: setup
	$(BIN)/headrace dev

# A worker a core takes file after file; what starts daemons and waits for them has the machine to itself.
test: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --ignore tests/defs/test_flow.py
	$(BIN)/python -m pytest tests/defs/test_flow.py

# What concerns BigQuery: on an emulator, which gets a virtual environment of its own.
test-bigquery: setup
	$(BIN)/python -m pytest tests/bigquery

# The example and a handbook at full size on Postgres and on the emulator, compared by `headrace parity`.
parity: setup
	$(BIN)/python -m tests.bigquery.parity

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .
	$(BIN)/python scripts/lint_sql.py

# As `make test`, but a batch is killed 25 times, the emulator at six statements, 500 batches are tidied up after, and forty
# rounds of changes at random are followed.
chaos: setup
	HEADRACE_CHAOS=25 HEADRACE_UPKEEP_BATCHES=500 $(BIN)/python -m pytest \
		tests/core/test_faults.py tests/core/test_generations.py tests/core/test_narrow_batch.py tests/core/test_upkeep.py \
		tests/bigquery/test_faults.py

# The whole of the handbook's history, about forty minutes, and fifty events of it on both warehouses; `make test` takes a
# few commits and events.
replay: setup
	HEADRACE_REPLAY_COMMITS=1000 $(BIN)/python -m pytest tests/core/test_replay.py
	HEADRACE_REPLAY_EVENTS=50 $(BIN)/python -m pytest tests/bigquery/test_replay.py

# LangChain's splitter gets a virtual environment of its own.
bench-chunks: setup
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt
	$(BIN)/python benchmarks/chunk_edits.py
	$(BIN)/python benchmarks/chunk_retrieval.py

# OpenVINO gets a virtual environment of its own.
bench-embedding: setup
	test -x .venv-bench-embedding/bin/python || $(PYTHON) -m venv .venv-bench-embedding
	.venv-bench-embedding/bin/python -m pip install --quiet --requirement benchmarks/embedding-requirements.txt
	$(BIN)/python benchmarks/embedding.py

# The peers get a virtual environment of their own, of Python 3.11 or later. GROWTH= leaves out the table of sizes.
GROWTH ?= 10000,100000,1000000
bench-sync: setup
	test -x .venv-bench-sync/bin/python || $(PYTHON) -m venv .venv-bench-sync
	.venv-bench-sync/bin/python -m pip install --quiet --requirement benchmarks/sync-requirements.txt
	$(BIN)/python benchmarks/sync.py --growth "$(GROWTH)"

# Real daemons, one path after the other: most of an hour.
bench-freshness: setup
	$(BIN)/python benchmarks/freshness.py

# Both sides hold the rows: a million take some 15 GB of disk, 8 GB of memory, and most of an hour.
SIZES ?= 100000,1000000
bench-retrieval: setup
	$(BIN)/python benchmarks/retrieval.py --sizes "$(SIZES)"
