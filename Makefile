# Everything runs in .venv, which is made from requirements.txt when it is missing or older.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test

demo: .venv/made
	rm -rf embedded_study
	bash demo/run.sh embedded_study

test: .venv/made
	ruff check .
	ruff format --check .
	python -m pytest

.venv/made: requirements.txt
	$(PYTHON) -m venv .venv
	python -m pip install --quiet -r requirements.txt
	touch $@
