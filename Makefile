# make demo and make test do everything on a fresh machine with Python 3.11 or later.
#
# make demo and make serve install what localizing needs; everything else installs PyTorch too, pinned in constraints.txt. Where the
# package index has a CUDA build only and no GPU is there, take the CPU build:
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
INSTALLED = $(VENV)/.installed
INSTALLED_ALL = $(VENV)/.installed-all

.PHONY: demo serve test check dist docs format constraints third-party web clean

# What builds and checks the page of avel serve. Nobody else needs node: the built page is part of the package.
WEB_TOOLS = web/node_modules/.package-lock.json

demo: $(INSTALLED)
	$(BIN)/avel localize examples/hello.ogv -o demo/report.html

serve: $(INSTALLED)
	$(INSTALL) -e '.[web]'
	$(BIN)/avel serve examples/hello.ogv -o demo/results

# A test whose weights are not available is skipped and says so.
test: $(INSTALLED_ALL)
	-$(BIN)/avel weights fetch
	-$(BIN)/avel weights fetch vgg19
	-@command -v npm > /dev/null && $(MAKE) --no-print-directory $(WEB_TOOLS)
	$(BIN)/pytest -n auto --dist loadfile

# The tutorials, a notebook among them, run while the site is built; then site/index.html can be opened from the disk.
docs: $(INSTALLED_ALL)
	-$(BIN)/avel weights fetch
	AVEL_OFFLINE=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: $(INSTALLED_ALL)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# What is uploaded to a package index: built, checked, its sizes printed.
dist: $(INSTALLED_ALL)
	rm -rf dist
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/python release/check_dist.py dist

format: $(INSTALLED_ALL)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: $(INSTALLED_ALL)
	$(BIN)/pip freeze --exclude-editable --exclude avel | sed 's/+cpu$$//' > constraints.txt

# The licences of what is installed; run it when a package or a weight file comes or goes.
third-party: $(INSTALLED_ALL)
	$(BIN)/python release/third_party.py

web: $(WEB_TOOLS)
	cd web && npm run --silent types && npm run --silent build

$(WEB_TOOLS): web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund --silent && touch node_modules/.package-lock.json

clean:
	rm -rf $(VENV) demo site web/node_modules web/build

$(INSTALLED_ALL): $(INSTALLED)
	$(INSTALL) -e '.[dev,docs,export,int8,cluster,web]'
	@touch $@

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "avel needs Python 3.11 or later, found $$($(PYTHON) --version). Set PYTHON=/path/to/python3.11."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(INSTALL) -e .
	@touch $@
