.PHONY: run test verify soak test-all test-fast test-local check pins openapi bench

PYTHON := .venv/bin/python
# Two processes, each with a database, a RabbitMQ and a Redis of its own; a file's tests stay together. Those that kill
# and freeze services, and look at the clock, have the machine for themselves.
TOGETHER := -n 2 --dist loadfile
# Of the code alone: the same verdict whichever services the shell's variables name.
ALONE := env -u DATABASE_URL -u BROKER_URL -u REDIS_URL

run: ## everything in one process, with demo data; needs Python 3.11+ only
	@scripts/bootstrap base
	@$(PYTHON) manage.py quickstart

test: ## every check and every test, against real services
	@scripts/bootstrap dev
	@$(MAKE) --no-print-directory check
	@lines=$$(scripts/services) && eval "$$lines" && $(PYTHON) -m pytest $(TOGETHER) -m "not chaos and not verify" && $(PYTHON) -m pytest -m chaos
	@$(MAKE) --no-print-directory test-local

test-local: ## the small set on the local default: SQLite, in-memory broker, local cache
	@scripts/bootstrap dev
	@$(ALONE) NOTIFIER_TEST_LOCAL=1 $(PYTHON) -m pytest tests/local tests/users/api/test_users_api.py tests/notifications/test_lifecycle.py -k "TestAcceptance or not test_lifecycle"

test-fast: ## without the tests that kill and freeze services
	@scripts/bootstrap dev
	@lines=$$(scripts/services) && eval "$$lines" && $(PYTHON) -m pytest $(TOGETHER) -m "not chaos and not verify"

soak: ## the tests that kill and freeze services, at full length, ROUNDS times (3)
	@scripts/bootstrap dev
	@lines=$$(scripts/services) && eval "$$lines" && for round in $$(seq $${ROUNDS:-3}); do \
		OUTAGE_SECONDS=60 $(PYTHON) -m pytest -m chaos || exit 1; done

verify: ## through other programs: a generated client, Postfix, Dovecot, SpamAssassin (ONLY="postfix" for one)
	@scripts/bootstrap dev
	@$(if $(ONLY),,scripts/verify_client)
	@scripts/verify-packages
	@lines=$$(scripts/services) && eval "$$lines" && $(PYTHON) -m pytest -m verify tests/verify $(if $(ONLY),-k "$(ONLY)")

test-all: ## the tests under Python 3.11, 3.12 and 3.13, where they are found
	@lines=$$(scripts/services) && eval "$$lines" && scripts/test-all

bench: ## measure, beside others on the same message: ONLY="bulk accept" for some, QUICK=1 for a short form
	@scripts/bootstrap dev
	@lines=$$(scripts/services) && eval "$$lines" && QUICK=$(QUICK) ROWS=$(ROWS) $(PYTHON) -m benchmarks $(ONLY)

check: ## lint, types, import rules, migrations, OpenAPI file
	@.venv/bin/ruff check -q . && .venv/bin/ruff format --check -q .
	@$(ALONE) .venv/bin/mypy notifier apps celery_app.py manage.py
	@.venv/bin/lint-imports
	@$(ALONE) $(PYTHON) manage.py makemigrations --check --dry-run
	@$(ALONE) $(PYTHON) manage.py spectacular --validate --fail-on-warn --file var/openapi.yml && diff -q docs/openapi.yml var/openapi.yml \
		|| { echo "docs/openapi.yml is stale: run make openapi"; exit 1; }

openapi: ## write docs/openapi.yml anew
	@$(ALONE) $(PYTHON) manage.py spectacular --validate --fail-on-warn --file docs/openapi.yml

pins: ## compile requirements/*.in to hash-pinned *.txt
	@for name in base dev client; do .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make pins" requirements/$$name.in -o requirements/$$name.txt; done
