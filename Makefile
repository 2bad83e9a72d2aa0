# Two doors: `make demo` and `make test`. Each sets everything up by itself, in one environment and
# in either order; the second call of either starts at once. VENV=DIR puts the environment
# elsewhere, PYTHON=... chooses the Python.
# `make demo` needs no PyTorch. `make demo WEIGHTS=FILE.onnx` opens other weights; .pth files and
# published networks need all of it: `make venv demo WEIGHTS=NAME`.
# `make demo SHARE=1` also makes a public link; CASES=DIR reads a lecturer's own cases.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# Installed again when, and only when, a list or a version has changed.
sum = $(shell cat constraints.txt $(1) | cksum | cut -d ' ' -f 1)
SMALL := $(VENV)/.ready-demo-$(call sum,requirements-demo.txt)
WHOLE := $(VENV)/.ready-$(call sum,requirements-demo.txt requirements.txt)

.PHONY: demo test venv constraints

demo: $(SMALL)
	$(BIN)/python -m demo $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(filter-out 0 no,$(SHARE)),--share) $(if $(CASES),--cases "$(CASES)")

# Bytecode is kept, whatever the environment says: the tests start dozens of processes.
test: $(WHOLE) node_modules/.package-lock.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/python -m mypy & types=$$!; \
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder; tests=$$?; \
	wait $$types && exit $$tests

# Checkers of the page's scripts; where npm's registry cannot be reached their tests are skipped.
node_modules/.package-lock.json: package-lock.json | $(WHOLE)
	-@PATH="$(abspath $(BIN)):$$PATH" npm ci --no-audit --no-fund --ignore-scripts

venv: $(WHOLE)

# Writes down what is installed. For newer versions first: .venv/bin/python -m pip install -U NAME
constraints: $(WHOLE)
	$(BIN)/python -c "import platform as p; print('# Installed together on Python', p.python_version()[:4], p.system(), p.machine())" > constraints.tmp
	$(BIN)/python -m pip freeze --all --exclude pip --exclude-editable >> constraints.tmp
	mv constraints.tmp constraints.txt

$(SMALL): LIST = requirements-demo.txt
$(WHOLE): LIST = requirements.txt
$(SMALL) $(WHOLE):
	@$(PYTHON) scripts/supported.py
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo "Installing what $(LIST) names into $(VENV) (once)."
	$(BIN)/python -m pip install --progress-bar on --disable-pip-version-check -r $(LIST)
	@rm -f $(filter-out $(SMALL) $(WHOLE),$(wildcard $(VENV)/.ready-*))
	@touch $@ $(SMALL)
