# Everything runs in .venv, which is made from requirements.txt when it is missing or older.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: architectures bench demo demo-brain-score soak test

demo: .venv/made
	rm -rf embedded_study
	HF_HUB_OFFLINE=1 python -m demo.forked_commands bash demo/run.sh embedded_study

demo-brain-score: .venv/made
	rm -rf brain_score_demo
	OMP_NUM_THREADS=1 python -m experiments.brain_score.demo --output_folder brain_score_demo

test: .venv/made
	ruff check .
	ruff format --check .
	mypy
	codespell
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# Kills at every step, many races, and the whole embedded study: the long form of tests that make test runs in short.
soak: .venv/made
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m pytest --soak -n auto --dist load tests/commands/test_interruption.py \
		tests/commands/test_races.py tests/whole/test_whole_study.py

# Every causal architecture of Transformers against a plain loop, and a list of the results.
architectures: .venv/made
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m pytest --architectures -n auto tests/pipeline/models/test_architectures.py

# About forty minutes; the results are in speed/README.md.
bench: .venv/made_speed
	python -m speed.encoding
	python -m speed.banded_ridge
	python -m speed.brain_score
	python -m speed.extraction
	python -m speed.minimal_pairs
	python -m speed.generation
	python -m speed.whole_study

.venv/made_speed: .venv/made speed/requirements.txt
	python -m pip install --quiet -r speed/requirements.txt
	touch $@

.venv/made: requirements.txt experiments/brain_score/requirements.txt
	$(PYTHON) -m venv .venv
	python -m pip install --quiet -r requirements.txt -r experiments/brain_score/requirements.txt
	touch $@

# brainscore-language, whose numbers tests compare with ours. It needs NumPy 1. PyTorch is that of .venv.
.venv-brainscore/made: experiments/brain_score/requirements-brainscore.txt .venv/made
	$(PYTHON) -m venv .venv-brainscore
	.venv-brainscore/bin/python -m pip install --quiet --no-deps -r experiments/brain_score/requirements-brainscore.txt
	python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > \
		$$(.venv-brainscore/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/zz_torch.pth
	touch $@

.venv-snakemake/made: requirements-cluster.txt
	$(PYTHON) -m venv .venv-snakemake
	.venv-snakemake/bin/python -m pip install --quiet -r requirements-cluster.txt
	touch $@
