# make setup   a virtual environment with everything, in .venv; the larger pose network in carve's cache
# make demo    set up, then reconstruct the example photo into out/demo
# make picture set up, reconstruct the example and draw the README's picture of it
# make wheel   build the wheel and try `carve demo` with it
# make test    set up, then run the tests; those that are skipped are named with the reason
# make check   set up, then style, types and import rules
# make fuzz    set up, then damage files for every reader by seed; MINUTES=10 lets atheris guide it, so long a reader
# make benchmark   set up, then measure on the photos and cases of SHARED (benchmarks/README.md)

PYTHON ?= python3
SHARED ?= ../shared
SCORER_PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
VALIDATOR := tests/validator
FUZZED := masks normal-maps landmarks settings motions avatars clips bodies models conventions stages weights shards garments
BROWSER := tests/browser
BROWSER_INSTALLED := $(BROWSER)/node_modules/.package-lock.json
VALIDATOR_INSTALLED := $(VALIDATOR)/node_modules/.package-lock.json

.PHONY: setup models demo picture wheel test check fuzz benchmark clean

setup: $(INSTALLED) $(VALIDATOR_INSTALLED) $(BROWSER_INSTALLED) models

# torch comes first and pinned: a newer one that a later package pulls in would bring gigabytes of CUDA libraries.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@$(BIN)/pip install --quiet -c constraints.txt meshoptimizer || \
	  echo 'meshoptimizer was not built (it needs a C++ compiler): --triangles, --lod and --compress meshopt will be missing, their tests skipped'
	touch $@

$(VALIDATOR_INSTALLED): $(VALIDATOR)/package.json $(VALIDATOR)/package-lock.json
	@if command -v npm > /dev/null; then \
	  cd $(VALIDATOR) && npm ci --silent --no-audit --no-fund && touch node_modules/.package-lock.json; \
	else \
	  echo 'npm is not installed: the tests that need the glTF validator will be skipped (and fail where CI is set)'; \
	fi

# The larger pose network goes into carve's cache, once; without it the one that mediapipe brings is used alone.
models: $(INSTALLED)
	@$(BIN)/carve models || echo 'go on without the larger pose network'

# The browser itself is Debian's: apt install chromium.
$(BROWSER_INSTALLED): $(BROWSER)/package.json $(BROWSER)/package-lock.json
	@if command -v npm > /dev/null; then \
	  cd $(BROWSER) && npm ci --silent --no-audit --no-fund && touch node_modules/.package-lock.json; \
	else \
	  echo 'npm is not installed: the tests that need a browser will be skipped (and fail where CI is set)'; \
	fi

demo: $(INSTALLED)
	$(BIN)/carve demo --out out/demo

picture: demo
	$(BIN)/python benchmarks/readme_picture.py out/demo docs/pictures/avatar.jpg

# The wheel alone, its own files before those of the source tree, far from the repository.
wheel: $(INSTALLED)
	rm -rf out/wheel && $(BIN)/pip wheel --quiet --no-deps -w out/wheel .
	$(BIN)/pip install --quiet --no-deps --target out/wheel/unpacked out/wheel/*.whl
	cd out/wheel && PYTHONPATH=unpacked ../../$(BIN)/python -m carve demo --preset fast --out demo
	test -s out/wheel/demo/avatar.glb && test -s out/wheel/demo/report.html

# Hundreds of processes are started: bytecode is kept, whatever the environment says.
test: setup
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -rs -n auto --maxprocesses 4 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The counts of benchmarks/README.md. atheris is asked for by MINUTES only: it has wheels for Linux.
fuzz: $(INSTALLED)
ifdef MINUTES
	$(BIN)/pip install --quiet -c constraints.txt -e '.[fuzz]'
	cd tests && ../$(BIN)/python -m fuzz.run --minutes $(MINUTES)
else
	cd tests && ../$(BIN)/python -m fuzz.run photos --count 1500
	cd tests && ../$(BIN)/python -m fuzz.run $(FUZZED) --count 500
endif

benchmark: setup
	$(BIN)/python benchmarks/fast.py --shared $(SHARED) --scorer-python $(SCORER_PYTHON)

clean:
	rm -rf $(VENV) $(VALIDATOR)/node_modules $(BROWSER)/node_modules out build dist
