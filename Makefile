# Everything runs in .venv, made on first use with pinned versions.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo setup test test-fast test-postgres test-arithmetic lint format notebooks bench bench-gpu figures clean

demo: setup  ## train the embedded study and draw its heatmaps
	$(BIN)/landscape run

setup: .venv/installed

# torch first and by exact version: a range would pull the newest build with all its CUDA packages.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

test: setup  ## all tests but the notebooks, one process per core
	$(BIN)/pytest --numprocesses auto -m "not notebook"

test-fast: setup  ## the tests that take less than a few seconds each
	$(BIN)/pytest --numprocesses auto -m "not slow and not notebook"

test-postgres: setup  ## all tests, beside a PostgreSQL server of their own
	$(BIN)/python -m tests.postgres $(MAKE) test

# PyTorch, MKL and oneDNN choose their code when they load. MKL follows the first of its variables
# on processors of Intel, the second on all.
LOWEST := ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 MKL_CBWR=COMPATIBLE \
	ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1
AVX2 := ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 MKL_CBWR=AVX2 \
	ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=2
ARITHMETIC := $(BIN)/pytest --numprocesses auto -m "arithmetic and not slow"

test-arithmetic: setup  ## tests that compare numbers, under the lowest instruction set and AVX2
	$(LOWEST) $(ARITHMETIC)
	$(AVX2) $(ARITHMETIC)

lint: setup  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: setup  ## execute the notebooks against a small study
	$(BIN)/pytest --numprocesses auto -m notebook tests/test_notebooks.py

# The paper's figures at laptop scale, as docs/figures.md shows them.
FIGURES := digits-fig1 digits-fig2 digits-fig3 digits-fig4 digits-fig4-mnist5k digits-supp1 \
	digits-supp2 digits-supp3 digits-supp3-mnist5k digits-supp4 digits-supp5 digits-supp6 \
	digits-torch mnist5k-fig2 mnist5k-torch

figures: setup  ## train the laptop presets and draw docs/figures: an hour on two CPU cores
	set -e; for study in $(FIGURES); do \
		$(BIN)/landscape run $$study --no-plot; \
		$(BIN)/landscape plot $$study -o docs/figures/$$study.png; \
	done

bench: setup  ## speed, against other ways and the machine's limit: an hour on an idle machine
	$(BIN)/python -m benchmarks

bench-gpu: setup  ## the same on a GPU, where there is one: less than 8 minutes
	$(BIN)/python -m benchmarks.gpu

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
