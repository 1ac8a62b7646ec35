# Everything a developer or CI runs. A target does one thing; what needs more than a line lives in scripts/.
# Text after two hashes is what `make help` prints.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VARIANT ?= cpu
PYTEST_ARGS ?=
SHELL_FILES := .ci/run bench/operator/beside/env.sh bench/operator/beside/setup.sh scripts/helm scripts/images scripts/install scripts/kind scripts/lock scripts/prepare-cluster scripts/test

# Who wants no bytecode beside the sources has it in .venv: hundreds of processes that compile all they import anew would
# be a third of the tests' time.
ifdef PYTHONDONTWRITEBYTECODE
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/$(VENV)/bytecode
endif

##@ Use it

.PHONY: help
help: ## List the targets
	@awk -f scripts/help.awk $(MAKEFILE_LIST)

.PHONY: install
install: $(STAMP) ## Make .venv with everything in it (.venv/bin/foresail included); asks nothing

.PHONY: demo
demo: install ## Cluster, operator, a detector, boxes on a picture, load, more replicas; KEEP=1 leaves it running
	@$(BIN)/python -m demo

##@ Test it

.PHONY: test
test: install ## All tests but e2e and benchmarks, in a few minutes once the cluster's programs are built
	@scripts/test

.PHONY: test-unit
test-unit: install ## The tests that need no cluster, and the coverage of the pure modules
	@scripts/test unit

.PHONY: test-cluster
test-cluster: install ## The tests against a real API server and controllers (no kubelet)
	@scripts/test cluster

.PHONY: e2e
e2e: install ## Real kubelet, real images, real load; FORESAIL_E2E_KUBECONFIG=… runs it on a cluster of yours
	@scripts/test e2e

.PHONY: check check-format check-lint check-types check-layers check-shell check-chart
check: check-format check-lint check-types check-layers check-shell check-chart ## Formatting, lint, types, layers, shell scripts, chart

check-format: install
	$(BIN)/ruff format --check .

check-lint: install
	$(BIN)/ruff check .

# What was found of unchanged files holds for every checkout.
check-types: export MYPY_CACHE_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/foresail/mypy
check-types: install
	$(BIN)/mypy operator runtime testbed demo scripts tests bench

check-layers: install
	$(BIN)/lint-imports

check-shell: install
	$(BIN)/shellcheck $(SHELL_FILES)

check-chart: install
	scripts/helm lint --strict charts/foresail

.PHONY: format
format: install ## Put the code in its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

##@ Measure it

.PHONY: bench-runtime
bench-runtime: install ## The runtime beside bare servers (PART="small overload", all), or others (PEERS="triton mlserver") (needs wrk)
	@$(BIN)/python -m bench.runtime $(PART) $(if $(PEERS),peers --peers "$(PEERS)")

SECONDS ?= 600

.PHONY: fuzz
fuzz: install ## Feed JSON, binary tensors, protobuf, packed bodies and pictures to a fuzzer for SECONDS=600
	@$(BIN)/python -m tests.runtime.fuzz.run --seconds $(SECONDS)

.PHONY: soak
soak: install ## A server with clients that stall, vanish and send rubbish for SECONDS=600: what it holds stays flat
	@$(BIN)/python -m bench.runtime.soak --seconds $(SECONDS)

.PHONY: bench-scrape
bench-scrape: install ## What asking every pod for its load twice a second costs
	@$(BIN)/python -m bench.scrape

.PHONY: bench-balance
bench-balance: install ## How evenly connections and requests are spread over replicas, on a cluster (PART="latency even")
	@$(BIN)/python -m bench.balance $(if $(PART),--parts $(PART))

.PHONY: bench-operator
bench-operator: install ## Many models at once beside KServe's controller; SIZES="100 250 500" EACH_NAMESPACE=100; bench-output/operator.json
	@$(BIN)/python -m bench.operator --sizes $(or $(SIZES),100 250 500) --each-namespace $(or $(EACH_NAMESPACE),0)

.PHONY: bench-scaling
bench-scaling: install ## A step, wake-ups and noise on real kubelets beside an HPA on cpu (PART="step wake doze noise latency simulate")
	@$(BIN)/python -m bench.scaling $(if $(PART),--part $(PART))

.PHONY: bench-first-answer
bench-first-answer: install ## From apply to the first answer on a real node, by phase: 20 runs; bench-output/first-answer.json
	@$(BIN)/python -m bench.operator.first_answer

.PHONY: simulate
simulate: install ## Replicas against need on made-up loads, beside an HPA on cpu and Knative; plots in bench-output/
	@$(BIN)/python -m bench.simulate

##@ Make it

.PHONY: generate
generate: install ## Write the CRD, its copies, docs/reference.md and the golden manifests again
	$(BIN)/python scripts/generate.py

.PHONY: verify
verify: install ## Fail if `make generate` would change a file
	$(BIN)/python scripts/generate.py --check

.PHONY: lock
lock: ## Pin all dependencies again, with hashes, from pyproject.toml
	@scripts/lock

.PHONY: images
images: ## Build the images with docker or buildah; VARIANT=cpu|openvino|gpu, BASE=image, TAG=tag
	@VARIANT="$(VARIANT)" scripts/images

.PHONY: clean
clean: ## Remove what was made here (not the user's cache folder)
	rm -rf $(VENV) build dist demo-output bench-output test-output .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*

$(STAMP): locks/uv.txt locks/dev.txt pyproject.toml testbed/pyproject.toml scripts/install
	@scripts/install $(VENV)
