#!/usr/bin/env bash
# What is to be done where there is an accelerator, sized for ten minutes of a modern card: the tests
# marked gpu, the table of costs, and the models of the paper's protocol. Needs torch, numba, pandas,
# pyarrow, scikit-learn, safetensors and tqdm alone, for the tests pytest too.
#
#   benchmarks/device.sh TRAIN.parquet OUT     (TRAIN.parquet: python -m benchmarks.device --prepare)
set -euo pipefail
data=${1:?the train rows, from python -m benchmarks.device --prepare}
out=${2:?the folder to write}
cd "$(dirname "$0")/.."
if python -c "import pytest" 2>/dev/null; then
  python -m pytest -m gpu tests/generators/test_devices.py
else
  echo "no pytest here: the tests marked gpu were not run"
fi
python -m benchmarks.speed --only device --out "$out"
python -m benchmarks.device --data "$data" --out "$out" --generators smote tvae tabar tabddpm tabddpm-paper ctabganplus
