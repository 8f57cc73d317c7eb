# Each target works in a fresh clone: it makes .venv and installs the pinned versions.
# The README has the same commands as `demo` and `test`; tests/test_docs.py checks this.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test lint docs bench clean

help:
	@echo "make demo   learn from handwritten digits, beside raw pixels, PCA and an untrained encoder"
	@echo "make test   run the fast tests (slow ones: make test-slow)"
	@echo "make test-explore   run property tests with new examples, ten times as many"
	@echo "make test-coverage   run the fast tests and print the lines that no test runs"
	@echo "make test-min   run the tests with the oldest allowed versions of the dependencies"
	@echo "make test-devices   run the tests of GPUs on a simulated device"
	@echo "make lint   run ruff, mypy and the import contracts"
	@echo "make docs   build the documentation into docs/_build/html"
	@echo "make bench  run the benchmarks"
	@echo "make clean  remove the files that these targets write"

demo:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[examples]"
	$(BIN)/python examples/quickstart.py

test:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	$(BIN)/python -m pytest -n auto

.PHONY: test-slow
test-slow:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	$(BIN)/python -m pytest -n auto -m slow

.PHONY: test-coverage
test-coverage:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	$(BIN)/python -m pytest -n auto --cov --cov-report=term

# New examples of every property test, ten times as many.
.PHONY: test-explore
test-explore:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	$(BIN)/python -m pytest -n auto --hypothesis-profile explore

.PHONY: test-devices
test-devices: .venv/dev
	$(BIN)/python -m pytest tests/devices --device simulated

.venv/dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev,distributed]"
	@touch $@

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/user_script.py
	$(BIN)/basedpyright --pythonpath $(BIN)/python --level error tests/typing/user_script.py
	$(BIN)/lint-imports

docs: .venv/dev
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: .venv/dev
	$(BIN)/python -m pytest benchmarks -o testpaths=benchmarks -p no:cacheprovider

clean:
	rm -rf .venv .venv-min build dist *.egg-info docs/_build docs/gallery docs/api docs/paper/generated
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .benchmarks

# Oldest versions of the dependencies that pyproject.toml allows.
.PHONY: test-min
test-min:
	$(PYTHON) -m venv .venv-min
	.venv-min/bin/python -m pip install -c constraints-min.txt -e ".[test]"
	.venv-min/bin/python -m pytest -n auto -o filterwarnings=default
