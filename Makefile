# `make demo` and `make test` each work alone on a fresh clone: they make .venv, install, and run.
PYTHON ?= python3
BIN = .venv/bin
# Test files at a time. Most of a test's time is the start of processes, which leaves half of two cores idle.
WORKERS ?= 2

# of `make friend`; set here, so that a variable of the shell's that has the same name is not taken for an option
NAME =
HOURS =
MODEL =
CONFIG =
DATA =
SETTINGS =
# of `make chaos`, `make soak`, `make gpu-check` and `make gpu-league`
OPTIONS =
# of `make fuzz`
EXAMPLES =

.PHONY: install demo friend test unit slow fuzz chaos lint bench soak gpu-check gpu-league audit clean
.DEFAULT_GOAL := help

help:
	@echo "make install  .venv with everything; prints how to go on"
	@echo "make demo   the miniature league, the eight stages, a fine-tuning and a reply (about ten minutes on two cores)"
	@echo "make friend everything up to the page, resumable: HOURS=48, MODEL=v2, CONFIG=laptop, DATA=DIR, NAME=friend"
	@echo "make test   the quick tests;  make slow   the slow ones;  make lint   ruff, ruff format, mypy, codespell"
	@echo "make fuzz   50,000 bad inputs of every kind; writes results/reference/fuzz.md"
	@echo "make chaos  400 faults in runs of their own, some hours, resumable: docs/chaos.md"
	@echo "make gpu-check   is it right and fast on this card: at most eight minutes; make gpu-league  leagues on it: 25"
	@echo "make soak   the whole pipeline 50 times in one process tree, 10,000 requests to the server: what is left behind"
	@echo "make audit  are faults known of the packages it is built on: asks pypi.org, with pip-audit"
	@echo "make bench  our steps beside the peers', which it installs, and every other figure of docs/speed.md (45 to 90 minutes)"

.venv/installed: pyproject.toml
	@echo "1 of 3: a virtual environment in .venv"
	@$(PYTHON) -m venv .venv
	@echo "2 of 3: pip itself"
	@$(BIN)/pip install --disable-pip-version-check --upgrade pip
	@echo "3 of 3: PyTorch, Ray and the rest: some gigabytes, 3 to 10 minutes by the connection"
	@$(BIN)/pip install --editable '.[test]'
	@touch $@
	@echo "installed in .venv"

install: .venv/installed
	@echo "source .venv/bin/activate     # then, in this shell: hamner, tournament, curriculum"
	@echo "make demo                     # a miniature league, the eight stages and a reply: about ten minutes"
	@echo "make friend                   # the real thing, resumable; the plan is printed first: docs/friend.md"

# with the config's own numbers, rounds of 100, 100 and 200 steps and stages of 100, it takes about eight minutes more
# sixty steps can go on with conversations as the stages have read them, and hardly begin with those that show habits
demo: .venv/installed
	@DEMO=demo-$$(date +%Y%m%d-%H%M%S) && \
	echo "a miniature league, the eight stages and the decay, a fine-tuning: eight to ten minutes on two idle cores" && \
	$(BIN)/tournament --config laptop --name $$DEMO 'steps=[20,20,40]' && \
	$(BIN)/curriculum run winner --tournament $$DEMO --config laptop --name $$DEMO max_steps=40 skill_items=40 && \
	$(BIN)/hamner sft $$DEMO --name $$DEMO max_steps=60 evaluations=5 learning_rate_factor=0.4 'sources={builtin=1}' && \
	echo && echo 'you: Hello' && printf 'hamner: ' && echo 'Hello' | $(BIN)/hamner chat $$DEMO --temperature 0 && \
	echo && echo "to go on in this shell:" && \
	echo "    source .venv/bin/activate" && \
	echo "    hamner chat $$DEMO              # talk to it" && \
	echo "    tournament --plan               # what a league on this machine would cost"

friend: .venv/installed
	@$(BIN)/hamner friend $(if $(NAME),--name $(NAME)) $(if $(HOURS),--hours $(HOURS)) $(if $(MODEL),--model $(MODEL)) \
		$(if $(CONFIG),--config $(CONFIG)) $(if $(DATA),--data $(DATA)) $(SETTINGS)

test: .venv/installed
	@echo "the quick tests: fifteen to twenty minutes on two idle cores"
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

# without the tests that run whole leagues and curricula
unit: .venv/installed
	$(BIN)/python -m pytest -m "not slow and not end_to_end"

slow: .venv/installed
	$(BIN)/python -m pytest -m slow -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

# what it finds is kept in tests/fuzz/corpus/, which the quick tests read; EXAMPLES=200000 for a night
fuzz: .venv/installed
	$(BIN)/python tests/fuzz/run_fuzz.py $(if $(EXAMPLES),--examples $(EXAMPLES))

# stopped and started again it goes on; docs/chaos.md
chaos: .venv/installed
	$(BIN)/python tests/chaos/long.py $(OPTIONS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

# litgpt asks for an older huggingface-hub than transformers, though its model needs none: it comes by itself
.venv/peers: .venv/installed
	$(BIN)/pip install --editable '.[bench]'
	$(BIN)/pip install --no-deps 'litgpt>=0.5.13'
	touch $@

bench: .venv/peers
	for shape in tiny v3 memory; do $(BIN)/python tests/benchmarks/step.py $$shape || exit 1; done
	for name in attention experts generate checkpoint scaling league; do \
		$(BIN)/python tests/benchmarks/$$name.py || exit 1; done
	for what in read steps; do $(BIN)/python tests/benchmarks/feed.py $$what || exit 1; done

# half an hour to an hour; OPTIONS='--rounds 3 --requests 200' is a short one
soak: .venv/installed
	$(BIN)/python tests/benchmarks/soak.py $(OPTIONS)

# both say how long they take; docs/gpu_check.md
gpu-check: .venv/installed
	$(BIN)/python tests/gpu/gpu_check.py $(OPTIONS)

gpu-league: .venv/installed
	$(BIN)/python tests/gpu/gpu_league.py $(OPTIONS)

# needs the network, and pip-audit, which nothing else here needs; docs/dependencies.md. Strict: else a mirror of PyPI that
# knows nothing of faults leaves every package out, and "No known vulnerabilities found" is the answer
audit: .venv/installed
	@test -x $(BIN)/pip-audit || { echo "no pip-audit: $(BIN)/pip install pip-audit"; exit 1; }
	@$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement tests/constraints.txt \
		|| { echo "pip-audit has found something, or could not ask pypi.org (offline?): its lines above say which"; exit 1; }

clean:
	rm -rf .venv build *.egg-info
