PYTHON ?= python3
BIN := .venv/bin

.PHONY: help up test check bench fmt vendor

help: ## these lines
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

up: ## start Steelyard: servers, web, worker and the demo; Ctrl-C stops all
	@$(PYTHON) scripts/bootstrap.py
	@exec $(BIN)/python -m steelyard.servers.up

test: ## all tests, on a real PostgreSQL and broker
	@$(PYTHON) scripts/bootstrap.py --dev
	$(BIN)/python -m steelyard.servers.test_env $(BIN)/python -m pytest $(ARGS)

check: ## format, lint, types, import contracts, migrations, templates, layout
	@$(PYTHON) scripts/bootstrap.py --dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m steelyard.servers.test_env $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check_templates
	$(BIN)/python -m pytest -q tests/test_layout.py

bench: ## every benchmark; each prints a ratio
	@$(PYTHON) scripts/bootstrap.py --dev
	for file in tests/benchmarks/bench_*.py; do $(BIN)/python -m steelyard.servers.test_env $(BIN)/python $$file || exit 1; done

fmt: ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
