# make demo: two phones in the browser. make test: the tests. Both need only Python 3.11 to 3.13.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A test process for each processor. --dist loadgroup keeps the tests of one xdist_group in one process: for example those
# that start many processes.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadgroup
# Set it to nothing to let test-postgres skip tests that cannot run here, for example without Chromium.
NO_SKIPS := --no-skips
# Compiled modules are kept, whatever the environment says: tests start many processes, and each would compile all again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-postgres test-all bench docs picture openapi messages compilemessages lint types check all
.PHONY: constraints clean

demo: $(VENV)/runtime
	$(BIN)/python manage.py demo $(ARGS)

# All tests that are not slow, on SQLite. Those that need PostgreSQL are skipped: test-postgres runs them.
test: $(VENV)/development
	env -u TEST_DATABASE_URL $(PYTEST) -m "not slow" $(ARGS)

# Every test, slow ones too, with more examples, on PostgreSQL: the one in TEST_DATABASE_URL, or one on this machine.
# Fails if a test cannot run, for example without Chromium. Three test processes: many tests of two groups only wait.
test-postgres: $(VENV)/development
	url=$$($(BIN)/python -m tests.support.postgres) && \
	TEST_DATABASE_URL=$$url $(PYTEST) --numprocesses 3 --hypothesis-profile thorough --durations 20 $(NO_SKIPS) $(ARGS)

test-all: test test-postgres

# Speed and cost, on PostgreSQL. Figures from a busy machine mean nothing.
bench: $(VENV)/development
	$(BIN)/python -m benchmarks $(ARGS)

# The pages of docs/ as HTML, in var/docs. A warning, such as a broken link, is an error.
docs: $(VENV)/development
	$(BIN)/python -m sphinx -W --keep-going -q docs var/docs
	@echo "Open var/docs/index.html"

# The picture of the README and of the documentation, docs/phones.png: a play on the phones of the demo, in Chromium.
picture: $(VENV)/development
	$(BIN)/python -m tests.support.picture

# The committed copies of the API's contract: docs/openapi.yaml and docs/problems.md.
openapi: $(VENV)/development
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m smsproxy.api.contract

# The strings of the admin that are marked for translation, in smsproxy/locale. Needs GNU gettext. Lists those without a
# translation: write them in the .po file, then make compilemessages. The .mo files are committed.
messages: $(VENV)/development
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m tests.support.model_words
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django makemessages --pythonpath . --locale de --no-obsolete \
	--no-wrap --add-location file --extension html,txt,py,svg --ignore "tests/*" --ignore "benchmarks/*" --ignore "var/*" --ignore "docs/*" --ignore ".venv/*"
	@msgattrib --untranslated --no-obsolete smsproxy/locale/de/LC_MESSAGES/django.po
	@msgattrib --only-fuzzy --no-obsolete smsproxy/locale/de/LC_MESSAGES/django.po

compilemessages: $(VENV)/development
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m tests.support.model_words
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m django compilemessages --pythonpath . --locale de \
	--ignore ".venv/*"

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/development
	$(BIN)/mypy

# A check for missing migrations, Django's checks with production settings, and the copies of the API's contract.
check: $(VENV)/development
	$(BIN)/python manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=tests.production $(BIN)/python manage.py check --deploy --fail-level WARNING
	DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m smsproxy.api.contract --check

all: lint types check test-all

# Run it after a version in requirements*.txt changes. The old constraints are emptied first, or they would apply.
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
