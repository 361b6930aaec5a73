# `make demo` and `make test` each work alone on a fresh clone: they make .venv, install, and run.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test slow lint clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   the miniature league, the eight stages and a reply (about ten minutes on two cores)"
	@echo "make test   the quick tests;  make slow   the slow ones;  make lint   ruff and mypy"

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

demo: .venv/installed
	@DEMO=demo-$$(date +%Y%m%d-%H%M%S) && \
	$(BIN)/tournament --config laptop --name $$DEMO && \
	$(BIN)/python -m curriculum.run winner --tournament $$DEMO --config laptop --name $$DEMO && \
	echo && echo 'you: Hello' && printf 'hamner: ' && echo 'Hello' | $(BIN)/python -m hamner.chat $$DEMO --temperature 0

test: .venv/installed
	$(BIN)/python -m pytest

slow: .venv/installed
	$(BIN)/python -m pytest -m slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv build *.egg-info
