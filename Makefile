# Everything runs in .venv, which is made from requirements.txt when it is missing or older.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: architectures bench demo soak test

demo: .venv/made
	rm -rf embedded_study
	bash demo/run.sh embedded_study

test: .venv/made
	ruff check .
	ruff format --check .
	mypy
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# Kills at every step, races again and again: the long form of what make test does of it.
soak: .venv/made
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m pytest --soak -n auto --dist load tests/test_interruption.py

# Every causal architecture of Transformers against a plain loop, and a list of what came out.
architectures: .venv/made
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m pytest --architectures -n auto tests/test_architectures.py

# Some forty minutes; benchmarks/README.md says what comes out.
bench: .venv/made_benchmarks
	python -m benchmarks.encoding
	python -m benchmarks.extraction
	python -m benchmarks.minimal_pairs
	python -m benchmarks.whole_study

.venv/made_benchmarks: .venv/made benchmarks/requirements.txt
	python -m pip install --quiet -r benchmarks/requirements.txt
	touch $@

.venv/made: requirements.txt
	$(PYTHON) -m venv .venv
	python -m pip install --quiet -r requirements.txt
	touch $@

.venv-snakemake/made: requirements-cluster.txt
	$(PYTHON) -m venv .venv-snakemake
	.venv-snakemake/bin/python -m pip install --quiet -r requirements-cluster.txt
	touch $@
