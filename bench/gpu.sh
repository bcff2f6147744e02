#!/usr/bin/env bash
# What a GPU gains, in one run of less than 8 minutes: bench/gpu.sh [--dry-run] [--results FILE]
# --dry-run takes tiny cases on the CPU, to see that every step runs. PYTHON names another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m bench.gpu "$@"
