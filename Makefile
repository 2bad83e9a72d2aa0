# Two doors: `make demo` and `make test`. Each sets everything up by itself; the second call of
# either starts at once. VENV=DIR puts the environment elsewhere, PYTHON=... chooses the Python.
# `make demo WEIGHTS=FILE` opens other weights; a published network is fetched by its name.
# `make demo SHARE=1` also makes a public link; CASES=DIR reads a lecturer's own cases.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
# The environment is made again when, and only when, requirements.txt has another content.
READY := $(VENV)/.ready-$(shell cksum < requirements.txt | cut -d ' ' -f 1)

.PHONY: demo test venv

demo: $(READY)
	$(BIN)/python -m demo $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(filter-out 0 no,$(SHARE)),--share) $(if $(CASES),--cases "$(CASES)")

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(BIN)/python -m mypy & types=$$!; \
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile; tests=$$?; \
	wait $$types && exit $$tests

venv: $(READY)

$(READY):
	@$(PYTHON) scripts/doctor/supported.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what requirements.txt names into $(VENV) (a few minutes, once)."
	$(BIN)/python -m pip install --progress-bar on --disable-pip-version-check -r requirements.txt
	@rm -f $(VENV)/.ready-*
	@touch $@
