"""What LiteRT wants quantized, per profile. Sources: TensorFlow Lite 8-bit quantization specification; measured."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.backends.tflite_edge.settings import TfliteSettings
from zsq_export.planning.schemes import Scheme
from zsq_export.planning.table import (
    BiasRule,
    ConstantRule,
    FixedOutput,
    FloatReason,
    OpRule,
    Pattern,
    PlacementTable,
    ScaleRule,
    Scope,
    WeightRule,
)
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec

_INT8 = QuantSpec(dtype=QuantDtype.INT8, symmetric=False)
_INT16 = QuantSpec(dtype=QuantDtype.INT16, symmetric=True)
_WEIGHT = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, narrow_range=True, per_channel=True)

_MOVES_DATA = (
    "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "DepthToSpace",
    "SpaceToDepth", "Expand", "Tile", "Pad", "Resize",
)  # fmt: skip


CPU = PlacementTable(
    target="tflite",
    activation=_INT8,
    rules=(
        OpRule(
            op_types=("Conv", "ConvTranspose", "Gemm", "MatMul"),
            scope=Scope.INPUTS_AND_OUTPUT,
            inputs=(0,),
            weight=WeightRule(input_index=1, spec=_WEIGHT),
            bias=BiasRule.INT32,
            reason="integer kernels want input, weight, int32 bias and output quantized",
        ),
        OpRule(
            op_types=("Add", "Sub", "Mul"),
            scope=Scope.INPUTS_AND_OUTPUT,
            constants=ConstantRule.QUANTIZE,
            reason="integer kernels with three free scales, so that residual branches stay integer",
        ),
        OpRule(
            op_types=("AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Tanh"),
            scope=Scope.INPUTS_AND_OUTPUT,
            inputs=(0,),
            reason="has an integer kernel in the delegate; in float it would break the integer chain",
        ),
        OpRule(
            op_types=_MOVES_DATA,
            scope=Scope.INPUTS_AND_OUTPUT,
            inputs=(0,),
            scale_rule=ScaleRule.AGNOSTIC,
            reason="moves integers as well as floats, under one scale",
        ),
        OpRule(
            op_types=("Concat",),
            scope=Scope.INPUTS_AND_OUTPUT,
            scale_rule=ScaleRule.AGNOSTIC,
            constants=ConstantRule.QUANTIZE,
            reason="one scale makes it a copy",
        ),
    ),
    float_reasons=(
        FloatReason(subject="Softmax", reason="no integer kernel in the delegate, and its rounding moves the result"),
        FloatReason(subject="LayerNormalization", reason="no integer kernel; its range is wide"),
    ),
    float_patterns=((Pattern.SELF_GATE, "an activation function made of several ops; its steps need few integers"),),
    fixed_outputs=(
        FixedOutput(op_type="Softmax", minimum=0.0, maximum=255 / 256),
        FixedOutput(op_type="Sigmoid", minimum=0.0, maximum=255 / 256),
        FixedOutput(op_type="Tanh", minimum=-1.0, maximum=127 / 128),
    ),
    fused_activations=("Relu", "Clip"),
)

_FIXED_INT16 = tuple(
    FixedOutput(op_type=op_type, minimum=-1.0, maximum=32767 / 32768) for op_type in ("Softmax", "Sigmoid", "Tanh")
)

CPU_INT16 = replace(CPU, activation=_INT16, scheme=Scheme.INT16X8, fixed_outputs=_FIXED_INT16)

TABLES = {Scheme.INT8: CPU, Scheme.INT16X8: CPU_INT16}


def table_for(settings: TfliteSettings) -> PlacementTable:
    """The table of a scheme and profile."""
    return TABLES[settings.scheme]
