# Two commands are enough: `make demo` and `make test`. They install what they need into .venv and say so.
SHELL := /bin/bash
.DEFAULT_GOAL := help
SETUP := scripts/setup

.PHONY: help demo demo-down test test-changed mutations lint unit contract example gcp molecule e2e faults public soak bench rendered docs requirements setup engine

help:            ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  +##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

demo: engine     ## the whole platform on container hosts, with a proof that it works
	@.venv/bin/slipway demo

demo-down:       ## take the demo's containers and network away
	@.venv/bin/slipway lab down

test: engine     ## every layer of tests, with a table at the end
	@tests/run

lint unit contract example gcp: setup    ## one layer: make unit
	@tests/run $@

molecule: engine ## one role on real hosts: make molecule ROLE=redis (all roles without ROLE)
	@tests/run molecule $(if $(ROLE),--only $(ROLE))

e2e faults: engine  ## one layer: make e2e
	@tests/run $@

test-changed: engine ## what the difference from main can break, in minutes
	@tests/run --changed

mutations: setup ## break the product in known places, and see which test notices (ONLY=word: some of them)
	@tests/mutations/run $(if $(ONLY),--only '$(ONLY)')

public: engine   ## three public applications beside the example on one server, from PyPI, Debian and npm (not in make test)
	@.venv/bin/python -m pytest -q tests/public

soak: engine     ## twenty releases under load: no request fails, no task is lost or done twice (not in make test)
	@.venv/bin/python -m pytest -q -s tests/soak

bench: engine    ## timings as ratios: the engine against idiomatic tasks and pyinfra
	@tests/bench/run

rendered: setup  ## write again what site.yml would send to inventories/prod, which a test compares
	@.venv/bin/python tests/unit/rendered/desired.py

docs: setup      ## write the generated parts of the documentation again
	@.venv/bin/python docs/generate.py

setup:           ## .venv from the pinned requirements
	@$(SETUP)

engine: setup    ## a running container engine and the base images
	@.venv/bin/slipway engine && .venv/bin/slipway image

requirements: setup ## pin the newest versions that pyproject.toml allows, with hashes
	@for name in run dev; do \
	  .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make requirements" $$([ $$name = dev ] && echo "--extra dev -c requirements/run.txt") \
	    pyproject.toml -o requirements/$$name.txt || exit 1; done
