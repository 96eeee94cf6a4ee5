"""The executor against the backend node cases that the onnx package ships: right, or UnsupportedOpError."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from zsq_export.errors import UnsupportedOpError
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.execution.torch_executor.program import OPSETS

SMALLEST_PASS_COUNT = 1000
"""Cases that passed when this was written were 1100; far fewer mean that the harness looks at nothing."""

MAY_LACK = {
    "Dropout": "training mode",
    "BatchNormalization": "training mode",
    "ScatterND": "max, min and mul",
    "MaxPool": "column-major Indices",
}
"""Claimed operators of which some cases with implemented element types may raise."""


ONLY_OLD_CASES = {"Shrink", "Xor", "GlobalLpPool"}
"""Their cases are of opsets before 13; tested in test_operators_against_ort.py."""


def _tensor(value: Any) -> torch.Tensor:
    array = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(np.array(array))


def _is_plain(case: Any) -> bool:
    """Whether inputs and outputs are tensors of element types that torch holds."""
    values = [value for data in case.data_sets for part in data for value in part]
    try:
        for value in values:
            _tensor(value)
    except (TypeError, ValueError):
        return False
    return True


def _check(case: Any) -> None:
    executor = TorchExecutor(ir.from_proto(case.model))
    for inputs, outputs in case.data_sets:
        names = [value.name for value in case.model.graph.input]
        trace = executor({name: _tensor(value) for name, value in zip(names, inputs, strict=True)})
        for value, expected in zip(case.model.graph.output, outputs, strict=True):
            found, wanted = trace.outputs[value.name], _tensor(expected)
            half = wanted.dtype in (torch.float16, torch.bfloat16)
            torch.testing.assert_close(
                found, wanted, rtol=max(case.rtol, 1e-2 if half else 1e-3), atol=1e-2 if half else 1e-5, equal_nan=True
            )


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_node_model_tests

        return [
            case
            for case in load_node_model_tests()
            if any(entry.domain == "" and entry.version in OPSETS for entry in case.model.opset_import)
        ]


def test_every_case_is_right_or_refused(cases: list[Any]) -> None:
    passed, wrong = 0, []
    for case in cases:
        try:
            if _is_plain(case):
                _check(case)
                passed += 1
        except UnsupportedOpError:
            continue
        except Exception as error:  # anything else is a failure of the case
            wrong.append(f"{case.name}: {type(error).__name__} {str(error).splitlines()[:3]}")
    assert not wrong, "\n".join(wrong)
    assert passed >= SMALLEST_PASS_COUNT


def test_claimed_operators_are_not_refused(cases: list[Any]) -> None:
    claimed, refused = TorchExecutor.supported_ops(), Counter[str]()
    for case in cases:
        operators = {node.op_type for node in case.model.graph.node}
        if len(operators) != 1 or not operators <= claimed or not _is_plain(case):
            continue
        try:
            _check(case)
        except UnsupportedOpError as error:
            if "element type" not in str(error) and "not implemented for '" not in str(error):
                refused.update(operators)
    assert set(refused) <= set(MAY_LACK), refused


def test_every_claimed_operator_has_a_case(cases: list[Any]) -> None:
    covered = {node.op_type for case in cases for node in case.model.graph.node}
    assert TorchExecutor.supported_ops() - covered <= ONLY_OLD_CASES
