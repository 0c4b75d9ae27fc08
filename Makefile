PYTHON ?= python3
BIN := .venv/bin
# A command line that has servers of its own, fresh and gone afterwards.
WITH_SERVERS := $(BIN)/python -m steelyard.servers.test_env

.PHONY: help up test check bench fmt

help: ## these lines
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

up: ## start Steelyard: servers, web, worker and the demo; Ctrl-C stops all
	@$(PYTHON) scripts/bootstrap.py
	@exec $(BIN)/python -m steelyard.servers.up

test: ## all tests, on a real PostgreSQL and broker; ARGS="tests/runs -q" for some
	@$(PYTHON) scripts/bootstrap.py --dev
	$(WITH_SERVERS) $(BIN)/python -m pytest $(ARGS)

check: ## format, lint, types, import contracts, migrations, templates, layout
	@$(PYTHON) scripts/bootstrap.py --dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(WITH_SERVERS) $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check_templates
	$(BIN)/python -m pytest -q tests/test_layout.py

bench: ## every benchmark; each prints a ratio
	@$(PYTHON) scripts/bootstrap.py --dev
	@for file in tests/benchmarks/bench_*.py; do $(WITH_SERVERS) $(BIN)/python $$file || exit 1; done

fmt: ## format and mend what can be mended
	@$(PYTHON) scripts/bootstrap.py --dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
