# Everything runs in .venv, made on first use with the versions and hashes of requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python
PYTEST := pytest --numprocesses auto --dist worksteal
# By exact version: a range would pull the newest build with all its CUDA packages. It stands in no
# lock, since its files differ by machine: for CPUs, for CUDA, for ROCm.
TORCH ?= torch==2.13.0
TESTING := pytest pytest-xdist hypothesis import-linter grimp hatchling nbclient nbformat ipykernel \
	plotly playwright cmaes lion-pytorch optax pytorch-optimizer schedulefree
OF_TORCH := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-, cublas \
	cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse \
	cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)

.PHONY: demo setup test test-fast test-all test-postgres test-arithmetic lint format notebooks bench \
	bare bench-gpu-bare bench-gpu figures lock newest lowest clean

demo: setup  ## train the embedded study and draw its heatmaps
	$(BIN)/landscape run

setup: .venv/installed

.venv/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv
	$(INSTALL) --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet $(TORCH)
	$(INSTALL) --editable '.[dev]'
	touch $@

lock:  ## renew requirements.lock with the newest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv
	.venv-lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --upgrade $(addprefix --no-emit-package , $(OF_TORCH)) \
		--custom-compile-command "make lock" --output-file requirements.lock

newest:  ## the tests with the newest versions that pyproject.toml allows; run it monthly
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install --quiet $(TORCH)
	.venv-newest/bin/pip install --quiet --editable '.[dev]'
	.venv-newest/bin/pip freeze --exclude-editable | sort > .venv-newest/versions
	sed -n 's/^\([A-Za-z0-9._-]*==[^ ]*\).*/\1/p' requirements.lock | sort | \
		diff --ignore-case - .venv-newest/versions | grep '^[<>]' || true
	.venv-newest/bin/$(PYTEST) -m "not long and not notebook"

lowest:  ## the fast tests with the lowest versions that pyproject.toml allows, but for PyTorch
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet uv $(TORCH)
	echo $(TORCH) > .venv-lowest/torch
	.venv-lowest/bin/uv pip compile pyproject.toml --extra tasks --extra postgres --extra dask \
		--extra xarray --quiet --resolution lowest-direct \
		--override .venv-lowest/torch --no-annotate \
		$(addprefix --no-emit-package , $(OF_TORCH)) --output-file .venv-lowest/versions
	.venv-lowest/bin/pip install --quiet --requirement .venv-lowest/versions $(TESTING)
	.venv-lowest/bin/pip install --quiet --no-deps --editable .
	.venv-lowest/bin/$(PYTEST) -m "not slow and not long and not notebook"

test: setup  ## the tests but those that take long, one process per core: less than five minutes
	$(BIN)/$(PYTEST) -m "not long and not notebook"

test-fast: setup  ## those that take a moment each: less than two minutes
	$(BIN)/$(PYTEST) -m "not slow and not long and not notebook"

test-all: setup  ## all tests but the notebooks
	$(BIN)/$(PYTEST) --durations=60 -m "not notebook"

test-postgres: setup  ## all tests, beside a PostgreSQL server of their own
	$(BIN)/python -m tests.postgres $(MAKE) test-all

# PyTorch, MKL and oneDNN choose their code when they load. MKL follows the first of its variables
# on processors of Intel, the second on all.
LOWEST := ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 MKL_CBWR=COMPATIBLE \
	ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1
AVX2 := ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 MKL_CBWR=AVX2 \
	ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=2
ARITHMETIC = $(BIN)/$(PYTEST) -m "arithmetic and not long" \
	$(shell grep -rl --include 'test_*.py' arithmetic tests)

test-arithmetic: setup  ## tests that compare numbers, under the lowest instruction set and AVX2
	$(LOWEST) $(ARITHMETIC)
	$(AVX2) $(ARITHMETIC)

lint: setup  ## style, format, types, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: setup  ## execute the notebooks against a small study
	$(BIN)/$(PYTEST) -m notebook tests/test_notebooks.py

# The paper's figures at laptop scale, as docs/figures.md shows them.
FIGURES := chars-fig2 chars-placements digits-batch digits-fig1 digits-fig2 digits-fig3 digits-fig4 \
	digits-fig4-mnist5k digits-placements digits-rules digits-supp1 digits-supp2 \
	digits-supp3 digits-supp3-mnist5k digits-supp4 digits-supp5 digits-supp6 digits-torch \
	mnist5k-batch mnist5k-fig2 mnist5k-placements mnist5k-rules mnist5k-torch

figures: setup  ## train the laptop presets and draw docs/figures: an hour on two CPU cores
	set -e; for study in $(FIGURES); do \
		$(BIN)/landscape run $$study --no-plot; \
		$(BIN)/landscape plot $$study -o docs/figures/$$study.png; \
	done

bench: setup  ## speed, against other ways and the machine's limit: an hour on an idle machine
	$(BIN)/python -m benchmarks

bench-gpu: setup  ## the same on a GPU, where there is one: less than 8 minutes
	$(BIN)/python -m benchmarks.gpu

# What bench-gpu needs beside Python and PyTorch, for a machine that reaches no network. Packed here
# for its Python, the folder goes there together with the repository.
BARE ?= annotated-types click cloudpickle filelock joblib lazy-loader numpy packaging platformdirs \
	psutil pydantic pydantic-core tomli-w typing-extensions typing-inspection
THERE ?= 3.11

bare: setup  ## pack into build/bare what bench-gpu-bare needs; THERE=3.12 says for which Python
	rm -rf build/bare
	$(BIN)/uv pip install --quiet --no-deps --only-binary :all: --target build/bare \
		--python-version $(THERE) --constraint requirements.lock $(BARE)

bench-gpu-bare:  ## bench-gpu with the machine's own Python and PyTorch, and build/bare
	PYTHONPATH=build/bare:src:. $(PYTHON) -m benchmarks.gpu $(GPU_OPTIONS)

clean:
	rm -rf .venv .venv-lock .venv-newest .venv-lowest build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
