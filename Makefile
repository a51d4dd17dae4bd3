# Everything a person or CI runs. A fresh machine needs Python >= 3.11, make, and package registries; the targets
# with newest in their names and test-matrix need a Python >= 3.12 beside it, or as it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
# A target of this file in the other environment.
NEWEST := python=$$($(PYTHON) dev/newest.py) && $(MAKE) --no-print-directory VENV=.venv-newest PYTHON="$$python"
# Tools of ours read nothing from the machine's Python settings.
unexport PYTHONWARNINGS PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help setup setup-newest kubernetes demo image lock e2e e2e-packages molecule chaos fuzz bench test test-unit test-role test-cluster test-chart test-matrix test-newest-sample test-stock-sample sample lint cluster cluster-down clean generate-chart

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the virtual environment with all dependencies and the collections

$(STAMP): pyproject.toml requirements.yml dev/setup.py
	$(PYTHON) dev/setup.py $(VENV)
	@touch $@

setup-newest: ## make .venv-newest with the newest Python of this machine, ansible-core and collections
	@$(NEWEST) setup

kubernetes: $(STAMP) ## find or build etcd, kube-apiserver, kube-controller-manager and kubectl
	$(BIN)/python -m dev.binaries

demo: kubernetes ## show the operator at work on a Kubernetes and an AWS on this machine
	$(BIN)/python -m dev.demo

image: $(STAMP) ## build the operator's image with buildah or docker; IMAGE names it, BASE its base, PLATFORM another platform
	$(BIN)/python -m dev.image

lock: ## write container/requirements.lock anew, with the newest versions in range
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet pip-tools
	env -u PIP_FIND_LINKS build/lock/bin/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
	  --no-annotate --no-header --no-emit-find-links --no-emit-index-url -o container/requirements.lock pyproject.toml

e2e: e2e-packages kubernetes ## run the chart and the image in a real Pod (needs root; installs containerd, runc, buildah, debootstrap)
	$(BIN)/python -m dev.binaries helm helm3 kube-scheduler kubelet
	$(PYTEST) tests/e2e

e2e-packages: ## install what a node needs, where apt-get is there to do it
	@dev/packages.sh

molecule: kubernetes ## run every Molecule scenario
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/molecule test --all

chaos: kubernetes ## kill -9 operator, runs and tasks at every write in turn, then TIMES (200) at random; SEED repeats these
	$(BIN)/python -m tests.chaos --times=$(or $(TIMES),200) $(if $(SEED),--seed=$(SEED))

test: kubernetes ## run every test, two at a time
	$(BIN)/python -m dev.binaries helm helm3 kube-scheduler kubelet
	$(PYTEST) --numprocesses=2 --dist=loadfile --no-loadscope-reorder

test-unit: $(STAMP) ## run the unit tests only (seconds)
	$(PYTEST) tests/unit

test-role: kubernetes ## run the tests of the role only
	$(PYTEST) tests/role

test-cluster: kubernetes ## run the tests of the operator process only
	$(PYTEST) tests/cluster

test-chart: kubernetes ## run the tests of the chart only
	$(BIN)/python -m dev.binaries helm helm3
	$(PYTEST) tests/chart

test-matrix: ## run every test with both environments, warm and stock each
	@for executor in warm stock; do \
	  S3_OPERATOR_TEST_EXECUTOR=$$executor $(MAKE) test && \
	  export S3_OPERATOR_TEST_EXECUTOR=$$executor && $(NEWEST) test || exit 1; \
	done

test-newest-sample: ## run a sample of the tests with the newest Python, ansible-core and collections
	@$(NEWEST) sample

sample: kubernetes
	$(PYTEST) --numprocesses=2 --dist=loadfile \
	  tests/unit tests/role/test_drift.py tests/role/test_playbooks.py tests/cluster/test_operator.py

bench: kubernetes ## measure time, CPU, memory and calls into bench/results (30 min); see bench/README.md
	$(BIN)/python -c "import matplotlib" 2>/dev/null || $(BIN)/python -m pip install --quiet --editable ".[bench]"
	$(BIN)/python -m bench

fuzz: kubernetes ## try FUZZ_EXAMPLES (100) objects that the CRD admits, and 20 times as many policies, other ones each time
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100} $(PYTEST) tests/role/test_any_cr.py tests/unit/role/test_policy_fuzz.py

test-stock-sample: kubernetes ## run the drift rows and a flow of the operator with --executor stock
	S3_OPERATOR_TEST_EXECUTOR=stock $(PYTEST) --numprocesses=2 --dist=loadfile tests/role/test_drift.py \
	  tests/cluster/test_operator.py::test_object_from_create_over_change_and_drift_to_deletion

lint: $(STAMP) ## check format, types, imports, YAML, the role, the playbooks and the scenarios
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint --strict .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline

cluster: kubernetes ## bring Kubernetes and AWS up and leave them running; then: . build/cluster.env
	$(BIN)/python -m dev.cluster up

cluster-down: $(STAMP) ## end what `make cluster` started
	$(BIN)/python -m dev.cluster down

clean: ## remove what was made in this folder (not the cache of built programs)
	@if [ -e build/cluster.json ]; then $(BIN)/python -m dev.cluster down; fi
	rm -rf $(VENV) .venv-newest build *.egg-info .ruff_cache .mypy_cache .import_linter_cache .ansible
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

generate-chart: $(STAMP) ## write the chart's README.md and values.schema.json anew, from the comments of its values.yaml
	$(BIN)/python -m dev.chart_docs
