"""Matrix products."""

from __future__ import annotations

import torch
from torch import Tensor

from zsq_export.execution.torch_executor.registry import Kernel, NodeView, operator, simple


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


simple("MatMul", _matmul)


@operator("Gemm")
def _gemm(node: NodeView) -> Kernel:
    alpha, beta = node.real("alpha", 1.0), node.real("beta", 1.0)
    left, right = bool(node.integer("transA")), bool(node.integer("transB"))

    def gemm(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = a.t() if left else a, b.t() if right else b
        if c is None:
            product = a @ b
            return product if alpha == 1.0 else product * alpha
        return torch.addmm(c, a, b, beta=beta, alpha=alpha)

    return gemm


@operator("Einsum")
def _einsum(node: NodeView) -> Kernel:
    equation = node.string("equation").replace(" ", "")
    return lambda *xs: torch.einsum(equation, *xs)
