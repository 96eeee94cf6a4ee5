"""What ONNX Runtime's CPU provider wants quantized. Source: its QDQ node units (optimizer/qdq_transformer).

uint8 activations with int8 weights: measured on AVX512-VNNI with ONNX Runtime 1.32, int8 activations took 2.4 times as
long on ResNet-20 and 1.9 times on EfficientNet-Lite0 (slower than float on the former).

Every width of 2 to 8 bits is allowed: this target is the reference of what a width does to accuracy. Below 8 bits ONNX
Runtime computes in float on the integers' grid, which is slower than int8.
"""

from __future__ import annotations

from zsq_export.planning.options import FLOAT_BITS
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

_UINT8 = QuantSpec(dtype=QuantDtype.UINT8, symmetric=False)
_WEIGHT = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, narrow_range=True, per_channel=True)

TABLE = PlacementTable(
    target="onnxruntime",
    activation=_UINT8,
    rules=(
        OpRule(
            op_types=("Conv",),
            scope=Scope.INPUTS_AND_OUTPUT,
            inputs=(0,),
            weight=WeightRule(input_index=1, spec=_WEIGHT),
            bias=BiasRule.INT32,
            reason="fuses to QLinearConv only with input, weight, int32 bias and output quantized",
        ),
        OpRule(
            op_types=("Gemm", "MatMul"),
            scope=Scope.INPUTS_AND_OUTPUT,
            inputs=(0,),
            weight=WeightRule(input_index=1, spec=_WEIGHT),
            bias=BiasRule.INT32,
            float_result=True,
            reason="QGemm and MatMulIntegerToFloat may return floats, so the model's own outputs keep their precision",
        ),
        OpRule(
            op_types=("Add", "Mul"),
            scope=Scope.INPUTS_AND_OUTPUT,
            constants=ConstantRule.QUANTIZE,
            float_result=True,
            reason="QLinearAdd and QLinearMul, so that residual branches stay integer",
        ),
        OpRule(
            op_types=("AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid"),
            scope=Scope.INPUTS_AND_OUTPUT,
            inputs=(0,),
            float_result=True,
            reason="has a QLinear kernel; in float it would break the integer chain",
        ),
        OpRule(
            op_types=(
                "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather",
                "DepthToSpace", "SpaceToDepth", "Resize", "Expand", "Tile", "Pad",
            ),
            scope=Scope.INPUTS_AND_OUTPUT,
            inputs=(0,),
            scale_rule=ScaleRule.AGNOSTIC,
            reason="runs on integers where Q/DQ with one scale stand on both sides",
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
        FloatReason(subject="ConvTranspose", reason="ONNX Runtime's CPU provider has no integer kernel for it"),
        FloatReason(subject="Softmax", reason="small, and its rounding moves the result"),
        FloatReason(subject="LayerNormalization", reason="no integer kernel; its range is wide"),
    ),
    float_patterns=((Pattern.SELF_GATE, "an activation function made of several ops; its steps need few integers"),),
    fixed_outputs=(
        FixedOutput(op_type="Softmax", minimum=0.0, maximum=1.0),
        FixedOutput(op_type="Sigmoid", minimum=0.0, maximum=1.0),
    ),
    fused_activations=("Relu", "Clip"),
    weight_widths=frozenset(range(2, 9)),
    activation_widths=frozenset({*range(2, 9), FLOAT_BITS}),
)  # fmt: skip
