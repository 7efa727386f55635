# Needs: make, and Python 3.11 or newer with its venv module. Everything else goes into .venv, at the versions in requirements/.
# Another Python: make PYTHON=/path/to/python3.12 ...

VENV  ?= .venv
VENV2 ?= .venv-nbdev2
VENVD ?= .venv-docs
NBS   ?=
NUMPY ?=
PYTEST_ARGS ?= -n auto

FIT := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
            $$p -c '$(FIT)' >/dev/null 2>&1 && { echo $$p; break; }; done)
endif

BIN := $(VENV)/bin
PIP  = bin/python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup fashion test test-long pytest nbtest nbdev2 bench parallel sparse networks peers lab docs docs-serve test-docs export prepare readme coverage check lock dist clean

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## */make \1\t/' | expand -t 16

# ---- environments: a stamp file each, so that setting up is done again only when the versions change

define new_venv
@$(if $(PYTHON),'$(PYTHON)' -c '$(FIT)',false) || { echo >&2 \
  "$(if $(PYTHON),$(PYTHON) will not do,No suitable Python found): Python 3.11 or newer with its venv and ensurepip modules is needed (on Debian the package python3-venv). Name one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
'$(PYTHON)' -m venv --clear $(@D)
@touch $@
endef

$(VENV)/.made $(VENV2)/.made $(VENVD)/.made:
	$(new_venv)

$(VENV)/.dev: $(VENV)/.made requirements/dev.txt pyproject.toml
	$(@D)/$(PIP) -c requirements/dev.txt 'setuptools>=77'
	$(@D)/$(PIP) -c requirements/dev.txt --no-build-isolation -e '.[dev]'
	$(if $(NUMPY),$(@D)/$(PIP) 'numpy==$(NUMPY)')
	@touch $@

$(VENV)/.lab: $(VENV)/.dev
	$(@D)/$(PIP) -c requirements/dev.txt --no-build-isolation -e '.[dev,lab]'
	@touch $@

$(VENV2)/.dev: $(VENV2)/.made requirements/nbdev2.txt settings.ini
	sed -nE 's/^(dev_)?requirements = //p' settings.ini | tr ' ' '\n' > $(@D)/requirements.in
	$(@D)/$(PIP) -c requirements/nbdev2.txt -r $(@D)/requirements.in
	@touch $@

setup: $(VENV)/.dev  ## the environment that the rest works in (done by itself where needed)

$(VENVD)/.docs: $(VENVD)/.made requirements/docs.txt pyproject.toml
	$(@D)/$(PIP) -c requirements/docs.txt 'setuptools>=77'
	$(@D)/$(PIP) -c requirements/docs.txt --no-build-isolation -e '.[docs]'
	@touch $@

$(VENVD)/.lite: $(VENVD)/.docs
	$(@D)/$(PIP) -c requirements/docs.txt --no-build-isolation -e '.[docs,lite]'
	@touch $@

# ---- the two commands

fashion: $(VENV)/.dev  ## the main job: train on FashionMNIST, print the final table, leave notebook and figures in build/fashion
	@$(BIN)/python tools/notebooks.py main

test: nbtest pytest  ## all tests: the notebooks, then pytest

# ---- their parts, and the rest

nbtest pytest nbdev2 test-long docs test-docs: export OPENBLAS_NUM_THREADS = 1

nbtest: $(VENV)/.dev  ## the notebooks, with nbdev 3
	$(BIN)/nbdev-test

pytest: $(VENV)/.dev  ## pytest alone; PYTEST_ARGS='-k tensor' to choose
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-long: $(VENV)/.dev  ## pytest at length: a hundred kills of a training run instead of ten, malformed files by the ten thousand, malformed arguments by the hundred thousand
	$(BIN)/python -m pytest --long --timeout 3600 $(PYTEST_ARGS)

nbdev2: $(VENV2)/.dev  ## the notebooks, with nbdev 2 in an environment of its own
	$(VENV2)/bin/nbdev_test

bench: $(VENV)/.dev  ## time and memory beside hand-written NumPy and the peers that are installed; BENCH_ARGS='--threads 2' to choose
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

parallel: $(VENV)/.dev  ## what a second thread and a second Dask worker are worth, with bytes and growth (three minutes on a quiet machine); into benchmarks/results
	$(BIN)/python benchmarks/parallel.py

sparse: $(VENV)/.dev  ## a step on a sparse matrix beside its two products; into benchmarks/results
	$(BIN)/python benchmarks/sparse_products.py --output benchmarks/results

networks: $(VENV)/.dev  ## the CNN on all of FashionMNIST and the transformer that adds, in full (half an hour at most); into benchmarks/results/networks
	$(BIN)/python benchmarks/networks.py cnn
	$(BIN)/python benchmarks/networks.py addition

peers: $(VENV)/.dev  ## the other libraries for `make bench`; for a PyTorch without CUDA's gigabytes put its build for the CPU into .venv before
	$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements/dev.txt --no-build-isolation -e '.[bench]'

lab: $(VENV)/.lab  ## JupyterLab on the notebooks, which it is told to trust: of others it shows no stored drawing
	$(BIN)/jupyter trust nbs/*.ipynb >/dev/null
	$(BIN)/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/nbs $(LAB_ARGS)

docs: $(VENVD)/$(if $(LITE),.lite,.docs)  ## the site, in _docs: from the notebooks as they are stored, nothing is run again; needs npm once, for MathJax; LITE=1 adds JupyterLite
	$(VENVD)/bin/python -W ignore tools/docs.py build $(if $(LITE),--lite)

docs-serve: docs  ## the site at http://localhost:8000; DOCS_ARGS='--port 8001' to choose
	@$(VENVD)/bin/python tools/docs.py serve $(DOCS_ARGS)

test-docs: docs  ## every page of the site in a browser (Chromium is needed), pictures of them in build/docs-shots
	$(VENVD)/bin/python -m pytest -q -p no:cacheprovider -n 2 tests_docs

export: $(VENV)/.dev  ## notebooks to autodiffnb/*.py
	$(BIN)/nbdev-export

prepare: export  ## before a commit: export, run and store outputs, clean, README; NBS='nbs/00_tensor.ipynb' runs that one only
	$(BIN)/python tools/coverage_page.py
	$(BIN)/python tools/notebooks.py run $(NBS)
	$(BIN)/nbdev-clean
	$(BIN)/python tools/readme.py

readme: $(VENV)/.dev  ## README.md from nbs/index.ipynb
	$(BIN)/python tools/readme.py

coverage: $(VENV)/.dev  ## nbs/coverage.ipynb, the table of what can be differentiated
	$(BIN)/python tools/coverage_page.py

check: $(VENV)/.dev  ## are the export, the README, the coverage table and the stored outputs current? (the last notebook against `make fashion`'s copy)
	$(BIN)/python -m pytest -q tests/test_notebooks.py
	$(BIN)/python tools/readme.py --check
	$(BIN)/python tools/coverage_page.py --check
	$(BIN)/python tools/notebooks.py check $(NBS)

dist: $(VENV)/.dev  ## wheel and sdist in dist/
	$(BIN)/python -m build --no-isolation

lock:  ## newest versions into requirements/*.txt
	$(MAKE) requirements/.lock VENV=build/lock VENV2=build/lock2 VENVD=build/lock3

.PHONY: requirements/.lock
requirements/.lock: $(VENV)/.made $(VENV2)/.made $(VENVD)/.made
	$(VENV)/$(PIP) 'setuptools>=77'
	$(VENV)/$(PIP) --no-build-isolation -e '.[dev,lab]'
	{ sed '/^[^#]/d' requirements/dev.txt; $(BIN)/python -m pip freeze --all --exclude pip --exclude-editable; } > $(VENV)/new.txt
	sed -nE 's/^(dev_)?requirements = //p' settings.ini | tr ' ' '\n' > $(VENV2)/requirements.in
	$(VENV2)/$(PIP) -r $(VENV2)/requirements.in 'setuptools>=77'
	{ sed '/^[^#]/d' requirements/nbdev2.txt; $(VENV2)/bin/python -m pip freeze --all --exclude pip; } > $(VENV2)/new.txt
	$(VENVD)/$(PIP) 'setuptools>=77'
	$(VENVD)/$(PIP) --no-build-isolation -e '.[docs,lite]'
	{ sed '/^[^#]/d' requirements/docs.txt; $(VENVD)/bin/python -m pip freeze --all --exclude pip --exclude-editable; } > $(VENVD)/new.txt
	mv $(VENV)/new.txt requirements/dev.txt
	mv $(VENV2)/new.txt requirements/nbdev2.txt
	mv $(VENVD)/new.txt requirements/docs.txt

clean:  ## away with everything that can be made again, the environments too
	rm -rf .venv .venv-* $(VENV) $(VENV2) $(VENVD) build dist *.egg-info _docs _proc .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
