# Everything a person runs, in one place. `make` alone tells what there is.
#
# Each tool has an environment of its own, because each pins packages that the others must not share. They are
# made once, from hashed requirements, and again when these change.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

# Containers often forbid it to write bytecode: then each of pytest's processes compiles all tests anew, two seconds long.
export PYTHONDONTWRITEBYTECODE :=

REQUIREMENTS := tests/requirements
ENVIRONMENTS := .venv .venv-lambda .venv-ministack .venv-sam
STAMPS := $(ENVIRONMENTS:%=%/.complete)
# Large, and needed for few targets.
BROWSER := .venv-browser
SCANNER := .venv-checkov
PLOTTER := .venv-plots
LOADER := .venv-load
ALTERNATIVES := .venv-alternatives
RELEASER := .venv-release
COMPILER := .venv-uv
PYTHON := .venv/bin/python

# The newest interpreter that really runs; the shims of version managers may exist and fail.
FIND_PYTHON = for candidate in python3.14 python3.13 python3.12 python3.11 python3; do \
	  if "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; \
	  then echo "$$candidate"; exit; fi; \
	done; \
	echo "error: no Python from 3.11 to 3.14 runs: install one of them, and put it on PATH." >&2; exit 1

.PHONY: help setup requirements build release demo local replay send check-connector verify-deployment test format lint types unit property integration tools template audit end_to_end page threads release-check reliability promises neighbours backlog kills newcomers soak bench bench-quick bench-alternatives alternatives screenshots fuzz clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- environments and build ------------------------------------------------------------------------------

setup:  ## Make the tools' environments (once, and again when requirements change)
	@$(MAKE) -s -j 2 $(STAMPS)

.venv/.complete: $(REQUIREMENTS)/development.txt
.venv-lambda/.complete: $(REQUIREMENTS)/lambda_runtime.txt .venv/.complete
.venv-ministack/.complete: $(REQUIREMENTS)/ministack.txt
.venv-sam/.complete: $(REQUIREMENTS)/sam.txt
$(BROWSER)/.complete: $(REQUIREMENTS)/browser.txt
$(SCANNER)/.complete: $(REQUIREMENTS)/checkov.txt
$(PLOTTER)/.complete: $(REQUIREMENTS)/plots.txt
$(LOADER)/.complete: $(REQUIREMENTS)/load.txt
$(ALTERNATIVES)/.complete: $(REQUIREMENTS)/alternatives.txt
$(RELEASER)/.complete: $(REQUIREMENTS)/release.txt
$(COMPILER)/.complete: $(REQUIREMENTS)/uv.txt

# Functions are built for the project's interpreter, so they must run on the same.
.venv-lambda/.complete: FIND_PYTHON = echo .venv/bin/python

# The lists are complete, so that pip need not resolve; --no-deps also keeps older pips from refusing pins with extras.
$(STAMPS) $(BROWSER)/.complete $(SCANNER)/.complete $(PLOTTER)/.complete $(LOADER)/.complete $(ALTERNATIVES)/.complete $(RELEASER)/.complete $(COMPILER)/.complete: %/.complete:
	@python=$$($(FIND_PYTHON)); \
	echo "Installing $* (once) ..."; \
	rm -rf $*; \
	"$$python" -m venv $* >/dev/null || { \
	  echo "error: $$python cannot make virtual environments: install its venv module (Debian: apt install python3-venv)." >&2; \
	  exit 1; }; \
	$*/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --require-hashes -r $< || { \
	  echo "error: the packages of $< could not be installed: see above, and whether the package index can be reached." >&2; \
	  exit 1; }; \
	touch $@

# Universal: one list for every platform and each Python from 3.11 on. Pins stay as they are unless UPGRADE names them,
# and a list that comes out the same is not touched: a newer one would be installed again.
requirements: $(COMPILER)/.complete  ## Compile the requirements' .in files; UPGRADE='urllib3 certifi' raises these pins
	@new=$$(mktemp); trap 'rm -f "$$new"' EXIT; \
	for list in layers/dependencies/requirements $(basename $(wildcard $(REQUIREMENTS)/*.in)); do \
	  cat "$$list.txt" >"$$new"; \
	  $(COMPILER)/bin/uv pip compile --quiet --universal --python-version 3.11 --python $(COMPILER)/bin/python \
	    --generate-hashes --no-header $(UPGRADE:%=--upgrade-package %) "$$list.in" --output-file "$$new"; \
	  cmp -s "$$new" "$$list.txt" || cat "$$new" >"$$list.txt"; \
	done

build: setup  ## Build the functions and layers for this machine
	@$(PYTHON) -m tests.local_stack.build

release: setup  ## Make dist/responsys-activation-{version}.zip of the commit, which the AWS CLI alone deploys
	@PYTHONPATH=.ci $(PYTHON) -m release

# ---- running ---------------------------------------------------------------------------------------------

demo: setup $(if $(RELEASE),$(RELEASER)/.complete)  ## Everything from an SQS message to a Responsys event, with a report
	@PYTHONPATH=layers/responsys_activation exec $(PYTHON) -u -m tests.local_stack.demo $(RELEASE:%=--release %)

local: setup  ## The same stack, kept running for playing by hand, with a page to look at
	@PYTHONPATH=layers/responsys_activation exec $(PYTHON) -u -m tests.local_stack

# The command of operators, with variables for its options: ERROR_CODE=x becomes --error-code=x, APPLY=1 --apply. What is
# none of its options it refuses. Only what stands behind `make` counts: a STACK of the environment would send a command
# for the local stack to AWS.
FLAGS := APPLY FORGET_REFUSED_LOGIN IN_DOUBT JSON SEND TEMPORARY_RULE TEMPORARY_TOPIC YES
GIVEN = $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
define operate
	@options=(); \
	for name in $(GIVEN); do \
	  option=--$$(tr 'A-Z_' 'a-z-' <<<"$$name"); \
	  case " $(FLAGS) " in \
	    *" $$name "*) \
	      [[ $${!name} == 1 ]] || { echo "error: $$name must be 1, or left out." >&2; exit 2; }; \
	      options+=("$$option");; \
	    *) options+=("$$option=$${!name}");; \
	  esac; \
	done; \
	PYTHONPATH=layers/responsys_activation exec $(PYTHON) -m responsys_activation.cli $(1) $${options[@]+"$${options[@]}"}
endef

check-connector: .venv/.complete  ## Would the connectors deliver? CONNECTOR=name for one (FORGET_REFUSED_LOGIN=1)
	$(call operate,check)

replay: .venv/.complete  ## Count dead letters that would go back (ERROR_CODE=..., docs/runbook.md#replaying-dead-letters); APPLY=1 moves them
	$(call operate,replay)

send: .venv/.complete  ## Send one membership and follow it: PROFILE_ID=p1 SEGMENT=aud-42 ID=364470825 CALL_TYPE=ADD
	$(call operate,send)

verify-deployment: .venv/.complete  ## Does a deployed stack work? STACK=name (SEND=1 PROFILE_ID=... as for send, docs/first-hour.md)
	$(call operate,verify)

# ---- what a change must pass ------------------------------------------------------------------------------

test: format lint types unit property integration tools template audit end_to_end  ## All of the checks below

format: setup  ## Is the code formatted?
	$(PYTHON) -m ruff format --check .

lint: setup  ## Does ruff find fault, and do imports keep to the rule of the rooms?
	$(PYTHON) -m ruff check .
	PYTHONPATH=layers/responsys_activation .venv/bin/lint-imports --no-logo --no-cache

types: setup  ## Do the types agree (mypy, strict)?
	$(PYTHON) -m mypy

unit: setup  ## Tests without AWS or HTTP
	$(PYTHON) -m pytest --numprocesses 2 tests/unit

property: setup  ## The law of outcomes in 2,000 random worlds of faults, kills and redeliveries; hostile bodies
	$(PYTHON) -m pytest --numprocesses 2 --maxschedchunk 2 tests/property

# These and the end-to-end tests mostly wait, for delays and batching windows: several at a time, each process with a stack of its own.
integration: setup  ## Tests with an emulated AWS or Responsys
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile tests/integration

tools: setup  ## Tests of the tests' own tools: simulator, local stack, fakes
	$(PYTHON) -m pytest --numprocesses 2 --dist loadfile -m "not browser and not alternatives" tests/tools

template: setup  ## Tests of the template, and sam validate --lint
	AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam validate --lint --template template.yaml
	$(PYTHON) -m pytest --numprocesses 2 tests/template

audit: setup $(SCANNER)/.complete  ## Scan template, requirements and repository, without a network
	$(PYTHON) -m pytest tests/audit

end_to_end: setup  ## Tests of the deployed stack
	$(PYTHON) -m pytest --numprocesses 4 --dist loadfile -m "not browser" tests/end_to_end

page: setup $(BROWSER)/.complete  ## Tests of the local stack's page, in a real browser
	$(PYTHON) -m pytest -m browser tests/tools tests/end_to_end

# ---- what takes longer -------------------------------------------------------------------------------------

release-check: setup $(RELEASER)/.complete  ## Make a release twice for this Python: the same? Deployed by its own command, does it deliver?
	$(PYTHON) -m pytest tests/release

reliability: setup  ## Bring about every fault on the deployed stack; writes the table in docs/reliability.md
	$(PYTHON) -m tests.reliability

threads: setup  ## Unit tests under fast thread switching, RUNS (20) times
	for run in $$(seq $(or $(RUNS),20)); do SWITCH_INTERVAL=0.00001 $(PYTHON) -m pytest -q tests/unit || exit 1; done

promises: setup  ## Slow replies and outages in virtual time: doubles uncounted, last states wrong
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.reliability.promises

neighbours: setup  ## A burst of one account beside a trickle of another: how long does the latter wait?
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.reliability.neighbours

backlog: setup  ## Work off 120,000 messages: is the account's limit kept, and used?
	$(PYTHON) -m tests.reliability.throughput

kills: setup  ## Kill the function 200 times while 20,000 messages flow
	$(PYTHON) -m tests.reliability.kills

newcomers: setup  ## Create 3,000 new people of 10,000 messages once, through kills and throttles
	$(PYTHON) -m tests.reliability.newcomers

soak: setup  ## The law of outcomes in random worlds, for MINUTES (10)
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.property --minutes $(or $(MINUTES),10)

fuzz: setup  ## Hostile bodies against the delivery code, and mutated ones of platforms, BODIES (100000) of each
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.hostile --bodies $(or $(BODIES),100000)
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.hostile.platforms --bodies $(or $(BODIES),100000)

bench: setup $(PLOTTER)/.complete $(LOADER)/.complete  ## Measure everything in docs/performance.md (BENCHMARKS='cpu cost' for some)
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.benchmarks $(BENCHMARKS)
	$(PLOTTER)/bin/python -m tests.benchmarks.plots

bench-quick: setup  ## Ratios of CPU, of cold start and of the limit, in a minute; JSON on the last line
	@PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.benchmarks.quick

bench-alternatives: setup $(ALTERNATIVES)/.complete $(PLOTTER)/.complete  ## The same faults for what people would use instead, 20 minutes (SUBJECTS=by_hand for one)
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.benchmarks.alternatives $(SUBJECTS)
	$(PLOTTER)/bin/python -m tests.benchmarks.alternatives.plot

alternatives: setup $(ALTERNATIVES)/.complete  ## Tests of these subjects: does each deliver, and can it fail?
	$(PYTHON) -m pytest -m alternatives tests/tools/test_alternatives.py

screenshots: setup $(BROWSER)/.complete $(PLOTTER)/.complete  ## Take docs/page-*.png: the local stack's page during a throttle, light and dark
	PYTHONPATH=layers/responsys_activation $(PYTHON) -m tests.browser.screenshots
	$(PLOTTER)/bin/python -m tests.browser.palette

clean:  ## Remove builds and environments
	rm -rf .aws-sam .local dist build *.egg-info $(ENVIRONMENTS) $(BROWSER) $(SCANNER) $(PLOTTER) $(LOADER) $(ALTERNATIVES) $(RELEASER) $(COMPILER)
