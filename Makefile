# Short verbs for a checkout: `make` lists them. A fresh machine needs Python 3.11-3.13, pip, git and make.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# one pip at a time in the environment, also under make -j
.NOTPARALLEL:
.PHONY: help study test newest bench soak data hashes lint ui reference pictures clean

# The first that starts: a pyenv shim may be on PATH without a Python behind it.
PYTHON ?= $(shell for p in python3.11 python3; do "$$p" -c pass >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV := .venv
RUN := $(VENV)/bin/python
# -qq: errors only; pip warns once per package where an index of the machine lacks it. What is imported is compiled then.
PIP := $(RUN) -m pip install -qq --disable-pip-version-check --no-input --no-compile
PIN = $(shell sed -n '/^torch==/p' constraints.txt)
# which build of PyTorch, as its index names them: cpu, cu126, ...; empty: pip's choice, on Linux the one for CUDA 13.
# One that the environment has is kept.
TORCH ?= $(patsubst torch-%,%,$(basename $(notdir $(wildcard $(VENV)/torch-*.stamp))))
TORCH_INDEX = https://download.pytorch.org/whl
LINT := .venv-lint
LINTERS = ruff==0.17.6 import-linter==2.17 mypy==2.4.1 $(shell sed -n '/^numpy==/p' constraints.txt)
PORT ?=
ARGS ?=

export MLFLOW_DISABLE_TELEMETRY := true
export TOKENIZERS_PARALLELISM := false
export PYTHONUNBUFFERED := 1

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile
	@echo 'ARGS passes arguments on, for example: make study ARGS="--seeds 0 --data masakhaner"'

# What names data or a study file, in every form; %.yaml is one without a name.
OWN_STUDY := $(foreach name,data study_file study-file,--$(name) --$(name)=% $(name)=%) %.yaml %.yml

# on the planted corpora, unless ARGS names other data or another study file
study: $(VENV)/study.stamp  ## fine-tune, score, register and analyse a grid (ARGS: --help lists the parameters)
	$(RUN) entrypoints/study.py $(if $(filter $(OWN_STUDY),$(ARGS)),,--study_file studies/planted.yaml) $(ARGS)

test: export NERTRANSFER_DATA ?= ../shared/data
test: $(VENV)/test.stamp  ## run the tests (ARGS: pytest's own)
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# on the newest Python that is supported, without PyTorch: what reads, counts and parses. The first that starts.
NEWEST ?= $(shell for p in python3.13 "$$(pyenv prefix 3.13 2>/dev/null)/bin/python"; do \
  "$$p" -c pass >/dev/null 2>&1 && { echo "$$p"; break; }; done)
SLICE := $(foreach name,core/test_arguments core/test_commandline corpora/test_fetch corpora/test_words scoring/test_counts \
  scoring/test_scoring analysis/audit/test_corpus_audit,tests/$(name).py)
newest: $(if $(NEWEST),$(VENV)/newest.stamp)  ## run a slice of the tests on Python 3.13 (NEWEST: another one's path)
ifeq ($(NEWEST),)
	@echo 'no Python 3.13 found: the tests on it are left out'
else
	$(VENV)/newest/bin/python -W error -m compileall -qf nertransfer analysis entrypoints tests docs benchmarks
	$(VENV)/newest/bin/python -m pytest -p no:cacheprovider -k 'not (published or masakhaner or real)' $(SLICE)
endif

# a copy of the corpora that stands beside the checkout is read; without one they are downloaded
bench: export NERTRANSFER_DATA ?= $(wildcard ../shared/data)
bench: $(VENV)/test.stamp  ## race the training, scoring and memory against other ways (ARGS: --help lists them)
	$(RUN) benchmarks/speed.py $(ARGS)

soak: $(VENV)/test.stamp  ## an hour of studies under kills, faults and full disks (ARGS: --minutes, --seed, --output)
	$(RUN) benchmarks/soak.py $(ARGS)

data: $(VENV)/study.stamp  ## read corpora strictly and describe them (ARGS: a folder, or masakhaner)
	$(RUN) entrypoints/data.py $(ARGS)

hashes: $(VENV)/test.stamp  ## rewrite hashes.txt after a change of constraints.txt (asks the package index)
	@sed -n '/^#/p' hashes.txt >$(VENV)/hashes.txt
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  -c constraints.txt --extra test $(foreach name,torch triton setuptools,--no-emit-package $(name)) pyproject.toml \
	  | awk '/^[a-z]/ {theirs = /^(nvidia|cuda)-/} !theirs' >>$(VENV)/hashes.txt
	@mv $(VENV)/hashes.txt hashes.txt

lint: $(LINT)/lint.stamp  ## check style (ruff), types (mypy) and layers of imports (import-linter)
	$(LINT)/bin/ruff check .
	$(LINT)/bin/ruff format --check .
	$(LINT)/bin/lint-imports
	$(LINT)/bin/mypy

ui: $(VENV)/study.stamp  ## browse runs, tables and models on this machine (PORT=5000)
	$(RUN) entrypoints/ui.py $(if $(PORT),--port $(PORT)) $(ARGS)

reference:  ## rewrite docs/reference.md and docs/modules.md from the code
	$(PYTHON) docs/make_reference.py

pictures: $(VENV)/test.stamp  ## make the pictures of docs/images and their numbers: the planted study, then Chromium
	$(RUN) entrypoints/study.py --study_file studies/planted.yaml
	$(RUN) docs/screenshots.py

clean:  ## remove the environment and caches; results (mlflow.db, mlruns, reports, work) stay
	rm -rf $(VENV) $(LINT) build *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What an install takes in GB (docs/install.md): the environment, and what is downloaded into a temporary folder and
# kept in pip's cache. NEEDS says it; ROOM stops with one line where a disk has too little left, before anything is done.
SMALL := $(filter cpu,$(TORCH))$(filter Darwin,$(shell uname))
DISK := $(if $(SMALL),3,6)
DOWNLOAD := $(if $(SMALL),1,3)
NEEDS = $(DISK) GB of disk, $(DOWNLOAD) GB are downloaded$(if $(SMALL),, (TORCH=cpu: 3 and 1; docs/install.md has more))
define ROOM
for place in "$(DISK) ." "$(DOWNLOAD) $${TMPDIR:-/tmp}" "$(DOWNLOAD) $${PIP_CACHE_DIR:-$$HOME}"; do \
  df -Pk "$${place#* }" 2>/dev/null | awk -v gb="$${place%% *}" 'NR == 2 {print $$NF, gb, int($$4 / 1048576)}'; \
done | awk '{needed[$$1] += $$2; free[$$1] = $$3} END {for (disk in needed) if (free[disk] < needed[disk]) { \
  print "error: disk", disk, "has", free[disk], "GB free, and the install needs", needed[disk], "GB there, for $(VENV)," \
  " what pip downloads (TMPDIR) and keeps (PIP_CACHE_DIR); docs/install.md says how it needs less, and make ROOM= does not look"; status = 1}; \
  exit status}' >&2
endef

# --- the environment: a stamp is written only after its step has succeeded, so an interrupted one runs again ---

$(VENV)/python.stamp:
	@test -n "$(PYTHON)" || { echo 'error: no Python found; install Python 3.11 or give make PYTHON=...' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "error: Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is $$("$(PYTHON)" --version 2>&1);" \
	  'install Python 3.11 or give make PYTHON=...' >&2; exit 1; }
	@$(ROOM)
	@echo 'making the environment $(VENV) with $(PYTHON): $(NEEDS)'
	@rm -rf $(VENV)
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

# torch first and on its own: it is most of the download, and pip then need not look at it again
TORCH_STAMP := $(VENV)/torch$(addprefix -,$(TORCH)).stamp
$(TORCH_STAMP): $(VENV)/python.stamp constraints.txt
	@echo 'installing $(PIN)$(addprefix +,$(TORCH)) (the first time takes minutes)'
	@$(PIP) -c constraints.txt '$(PIN)$(addprefix +,$(TORCH))' $(addprefix --extra-index-url $(TORCH_INDEX)/,$(TORCH))
	@rm -f $(VENV)/torch*.stamp
	@touch $@

# The rest by uv, which takes seconds where pip takes minutes and compares what it downloads with hashes.txt; by pip
# where uv cannot, for it reads no settings of pip's. What has another hash is installed by neither.
define REST
@{ $(PIP) -c constraints.txt uv && \
  $(VENV)/bin/uv pip install --quiet --python $(VENV) -c hashes.txt -e '$(1)' 2>$(VENV)/uv.log; } || { \
  cat $(VENV)/uv.log >&2; \
  ! grep -q 'Hash mismatch' $(VENV)/uv.log && \
  echo 'uv could not install it: pip does it, which takes minutes' && \
  $(PIP) -c constraints.txt -e '$(1)'; }
endef

$(VENV)/study.stamp: $(TORCH_STAMP) pyproject.toml constraints.txt
	@echo 'installing nertransfer and its other dependencies'
	$(call REST,.)
	@touch $@

# the test environment is the study's and more, so it satisfies both stamps
$(VENV)/test.stamp: $(TORCH_STAMP) pyproject.toml constraints.txt
	@echo 'installing nertransfer with its test tools'
	$(call REST,.[test])
	@touch $(VENV)/study.stamp $@

$(VENV)/newest.stamp: $(VENV)/test.stamp
	@$(VENV)/bin/uv venv --quiet --clear --python "$(NEWEST)" $(VENV)/newest
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/newest -c hashes.txt filelock hypothesis jinja2 matplotlib \
	  pandas pooch psutil pytest pyyaml scipy seqeval tqdm
	@touch $@

# an environment of its own: small, and it can be made beside the other one
$(LINT)/lint.stamp: Makefile constraints.txt
	@echo 'installing $(LINTERS) into $(LINT)'
	@rm -rf $(LINT)
	@"$(PYTHON)" -m venv $(LINT)
	@$(LINT)/bin/python -m pip install -qq --disable-pip-version-check --no-input $(LINTERS)
	@touch $@
