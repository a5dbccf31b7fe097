# Everything starts here: `make run` shows the whole hotline at work on this machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run demo test lint format lock clean
export AUDIO

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## make everything ready (programs, .venv, Asterisk, speech models); no harm to repeat
	@config/setup.sh

run: ## start the hotline, call it once as a caller would, and keep it running
	@config/setup.sh
	@exec .venv/bin/hotline demo --stay

demo: ## one call through the whole hotline, told as JSON; AUDIO=file.wav is what the caller says
	@config/setup.sh
	@exec .venv/bin/hotline demo $${AUDIO:+--audio "$$AUDIO"}

test: ## lint, types and all tests
	@config/setup.sh --test
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@exec tests/run

lint: ## lint and types only
	@config/setup.sh --test
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

format: ## rewrite the Python files in the project's format
	@config/setup.sh --test
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format

lock: ## write the requirements locks anew from pyproject.toml
	@config/lock.sh

clean: ## delete .venv and caches; the state folder (.hotline: cases, models) stays
	rm -rf .venv build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.hotline/*' -prune -exec rm -rf {} +
