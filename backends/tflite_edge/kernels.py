"""Which integer kernels of the runtime are fast: what the XNNPACK delegate takes. Measured, per version of LiteRT.

Each op was put alone behind an integer Add and looked up in what the runtime says it delegated. An op that the delegate
leaves to the built-in kernels costs more than its own time: it also cuts the delegated graph in two.
"""

from __future__ import annotations

SLOW_IN_INT8 = {
    (2, 3): frozenset({"Softmax", "Gelu", "HardSwish", "PRelu", "Max", "Min"}),
}
"""(major, minor) of ai-edge-litert -> ONNX ops whose float kernel is delegated and whose int8 kernel is not.

So are products of two activations; their row tells by the constant weight.

Delegated in both: convolutions, fully connected layers, Add, Sub, Mul, MaxPool, means, sums and maxima over axes,
Sigmoid, Tanh, LeakyRelu, Concat of up to 5, Split in 2 to 4, unit-step slices, Pad with zeros, linear Resize,
transposes, DepthToSpace, SpaceToDepth. In neither: nearest Resize, strided slices, Gather, Tile, reflecting Pad. The
lowering avoids average pooling, nearest resizing, strided slices and limits in int8 by other ops that are exact.
"""


def slow_ops(version: str) -> frozenset[str]:
    """The ops to compute in float; those of the latest known version for an unknown one."""
    parts = version.split(".")
    key = (int(parts[0]), int(parts[1])) if len(parts) > 1 and all(part.isdigit() for part in parts[:2]) else (0, 0)
    known = [entry for entry in SLOW_IN_INT8 if entry <= key]
    return SLOW_IN_INT8[max(known, default=max(SLOW_IN_INT8))]
