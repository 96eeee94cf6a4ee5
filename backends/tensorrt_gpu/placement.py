"""What TensorRT wants quantized: one table per scheme.

Sources: NVIDIA, "Working with Quantized Types" (explicit quantization); the placement of ModelOpt's ONNX quantizer,
which is what NVIDIA measures; issues of the TensorRT project by number. "Built": seen in the layer information of
engines that TensorRT-RTX 1.7 built; nothing was executed on a GPU.
"""

from __future__ import annotations

from dataclasses import replace

from zsq_export.planning.schemes import Scheme
from zsq_export.planning.table import (
    FloatReason,
    OpRule,
    Pattern,
    PlacementTable,
    ScaleRule,
    Scope,
    SizeLimit,
    WeightRule,
)
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec

INT4_BLOCK = 64
"""Built: with one scale per channel the weights are expanded by a kernel of their own before each product; with blocks
(16 to 128 alike) the product reads the 4-bit weights itself."""

_INT8 = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, half_scale=True)
_INT8_WEIGHT = replace(_INT8, narrow_range=True, per_channel=True)
_FP8 = QuantSpec(dtype=QuantDtype.FLOAT8E4M3FN, symmetric=True, half_scale=True)
_INT4_WEIGHT = QuantSpec(
    dtype=QuantDtype.INT4, symmetric=True, narrow_range=True, per_channel=True, block=INT4_BLOCK, half_scale=True
)
_SMALL = SizeLimit(channels=16, multiple=8)

_CONV = OpRule(
    op_types=("Conv",),
    scope=Scope.INPUTS,
    inputs=(0,),
    weight=WeightRule(input_index=1, spec=_INT8_WEIGHT),
    size=_SMALL,
    reason="symmetric activations per tensor, weights per channel, float bias; the next Q comes after the activation "
    "function, so that Conv and ReLU fuse",
)
_MATRIX = OpRule(
    op_types=("Gemm", "MatMul"),
    scope=Scope.INPUTS,
    inputs=(0,),
    weight=WeightRule(input_index=1, spec=_INT8_WEIGHT),
    size=_SMALL,
    reason="fully connected layers; products of two activations (attention) stay float, where they fuse",
)
_CONV_TRANSPOSE = OpRule(
    op_types=("ConvTranspose",),
    scope=Scope.INPUTS,
    inputs=(0,),
    weight=WeightRule(input_index=1, spec=_INT8_WEIGHT, grouped=False),
    size=_SMALL,
    reason="per channel along axis 1; some sizes have no kernel (TensorRT #2280, #1556): the build then falls back",
)
_RESIDUAL = OpRule(
    op_types=("Add",),
    scope=Scope.INPUTS,
    fuses_into=("Conv",),
    reason="only the identity branch of a residual: the other operand is added inside its convolution before rounding "
    "(TensorRT #1992, #1293)",
)
_PASSED_ON = (
    OpRule(
        op_types=("AveragePool", "GlobalAveragePool"),
        scope=Scope.INPUTS,
        inputs=(0,),
        scale_rule=ScaleRule.SANDWICHED,
        reason="runs in integers only between a DQ and a Q",
    ),
    OpRule(
        op_types=(
            "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather",
            "DepthToSpace", "SpaceToDepth", "Expand", "Tile",
        ),
        scope=Scope.INPUTS,
        inputs=(0,),
        scale_rule=ScaleRule.AGNOSTIC,
        reason="Q and DQ are moved across it",
    ),
    OpRule(
        op_types=("Concat",),
        scope=Scope.INPUTS,
        scale_rule=ScaleRule.AGNOSTIC,
        reason="one scale for all, else each input is copied to be requantized (TensorRT #4366)",
    ),
)  # fmt: skip

_FLOAT_REASONS = (
    FloatReason(subject="Softmax", reason="runs in float16; its rounding moves the result"),
    FloatReason(subject="LayerNormalization", reason="runs in float16; there is no integer kernel"),
    FloatReason(subject="Sigmoid", reason="runs in float16; alone it gains nothing from integers"),
    FloatReason(subject="Resize", reason="runs in float16; interpolated values need a grid of their own"),
    FloatReason(subject="Mul", reason="runs in float16, fused with its neighbours"),
)
_FUSED = (
    "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Elu", "Gelu", "Swish", "Mish",
)  # fmt: skip

_INT8_TABLE = PlacementTable(
    target="tensorrt",
    activation=_INT8,
    rules=(_CONV, _MATRIX, _CONV_TRANSPOSE, _RESIDUAL, *_PASSED_ON),
    float_reasons=_FLOAT_REASONS,
    float_patterns=(
        (Pattern.SELF_GATE, "an activation function made of several ops is fused, in float16"),
        (Pattern.SQUEEZE_EXCITE, "squeeze-and-excite is tiny, and sensitive to rounding"),
    ),
    fused_activations=_FUSED,
    half=True,
)

_FP8_WEIGHT = WeightRule(input_index=1, spec=_FP8, grouped=False)
_FP8_TABLE = replace(
    _INT8_TABLE,
    scheme=Scheme.FP8,
    activation=_FP8,
    rules=(
        replace(
            _CONV,
            weight=_FP8_WEIGHT,
            reason="one scale per tensor: built, the activation function then fuses; with groups the weights would be "
            "expanded to a dense convolution",
        ),
        replace(_MATRIX, weight=_FP8_WEIGHT),
        _RESIDUAL,
        *_PASSED_ON,
    ),
    float_reasons=(
        *_FLOAT_REASONS,
        FloatReason(subject="ConvTranspose", reason="runs in float16; there is no 8-bit float kernel"),
    ),
)

_INT4_TABLE = replace(
    _INT8_TABLE,
    scheme=Scheme.INT4_WEIGHT,
    rules=(
        OpRule(
            op_types=("Gemm", "MatMul"),
            scope=Scope.WEIGHT,
            inputs=(0,),
            weight=WeightRule(input_index=1, spec=_INT4_WEIGHT),
            size=_SMALL,
            reason=f"weights of products with a constant matrix, one scale per {INT4_BLOCK} rows; everything else is "
            "float16",
        ),
    ),
    float_reasons=(FloatReason(subject="Conv", reason="only matrix products read 4-bit weights"),),
    float_patterns=(),
)

_FP16_TABLE = replace(
    _INT8_TABLE, scheme=Scheme.FP16, rules=(), float_reasons=(), float_patterns=(), fused_activations=()
)

TABLES = {table.scheme: table for table in (_INT8_TABLE, _FP8_TABLE, _INT4_TABLE, _FP16_TABLE)}
