# What to type here: see `make help`. uv builds the environments: docs/environments.md.
SHELL := /bin/sh

# openmmlab or onedl; empty: openmmlab, and onedl where the Python is 3.12 or newer.
STACK ?=
# An interpreter or a version; empty: the first of this machine that fits, or else one that uv fetches.
PYTHON ?=
# The kinds of GPU that mmcv is compiled for, such as 8.0 or "8.0 9.0"; empty: none, it runs on the CPU.
MMCV_CUDA ?= $(sort $(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | grep -x '[0-9.]*'))
# Compilers at a time.
export MAX_JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
PYTEST_ARGS ?=
# Python keeps what it compiles: the packages below a training are 6 seconds of each start without that.
unexport PYTHONDONTWRITEBYTECODE

# The machine's own uv if pyproject.toml takes its version, else the one that pip puts here.
UV := $(or $(shell uv python dir >/dev/null 2>&1 && command -v uv),.uv/bin/uv)

ASK_STACK := import sys; print("onedl" if sys.version_info >= (3, 12) else "openmmlab")
ifeq ($(STACK),)
override STACK := $(or $(shell for python in $(PYTHON) $(PYTHON:%=python%) python3; do \
	"$$python" -c '$(ASK_STACK)' 2>/dev/null && break; done),openmmlab)
endif
ifeq ($(filter $(STACK),openmmlab onedl),)
$(error unknown STACK=$(STACK): there are openmmlab and onedl)
endif
ENV := $(if $(filter onedl,$(STACK)),.venv-onedl,.venv)
IN_ENV = VIRTUAL_ENV="$(CURDIR)/$(ENV)" PATH="$(CURDIR)/$(ENV)/bin:$$PATH"

.DEFAULT_GOAL := help
.PHONY: help env demo test soak lint format docs lock clean FORCE

help:
	@echo 'make demo      build the environment if it is not there, make mini data, train and test SepViT-T with'
	@echo '               UperNet on it, write pictures and curves'
	@echo 'make test      build the environment if it is not there, run the tests; PYTEST_ARGS="-m slow" and the'
	@echo '               like are passed on to pytest'
	@echo 'make soak      the long checks of trainings: kills at random moments, full disks, memory over 2,000 iterations'
	@echo 'make env       build the environment alone: .venv, or .venv-onedl'
	@echo 'make lint      check the code with ruff and mypy; make format puts right what it can'
	@echo 'make docs      build the site into site/, warnings as errors'
	@echo 'make lock      bring requirements/*.lock up to requirements/*.in; UPGRADE=1 takes newer ones of the rest'
	@echo 'make clean     remove what builds and tests left; environments, data/ and work_dirs/ stay'
	@echo
	@echo 'STACK=openmmlab | onedl     the packages to use (default: openmmlab, and onedl on Python 3.12 and newer)'
	@echo 'PYTHON=python3.10 | 3.10    the Python to build the environment with (default: the first that fits)'
	@echo 'MMCV_CUDA="8.0 9.0"         compile mmcv for these GPUs (default: those here; empty: for the CPU)'

env: $(ENV)
	@echo '$(ENV) is complete'
demo: $(ENV)
	@$(IN_ENV) python tools/demo.py
test: $(ENV)
	@$(IN_ENV) python -m pytest $(PYTEST_ARGS)
soak: $(ENV)
	@$(IN_ENV) python -m pytest -m slow -rP tests/test_engine $(PYTEST_ARGS)
lint: .venv-lint
	@.venv-lint/bin/ruff check .
	@.venv-lint/bin/ruff format --check .
	@.venv-lint/bin/python -m mypy
format: .venv-lint
	@.venv-lint/bin/ruff check --fix .
	@.venv-lint/bin/ruff format .
docs: .venv-docs
	@.venv-docs/bin/python -m mkdocs build --strict

# What an environment holds, and for which Pythons.
.venv/ready: requirements/openmmlab.lock setup.py mmsepvit/version.py
.venv/ready: RANGE := >=3.9,<3.12
.venv-onedl/ready: requirements/onedl.lock setup.py mmsepvit/version.py
.venv-onedl/ready: RANGE := >=3.10,<3.13
.venv-lint/ready: requirements/lint.lock
.venv-docs/ready: requirements/docs.lock
.venv-lint/ready .venv-docs/ready: RANGE := >=3.11
.venv/ready .venv-onedl/ready: REQUEST = $(PYTHON)

# Two runs at once build an environment once: the second waits for the first.
FLOCK := $(shell command -v flock)
.PHONY: .venv .venv-onedl .venv-lint .venv-docs
.venv .venv-onedl .venv-lint .venv-docs:
	@$(if $(FLOCK),flock --nonblock $@.lock true || echo 'waiting for another make that builds $@')
	@$(if $(FLOCK),flock $@.lock) $(MAKE) --silent $@/ready

# Of another place or for another Python than it is asked for now: built anew.
$(ENV)/ready: $(shell grep -qsxF 'place $(CURDIR)' $(ENV)/ready && { [ -z '$(PYTHON)' ] || \
	grep -qsxF 'python $(PYTHON)' $(ENV)/ready; } || echo FORCE)

HOLDS = $(filter %.lock,$^)
MMCV = $(shell grep -o '^[a-z-]*mmcv==[0-9.]*' $(HOLDS))
# uv's cache knows a wheel for the CPU and one for a GPU apart by this setting, which mmcv does not read.
KIND = $(if $(MMCV_CUDA),--config-settings-package '$(firstword $(subst ==, ,$(MMCV))):cuda=$(MMCV_CUDA)')
BUILD_ENV = $(if $(MMCV_CUDA),FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST='$(MMCV_CUDA)',FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=)

%/ready: pyproject.toml | $(UV)
	@echo 'building $(@D) from $(HOLDS)'
	@$(UV) venv --quiet --clear --python '$(or $(REQUEST),$(RANGE))' $(@D) || \
		{ echo 'error: $(@D) needs Python $(RANGE): install one, or say where it is with PYTHON=' >&2; exit 1; }
	@$(if $(MMCV),$(UV) pip install --dry-run --python $(@D) --no-deps $(KIND) $(MMCV) 2>&1 | \
		grep -q 'Would download' || exit 0; $(CHECK_BUILD))
	@$(BUILD_ENV) $(UV) pip sync --python $(@D) $(KIND) $(HOLDS) || \
		{ echo 'error: $(@D) is not built, uv says why; its Python is to be $(RANGE)' >&2; exit 1; }
	@$(if $(MMCV),$(UV) pip install --quiet --python $(@D) --no-deps --no-build-isolation --editable .)
	@printf 'place %s\npython %s\n' '$(CURDIR)' '$(PYTHON)' >$@

# Before gigabytes are fetched: what compiling mmcv needs. The program is an extension's smallest part.
define CHECK_BUILD
[ -n "$$UV_FIND_LINKS" ] || printf '\043include <vector>\n\043include <Python.h>\n' | \
	$${CXX:-c++} -x c++ -fsyntax-only - 2>/dev/null \
	-I "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')" || { \
	echo 'error: $(MMCV) is to be compiled, and there is no C++ compiler that finds Python.h: install both' \
		'(Debian and Ubuntu: apt-get install g++ python3-dev)' >&2; exit 1; }; \
[ -z '$(MMCV_CUDA)' ] || [ -x "$${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ] || command -v nvcc >/dev/null || { \
	echo 'error: $(MMCV) is to be compiled for a GPU, and there is no nvcc: install the CUDA toolkit, or leave the' \
		'GPU out with `make MMCV_CUDA= ...`' >&2; exit 1; }; \
df -Pk . "$$($(UV) cache dir)" | awk 'NR > 1 && $$4 < 8000000 { print "error: " int($$4 / 1e6) " GB are free on " $$6 \
	", a new stack takes 8: make room, or set UV_CACHE_DIR" >"/dev/stderr"; full = 1 } END { exit full }' || exit 1; \
echo '$(MMCV) is compiled, once for this Python: about 9 minutes on two cores'
endef

.uv/bin/uv: requirements/uv.lock
	@echo 'fetching uv into .uv'
	@for python in python3 python $(PYTHON); do \
		"$$python" -m pip --version >/dev/null 2>&1 && break; done || { \
		echo 'error: no uv on the PATH, and no Python with pip to fetch it with: install either' >&2; exit 1; }; \
	PIP_ROOT_USER_ACTION=ignore "$$python" -m pip install --quiet --require-hashes --no-deps --upgrade --target .uv -r $<
	@touch $@

LOCK = $(UV) pip compile --quiet --universal --generate-hashes --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
lock: | $(UV)
	@$(LOCK) --python-version 3.9 requirements/openmmlab.in requirements/export.in requirements/test.in -o requirements/openmmlab.lock
	@$(LOCK) --python-version 3.10 requirements/onedl.in requirements/export.in requirements/test.in -o requirements/onedl.lock
	@for group in lint docs uv; do \
		$(LOCK) --python-version 3.11 requirements/$$group.in -o requirements/$$group.lock || exit 1; done

clean:
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find mmsepvit tools tests configs -name __pycache__ -type d -prune -exec rm -rf {} +
