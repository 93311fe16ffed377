# `make demo` and `make test` each work alone on a bare machine with python3: the first call makes .venv and installs
# into it, a second call installs nothing.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= runs/demo
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
OLDEST ?= .oldest-venv
OLDEST_PYTHON ?= $(PYTHON)
# A fixed number of threads makes a CPU run repeatable; two processes or threads are what the demo is timed for.
RUN := PYTHONHASHSEED=0

.PHONY: demo demo-quick test test-quick test-oldest snapshot lint clean

$(READY): setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(PY) -m pip install --quiet --disable-pip-version-check -e ".[dev,export,gallery,hub]"
	touch $@

demo: $(READY)
	$(RUN) $(PY) tools/make_synthetic.py --layout sysu --out datasets/demo --identities 160 --test-identities 60 --images 6 --seed 0 --size 128x64 --difficulty 0.1
	$(RUN) $(PY) tools/benchmark.py --suite benchmarks/suites/demo.yml --out $(DEMO)
	$(RUN) $(PY) tools/visualize.py --run $(DEMO)/rows/mmd_seed0

demo-quick: $(READY)
	$(RUN) $(PY) tools/make_synthetic.py --layout sysu --out datasets/demo-quick --identities 40 --images 2 --seed 0 --size 128x64
	$(RUN) $(PY) tools/benchmark.py --suite benchmarks/suites/demo.yml --out $(DEMO)-quick --data SOLVER.EPOCHS=2 --data SOLVER.SCHEDULE.EPOCHS=2 \
		--data SAMPLER.STEPS=6 --data DATA.ROOT=datasets/demo-quick --data DATA.ATTRIBUTES=datasets/demo-quick/sysu_attribute
	$(RUN) $(PY) tools/visualize.py --run $(DEMO)-quick/rows/mmd_seed0

# One process for each core, at most eight; one thread in each. `make test WORKERS=0` runs everything in one process.
# Files are started in the order of the folders, which begins with the long ones, and not by their number of tests.
WORKERS ?= auto
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(WORKERS) --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
	--timeout 600

test: $(READY)
	$(PYTEST)

# Unit, contract, config and architecture tests without the slow ones, and the end-to-end tests that are marked `quick`.
test-quick: $(READY)
	$(PYTEST) -m "not slow and (not end_to_end or quick)" tests/architecture tests/configs tests/contract tests/end_to_end \
		tests/unit

# Write the snapshots of the public API and of the resolved configs, after a change of them that is intended.
snapshot: $(READY)
	$(PY) tests/architecture/snapshot.py --write
	$(PY) tests/configs/snapshot.py --write

# The quick tests with the oldest versions that setup.py allows, in an environment of their own: several gigabytes, so
# not a part of `make test`. OLDEST_PYTHON may be a python3.10, the oldest that is supported.
test-oldest: $(OLDEST)/.installed
	$(OLDEST)/bin/python -m pytest -q -m "not slow"

$(OLDEST)/.installed: tests/oldest.txt
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(OLDEST)/bin/python -m pip check
	touch $@

lint: $(READY)
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/pyright --pythonpath $(PY)
	$(PY) tests/architecture/vocabulary.py

clean:
	rm -rf $(VENV) $(OLDEST) runs datasets/demo datasets/demo-quick
