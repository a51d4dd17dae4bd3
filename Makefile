# Everything a person or CI runs. A fresh machine needs Python >= 3.11, make, and package registries; the targets
# with newest in their names and test-matrix need a Python >= 3.12 beside it, or as it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
# A target of this file in the other environment.
NEWEST := python=$$($(PYTHON) dev/newest.py) && $(MAKE) --no-print-directory VENV=.venv-newest PYTHON="$$python"
# The project's tools read nothing from the machine's Python settings.
unexport PYTHONWARNINGS PYTHONPATH PYTHONDONTWRITEBYTECODE

LINT := lint-python lint-types lint-imports lint-yaml lint-ansible lint-words lint-repository

.DEFAULT_GOAL := help
.PHONY: hooks recording release-check help setup setup-newest kubernetes demo image lock e2e e2e-packages molecule chaos fuzz bench test test-unit test-role test-cluster test-chart test-stores test-matrix test-newest-sample test-stock-sample sample lint $(LINT) generate generate-chart check-generated cluster cluster-down clean docs generate-docs

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

demo: kubernetes ## show the operator at work on a Kubernetes and an AWS on this machine; STORE=versitygw: on a store in a folder
	$(BIN)/python -m dev.demo $(STORE)

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

test: kubernetes ## run every test, six at a time, because many of them wait
	$(BIN)/python -m dev.binaries helm helm3 kube-scheduler kubelet versitygw
	$(PYTEST) --numprocesses=6 --dist=loadfile --no-loadscope-reorder

test-unit: $(STAMP) ## run the unit tests only (seconds)
	$(PYTEST) tests/unit

test-role: kubernetes ## run the tests of the role only
	$(PYTEST) tests/role

test-cluster: kubernetes ## run the tests of the operator process only
	$(PYTEST) tests/cluster

test-chart: kubernetes ## run the tests of the chart only
	$(BIN)/python -m dev.binaries helm helm3
	$(PYTEST) tests/chart

test-stores: kubernetes ## run the tests of S3-compatible stores on SeaweedFS, which is built once (8 min)
	$(BIN)/python -m dev.binaries helm weed
	S3_OPERATOR_TEST_STORE=seaweedfs $(PYTEST) tests/stores -rs

test-matrix: ## run every test with both environments, warm and stock each
	@for executor in warm stock; do \
	  S3_OPERATOR_TEST_EXECUTOR=$$executor $(MAKE) test && \
	  export S3_OPERATOR_TEST_EXECUTOR=$$executor && $(NEWEST) test || exit 1; \
	done

test-newest-sample: ## run a sample of the tests with the newest Python, ansible-core and collections
	@$(NEWEST) sample

# What depends on the versions of Python and Ansible: runs, their end, and what they leave behind.
SAMPLE_OF_OPERATOR := $(addprefix tests/cluster/test_operator.py::, \
  test_object_from_create_over_change_and_drift_to_deletion \
  test_drift_in_aws_is_repaired_at_the_sync_and_a_sync_without_drift_writes_nothing \
  test_invalid_spec_is_published_and_works_once_corrected \
  test_operator_killed_in_a_run_leaves_no_writer_and_heals \
  test_run_that_takes_too_long_is_ended_with_all_its_descendants \
  test_sigterm_in_a_run_cancels_it_after_the_grace_time_and_exits_0 \
  test_keys_in_the_environment_reach_no_file_environment_or_log \
  test_once_makes_one_pass_and_reports_by_its_exit_status)

sample: kubernetes
	S3_OPERATOR_TEST_ROWS=1 $(PYTEST) --numprocesses=3 --dist=loadfile --no-loadscope-reorder \
	  tests/unit tests/role/test_drift.py tests/role/test_playbooks.py $(SAMPLE_OF_OPERATOR)

bench: kubernetes ## measure time, CPU, memory and calls into bench/results (30 min); see bench/README.md
	$(BIN)/python -c "import matplotlib" 2>/dev/null || $(BIN)/python -m pip install --quiet --editable ".[bench]"
	$(BIN)/python -m bench

fuzz: kubernetes ## try FUZZ_EXAMPLES (100) objects that the CRD admits, and 20 times as many policies, other ones each time
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100} $(PYTEST) tests/role/test_any_cr.py tests/unit/role/test_policy_fuzz.py

test-stock-sample: kubernetes ## run the drift rows and a flow of the operator with --executor stock
	S3_OPERATOR_TEST_EXECUTOR=stock S3_OPERATOR_TEST_ROWS=0 $(PYTEST) --numprocesses=2 --dist=loadfile tests/role/test_drift.py \
	  tests/cluster/test_operator.py::test_object_from_create_over_change_and_drift_to_deletion

lint: $(LINT) ## check format, types, imports, YAML, the role, the playbooks, the scenarios, words and workflows

# Each is a hook of .pre-commit-config.yaml as well: here is the only list of what is checked.
lint-python: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

lint-types: $(STAMP)
	$(BIN)/mypy

lint-imports: $(STAMP)
	$(BIN)/lint-imports

lint-yaml: $(STAMP)
	$(BIN)/yamllint --strict .

lint-ansible: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline

# Spelling, American English, and the words that dev/words/ lists; settings and exceptions are in pyproject.toml.
lint-words: $(STAMP)
	$(BIN)/codespell

lint-repository: $(STAMP)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.renovate renovate.json
	$(BIN)/pre-commit validate-config
	$(BIN)/zizmor --offline --no-progress --quiet --persona=pedantic .github

docs: $(STAMP) ## build the documentation site into build/site; links that lead nowhere are errors (needs npm)
	$(BIN)/python -c "import material" 2>/dev/null || $(BIN)/python -m pip install --quiet --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

generate-docs: $(STAMP) ## write the generated parts of README and docs: the S3 resource, the CLI, the figures, the code map, the settings
	$(BIN)/python -m dev.generate docs

cluster: kubernetes ## bring Kubernetes and AWS up and leave them running; then: . build/cluster.env
	$(BIN)/python -m dev.cluster up

cluster-down: $(STAMP) ## end what `make cluster` started
	$(BIN)/python -m dev.cluster down

generate: $(STAMP) ## write what follows from the CRD and the settings: argument_specs, defaults, copies, reference, policy
	$(BIN)/python -m dev.generate
	$(BIN)/python -m dev.chart_docs

check-generated: $(STAMP) ## fail if make generate changes a file
	@before=$$(git status --porcelain; git diff) && $(MAKE) --no-print-directory generate && \
	  after=$$(git status --porcelain; git diff) && if [ "$$before" != "$$after" ]; then \
	    git status --short; echo "make generate changed files: commit them" >&2; exit 1; fi

clean: ## remove what was made in this folder (not the cache of built programs)
	@if [ -e build/cluster.json ]; then $(BIN)/python -m dev.cluster down; fi
	rm -rf $(VENV) .venv-newest build *.egg-info .ruff_cache .mypy_cache .import_linter_cache .ansible
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

release-check: $(STAMP) lint-repository ## check and build what a release publishes, as far as it works offline, into build/release; TAG=v1.2.3
	$(BIN)/python -c "import cyclonedx_py, twine" 2>/dev/null || $(BIN)/python -m pip install --quiet --editable ".[release]"
	$(BIN)/python -m dev.release check $(if $(TAG),--tag=$(TAG))

recording: kubernetes ## make docs/demo.svg from a run of the demo
	$(BIN)/python -c "import termtosvg" 2>/dev/null || $(BIN)/python -m pip install --quiet --editable ".[recording]"
	$(BIN)/python -m dev.recording

hooks: $(STAMP) ## let git run the checks of make lint that a commit concerns
	$(BIN)/pre-commit install

generate-chart: $(STAMP) ## write the chart's README.md and values.schema.json, from the comments of its values.yaml
	$(BIN)/python -m dev.chart_docs
