#!/usr/bin/env bash
# Installs a wheel in a clean environment and uses it outside the checkout, as a user would.
# Usage: PYTHON=python tools/smoke_wheel.sh dist/zsq_export-*.whl   (PYTHON has the test extra: it trains the network to convert)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
wheel=$(realpath "$1")
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

must_fail() {
  if "$@" 2>/dev/null; then
    printf 'should have failed: %s\n' "$*" >&2
    return 1
  fi
}

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" "$wheel"
"$python" - "$work" "$here/tests/support" <<'PY'
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[2])
from digits import write_digits_model

write_digits_model(Path(sys.argv[1]))
PY

cd "$work"
export PATH="$work/venv/bin:$PATH"
must_fail python -c 'import backends'
must_fail python -c 'import calib'
zsq-export --help >/dev/null
zsq-export --version
zsq-export targets --json | python -m json.tool >/dev/null
zsq-export inspect digits.onnx --json | python -m json.tool >/dev/null
zsq-export convert digits.onnx --target onnxruntime --output out
zsq-export validate out
printf 'the wheel works: %s\n' "$(basename "$wheel")"
