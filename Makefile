PYTHON ?= python3
BIN := .venv/bin
# A command line that has servers of its own, fresh and gone afterwards.
WITH_SERVERS := $(BIN)/python -m steelyard.servers.test_env
# Whole files go to whoever is free, in the order in which they were collected.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
CHECKS := format lint imports types migrations templates layout

# Many images set this. Each run is a process of its own, and without what earlier ones have compiled
# it takes ten seconds of a processor more to load torch.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up test check bench fmt messages vendor dev $(CHECKS:%=check-%)

help: ## these lines
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

up: ## start Steelyard: servers, web, worker and the demo; Ctrl-C stops all
	@$(PYTHON) scripts/bootstrap.py
	@exec $(BIN)/python -m steelyard.servers.up

dev:
	@$(PYTHON) scripts/bootstrap.py --dev

test: dev ## all tests, on a real PostgreSQL and broker; ARGS="tests/runs -q" for some
	$(WITH_SERVERS) $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

check: $(CHECKS:%=check-%) ## format, lint, types, import contracts, migrations, templates, layout

check-format: dev
	$(BIN)/ruff format --check .
check-lint: dev
	$(BIN)/ruff check .
check-imports: dev
	$(BIN)/lint-imports
check-types: dev
	$(BIN)/mypy
	$(BIN)/mypy --config-file client/pyproject.toml client/src
check-migrations: dev
	$(WITH_SERVERS) $(BIN)/python manage.py makemigrations --check --dry-run
check-templates: dev
	$(BIN)/python manage.py check_templates
check-layout: dev
	$(BIN)/python -m pytest -q --noconftest tests/test_layout.py

bench: dev ## every benchmark; each prints a ratio
	@for file in tests/benchmarks/bench_*.py; do $(WITH_SERVERS) $(BIN)/python $$file || exit 1; done

fmt: dev ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

messages: dev ## read the interface's words anew into locale/ and compile them (needs gettext)
	$(BIN)/python scripts/messages.py

vendor: ## fetch the pages' libraries anew into static/vendor (needs npm)
	$(PYTHON) scripts/vendor.py
