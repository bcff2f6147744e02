# make demo    a phantom study through a PACS and the node; picture and SEG are in demo/result
# make training-demo  from DICOM with SEG of made patients to a package that segnode run uses: under 15 minutes
# make test        the test suite; peers that are not installed are skipped with a reason
# make test-fast   of it what starts no program and does not compute for long: less than three minutes
# make test-avx2   of it what depends on how the processor computes, as on one without AVX-512 and AMX
# make test-long   hours of damaged input, of other seeds and of kills, by parts: what is done is kept; AGAIN=1 does it again
# make soak    a node under load whose processes are killed for SECONDS=3600: what was acknowledged is kept
# make bench   nnU-Net and this project side by side: under 45 minutes on two cores; with a GPU: bench/gpu.sh
# make image-test   the images, built and tried: some 15 minutes, as root, with buildah, skopeo, umoci and mmdebstrap
# make test-python  the wheel and the unit tests under Debian 13's Python 3.13: as root, with mmdebstrap; 3 GB of wheels
# make compose      a PACS with a viewer and the node in containers, by docker compose
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
AGAIN  ?=
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto

.PHONY: setup demo training-demo image-test test-python compose test test-fast test-avx2 test-long soak bench check clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "installing some 200 packages into $(VENV): about three minutes and 3 GB, or 6 GB with torch for CUDA"
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/segnode --version
	touch $@

demo: setup
	$(BIN)/segnode demo $(if $(DICOM),--dicom "$(DICOM)")

training-demo: setup
	$(BIN)/python -m training.recipes.training_demo

test: setup
	$(PYTEST) --dist=loadfile

test-fast: setup
	$(PYTEST) --dist=loadfile -m unit

AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
test-avx2: setup
	$(AVX2) $(BIN)/python -c "import torch; assert torch.backends.cpu.get_cpu_capability() == 'AVX2'"
	$(AVX2) $(PYTEST) --dist=worksteal \
	  tests/segmentation/inference/test_profiles.py tests/segmentation/inference/test_parity.py \
	  tests/segmentation/inference/test_model_pool.py

test-long: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.long_run $(if $(AGAIN),--again)

soak: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.kills.soak --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

bench: setup
	$(BIN)/python -m bench.peers --device $(DEVICE)

image-test: setup
	$(BIN)/python -m pytest -n 0 -p no:cacheprovider --capture=no --timeout=1800 tests/app/map/image_conformance.py

test-python: setup
	$(BIN)/python -m pytest -n 0 -p no:cacheprovider --capture=no --timeout=1800 tests/other_python.py

CONTEXT := build/map/context
compose: setup
	$(BIN)/segnode package --model demo --tag segnode-demo:0.1.0 --output build/map
	$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --dest $(CONTEXT)/wheels \
	  $(foreach list,listener run worker torch-cpu build,-r $(CONTEXT)/requirements/$(list).txt)
	docker compose --file docker/compose.yaml up --build --detach
	@echo "upload a CT study at http://localhost:8042 (user demo, password demo)"

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo
