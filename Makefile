# make demo    a phantom study through a PACS and the node, and the overlay to look at
# make test    the test suite; peers that are not installed are skipped with a reason
# make soak    a node under load whose processes are killed for SECONDS=3600: what was acknowledged is kept
# make bench   nnU-Net and this project side by side: some 40 minutes on two cores; DEVICE=cuda with a GPU
# make check   formatting, lint, types, import rules
#
# PYTHON=python3.11 chooses the interpreter; DICOM=folder gives the demo a series of one's own.

PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DICOM  ?=
SECONDS ?= 3600
DEVICE ?= cpu
SEED   ?=

.PHONY: setup demo test soak bench check clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/segnode demo $(if $(DICOM),--dicom "$(DICOM)")

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

soak: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.kills.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

bench: setup
	$(BIN)/python -m bench.peers --device $(DEVICE)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo
