# What to type here: see `make help`. All the work of building an environment is in tools/make_env.py.

# openmmlab or onedl; empty: openmmlab, and onedl on Python 3.12 and newer.
STACK ?=
# The Python to build an environment with; empty: the first of this machine that fits.
PYTHON ?=
# A folder, an index or a page to take a ready mmcv wheel from; empty: build it once.
MMCV_WHEELS ?=
PYTEST_ARGS ?=

# Any Python that can read make_env.py; which one the environment gets is decided there.
BOOT = $(shell for python in python3 python3.11 python3.12 python3.10 python3.9 $(PYTHON); do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 && echo "$$python" && break; done)
NO_BOOT = $(error no Python 3.8 or newer on the PATH: install Python 3.11, or say where it is, as in PYTHON=/opt/bin/python3)
MAKE_ENV = $(or $(BOOT),$(NO_BOOT)) tools/make_env.py --python "$(PYTHON)" --mmcv-wheels "$(MMCV_WHEELS)"
IN_ENV = $(MAKE_ENV) --stack "$(STACK)" --
LINT = $(MAKE_ENV) --stack lint -- ruff

.DEFAULT_GOAL := help
.PHONY: help env demo test lint format clean

help:
	@echo 'make demo      build the environment if it is not there, make mini data, train and test SepViT-T with'
	@echo '               UperNet on it, write pictures and curves'
	@echo 'make test      build the environment if it is not there, run the tests; PYTEST_ARGS="-m slow" and the'
	@echo '               like are passed on to pytest'
	@echo 'make env       build the environment alone: .venv, or .venv-onedl'
	@echo 'make lint      check the code with ruff; make format puts right what it can'
	@echo 'make clean     remove what builds and tests left; environments, data/ and work_dirs/ stay'
	@echo
	@echo 'STACK=openmmlab | onedl     the packages to use (default: openmmlab, and onedl on Python 3.12 and newer)'
	@echo 'PYTHON=python3.10           the Python to build the environment with (default: the first that fits)'
	@echo 'MMCV_WHEELS=FOLDER | URL    take a ready mmcv wheel from there instead of compiling one'

env:
	@$(MAKE_ENV) --stack "$(STACK)"

demo:
	@$(IN_ENV) python tools/demo.py

test:
	@$(IN_ENV) python -m pytest $(PYTEST_ARGS)

lint:
	@$(LINT) check .
	@$(LINT) format --check .

format:
	@$(LINT) check --fix .
	@$(LINT) format .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find mmsepvit tools tests configs -name __pycache__ -type d -prune -exec rm -rf {} +
