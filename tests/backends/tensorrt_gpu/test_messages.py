"""What is made of the builder's messages."""

from __future__ import annotations

import pytest

from zsq_export.backends.tensorrt_gpu.messages import Message, errors_of, named_nodes

MYELIN = (
    "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check_turing_op_compatibility] Cannot "
    "compile operation '/linear/Gemm' for Turing (SM75): FP32 GEMM is not supported. In compileGraph at "
    "/_src/optimizer/myelin/codeGenerator.cpp:2012)"
)


def test_errors_lose_codes_and_places() -> None:
    messages = [
        Message(severity=3, text="fine"),
        Message(severity=1, text=MYELIN),
        Message(severity=1, text="[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (...)"),
    ]
    assert errors_of(messages) == [
        "Myelin (Cannot compile operation '/linear/Gemm' for Turing (SM75): FP32 GEMM is not supported."
    ]


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        (MYELIN, ["/linear/Gemm"]),
        ("Could not find any implementation for node /conv/Conv.", ["/conv/Conv."]),
        ("Could not find any implementation for node {ForeignNode[a...b]}", ["ForeignNode[a...b"]),
        ("nothing is named here", []),
    ],
)
def test_nodes_are_found_in_the_text(text: str, nodes: list[str]) -> None:
    assert [name.rstrip(".") for name in named_nodes([text])] == [name.rstrip(".") for name in nodes]
