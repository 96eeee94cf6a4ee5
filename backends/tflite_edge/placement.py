"""What LiteRT wants quantized, per scheme and profile. Source: TensorFlow Lite 8-bit quantization specification."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.backends.options import Profile
from zsq_export.backends.tflite_edge.kernels import slow_ops
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
_BOTH = Scope.INPUTS_AND_OUTPUT

_WEIGHTED = OpRule(
    op_types=("Conv", "ConvTranspose", "Gemm"),
    scope=_BOTH,
    inputs=(0,),
    weight=WeightRule(input_index=1, spec=_WEIGHT),
    bias=BiasRule.INT32,
    reason="integer kernels want input, weight, int32 bias and output quantized",
)
_PRODUCT = replace(
    _WEIGHTED, op_types=("MatMul",), bias_add=True, reason="a fully connected layer, its bias an Add of its own in ONNX"
)
_SUM = OpRule(
    op_types=("Add", "Sub", "Mul"),
    scope=_BOTH,
    constants=ConstantRule.QUANTIZE,
    reason="integer kernels with three free scales, so that residual branches stay integer",
)
_FUNCTION = OpRule(
    op_types=(
        "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "LeakyRelu", "Sigmoid", "Tanh", "Relu", "Clip",
    ),
    scope=_BOTH,
    inputs=(0,),
    fuses_activation=False,
    reason="the delegate computes it in integers; in float it would break the integer chain",
)  # fmt: skip
_MOVING = OpRule(
    op_types=(
        "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze",
        "Slice", "Split", "Gather", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Pad", "Resize",
    ),
    scope=_BOTH,
    inputs=(0,),
    scale_rule=ScaleRule.AGNOSTIC,
    reason="moves integers as well as floats, under one scale",
)  # fmt: skip
_JOINING = OpRule(
    op_types=("Concat",),
    scope=_BOTH,
    scale_rule=ScaleRule.AGNOSTIC,
    constants=ConstantRule.QUANTIZE,
    reason="one scale makes it a copy",
)
_FIXED = (
    FixedOutput(op_type="Softmax", minimum=0.0, maximum=255 / 256),
    FixedOutput(op_type="Sigmoid", minimum=0.0, maximum=255 / 256),
    FixedOutput(op_type="Tanh", minimum=-1.0, maximum=127 / 128),
)
_FIXED_INT16 = tuple(replace(entry, minimum=-1.0, maximum=32767 / 32768) for entry in _FIXED)
_NO_KERNEL = "LiteRT has no integer kernel for it"
_SLOW_KERNEL = "its integer kernel is slow in this version of LiteRT; --profile int8-only takes it"

CPU = PlacementTable(
    target="tflite",
    activation=_INT8,
    rules=(_WEIGHTED, _PRODUCT, _SUM, _FUNCTION, _MOVING, _JOINING),
    float_patterns=((Pattern.SELF_GATE, "an activation function made of several ops; its steps need few integers"),),
    fixed_outputs=_FIXED,
    fused_activations=("Relu", "Clip"),
    weight_widths=frozenset({4, 8}),
)
"""Integers where the delegate has fast kernels; what is slow there is an island of floats."""

INT8_ONLY = replace(
    CPU,
    rules=(
        _WEIGHTED,
        replace(_PRODUCT, inputs=None, weight=WeightRule(input_index=1, spec=_WEIGHT, required=False)),
        _SUM,
        replace(_FUNCTION, op_types=(*_FUNCTION.op_types, "Softmax", "HardSwish", "Gelu")),
        OpRule(
            op_types=("PRelu",),
            scope=_BOTH,
            constants=ConstantRule.QUANTIZE,
            fuses_activation=False,
            reason="its slope has to be int8, too",
        ),
        OpRule(
            op_types=("Max", "Min"),
            scope=_BOTH,
            scale_rule=ScaleRule.ONE_SCALE,
            constants=ConstantRule.QUANTIZE,
            reason="compares integers",
        ),
        replace(_MOVING, scale_rule=ScaleRule.ONE_SCALE),
        replace(_JOINING, scale_rule=ScaleRule.ONE_SCALE),
    ),
    float_patterns=(),
)
"""Integers wherever there is a kernel, fast or slow: for devices that have nothing else."""

_NO_INT16 = frozenset({"Gelu", "HardSwish", "PRelu", "ReduceSum", "SpaceToDepth", "DepthToSpace", "Tile"})


def table_for(settings: TfliteSettings, version: str) -> PlacementTable:
    """The table of a scheme and profile.

    Args:
        settings: see there.
        version: of the LiteRT that the file is for; decides what is slow in integers.
    """
    slow = slow_ops(version)
    table = _with_float_reasons(CPU, slow) if settings.profile is Profile.CPU else _with_float_reasons(INT8_ONLY)
    if settings.scheme is Scheme.INT8:
        return table
    rules = (replace(rule, op_types=tuple(op for op in rule.op_types if op not in _NO_INT16)) for rule in table.rules)
    return replace(
        table,
        activation=_INT16,
        scheme=settings.scheme,
        rules=tuple(rule for rule in rules if rule.op_types),
        fixed_outputs=_FIXED_INT16,
        weight_widths=frozenset({8}),
    )


def _with_float_reasons(table: PlacementTable, slow: frozenset[str] = frozenset()) -> PlacementTable:
    missing = ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "Div", "Pow", "Sqrt", "HardSigmoid",
               "Elu", "TopK", "ArgMax", "ArgMin", "LogSoftmax")  # fmt: skip
    reasons = [FloatReason(subject=op_type, reason=_NO_KERNEL) for op_type in missing]
    reasons += [FloatReason(subject=op_type, reason=_SLOW_KERNEL) for op_type in sorted(slow)]
    return replace(table, float_reasons=tuple(reasons))
