# make demo: two phones in the browser. make test: the tests. Both need Python 3.11 to 3.13 and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-postgres bench docs lint types check all constraints clean

demo: $(VENV)/runtime
	$(BIN)/python manage.py demo $(ARGS)

test: $(VENV)/development
	$(BIN)/python -m pytest $(ARGS)

# The same on PostgreSQL, where TEST_DATABASE_URL says, or where one answers on this machine.
test-postgres: $(VENV)/development
	url=$$($(BIN)/python -m tests.support.postgres) && TEST_DATABASE_URL=$$url $(BIN)/python -m pytest $(ARGS)

# Speed and cost, on PostgreSQL. Figures of a machine that is busy with other things mean nothing.
bench: $(VENV)/development
	$(BIN)/python -m benchmarks $(ARGS)

# The pages of docs/ as HTML, in var/docs. A warning, such as a link to nowhere, is an error.
docs: $(VENV)/development
	$(BIN)/python -m sphinx -W --keep-going -q docs var/docs
	@echo "Open var/docs/index.html"

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/development
	$(BIN)/mypy

# Migrations that are missing, and Django's checks as for production.
check: $(VENV)/development
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=tests.production $(BIN)/python manage.py check --deploy --fail-level WARNING

all: lint types check test

# After a change of a version in requirements*.txt. The old constraints are emptied first, or they would hold.
constraints:
	fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && $(PYTHON) -m venv "$$fresh" && : > constraints.txt && \
	"$$fresh/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt && \
	{ echo '# The exact version of everything that requirements-dev.txt brings in, directly or not. Made by `make constraints`.' && \
	"$$fresh/bin/python" -m pip freeze; } > constraints.new && mv constraints.new constraints.txt

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else f"Python 3.11 to 3.13 is needed, this is {sys.version.split()[0]}. Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/runtime: requirements.txt constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/development: requirements.txt requirements-dev.txt constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/runtime

clean:
	rm -rf $(VENV) var
