# Gearshift: every command starts from a bare clone and needs only Python 3.11+ and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: venv native fuzz trainer models tasks mainstream serve test nightly check proto docs loadtest bench policies policieslive clean help

help:  ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

venv: $(READY)  ## Make .venv and install what is needed (quick the second time)
$(READY): pyproject.toml constraints.txt setup.py $(wildcard native/front/*)
	@echo "== setting up $(VENV) (about a minute the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[dev]'
	@touch $@

native: venv  ## Build the front in C++ and compile the policy: a request costs far less; installs what they need
	scripts/native.sh
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt mypy setuptools
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt --no-deps -e .
	$(BIN)/python -m native.policy.build
	@$(BIN)/python -c "from server.rpc.transport.native._core import nghttp2; print('built, with nghttp2', nghttp2)"

fuzz: native  ## Ten million inputs at the native front's core, under sanitizers (an hour on two cores; needs clang)
	scripts/fuzz.sh run 10000000

trainer: venv  ## Install what `gearshift train` needs: torch (large, see docs/training.md), scikit-learn, TensorBoard
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[dev,train]'

models: venv  ## Build the embedded default family (cached and verified)
	$(BIN)/gearshift models build

tasks: trainer  ## Train and publish the task package share-demo on Fashion-MNIST (two minutes on one core)
	$(BIN)/gearshift train-tasks --data $(or $(DATA),fashion-mnist) --publish --threads 1

mainstream: tasks  ## Tasks arriving one by one on real streams, beside sharing all and sharing nothing (about 15 minutes)
	$(BIN)/python benchmarks/sharing/share_live.py

serve: models  ## Serve the embedded default family on real weights: gRPC :8001, REST :8000, metrics :8002
	$(BIN)/gearshift serve

test: models  ## The whole test suite
	$(BIN)/python -m pytest

nightly: models  ## What takes too long for `make test`: 360,000 requests while everything comes and goes, whole training runs
	$(BIN)/python -m pytest -s -m nightly

check: venv  ## Lint, strict types, layers, unit and property tests (one to two minutes)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit tests/property tests/architecture

proto: venv  ## Regenerate wire from proto/
	$(BIN)/python scripts/generate_wire.py

docs: venv  ## Write docs/configuration.md and gearshift.example.toml anew from the typed configuration
	$(BIN)/python scripts/generate_configuration.py

loadtest: venv  ## Drive a running server with real images for ten seconds
	$(BIN)/gearshift loadtest --duration-s 10

bench: models  ## Adaptive against every static choice (about an hour)
	$(BIN)/python benchmarks/serving/adaptive_vs_static.py

policies: venv  ## Every policy in the simulator: traces, loads, workers, rough machines (about two hours on two cores)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/policies/policies.py

policieslive: models  ## The same policies live on this machine, beside the simulator's prediction (about half an hour)
	$(BIN)/python benchmarks/policies/policies_live.py

clean:
	rm -rf $(VENV) build *.egg-info
