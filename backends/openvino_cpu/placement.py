"""What OpenVINO's CPU plugin wants quantized. Measured on OpenVINO 2026.4 unless another source is named."""

from __future__ import annotations

from zsq_export.planning.table import (
    FixedOutput,
    FloatReason,
    OpRule,
    Pattern,
    PlacementTable,
    ScaleRule,
    Scope,
    StemRule,
    WeightRule,
)
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec

_UINT8 = QuantSpec(dtype=QuantDtype.UINT8, symmetric=False)
_INT8_SYMMETRIC = QuantSpec(dtype=QuantDtype.INT8, symmetric=True)
_WEIGHT = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, narrow_range=True, per_channel=True)

TABLE = PlacementTable(
    target="openvino",
    activation=_UINT8,
    rules=(
        OpRule(
            op_types=("Conv",),
            scope=Scope.INPUTS,
            inputs=(0,),
            weight=WeightRule(input_index=1, spec=_WEIGHT),
            reason="u8 activations (asymmetric where they have both signs), signed per-channel weights",
        ),
        OpRule(
            op_types=("Gemm", "MatMul"),
            scope=Scope.INPUTS,
            inputs=(0,),
            weight=WeightRule(input_index=1, spec=_WEIGHT),
            reason="fully connected layers; products of two activations (attention) stay float",
        ),
        OpRule(
            op_types=("ConvTranspose",),
            scope=Scope.INPUTS,
            inputs=(0,),
            activation=_INT8_SYMMETRIC,
            weight=WeightRule(input_index=1, spec=_WEIGHT, grouped=False),
            reason="runs in f32 if the activation or the weight has a zero point",
        ),
        OpRule(
            op_types=("Add",),
            scope=Scope.INPUTS,
            fuses_into=("Conv",),
            reason="a residual is added inside the convolution, its other operand comes as integers; in transformers "
            "the sum feeds a LayerNormalization, and integers cost 3 dB and time",
        ),
        OpRule(
            op_types=("Mul",),
            scope=Scope.INPUTS,
            reason="memory bound: four times less to read",
        ),
        OpRule(
            op_types=("AveragePool", "GlobalAveragePool", "Resize"),
            scope=Scope.INPUTS,
            inputs=(0,),
            reason="memory bound: four times less to read",
        ),
        OpRule(
            op_types=(
                "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather",
                "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Pad",
            ),
            scope=Scope.INPUTS,
            inputs=(0,),
            scale_rule=ScaleRule.AGNOSTIC,
            reason="moves integers as well as floats",
        ),
        OpRule(
            op_types=("Concat",),
            scope=Scope.INPUTS,
            scale_rule=ScaleRule.AGNOSTIC,
            reason="all inputs share one scale, else each is requantized",
        ),
    ),
    float_reasons=(
        FloatReason(subject="Softmax", reason="small, and its rounding moves the result"),
        FloatReason(subject="LayerNormalization", reason="no integer kernel; its range is wide"),
        FloatReason(subject="Sigmoid", reason="computed in float inside the op before it"),
    ),
    float_patterns=(
        (Pattern.SELF_GATE, "an activation function made of several ops runs fused, in float"),
        (Pattern.SQUEEZE_EXCITE, "squeeze-and-excite is tiny, and sensitive to rounding"),
    ),
    float_stem=StemRule(
        largest_share=0.02,
        reason="it is too light to gain from integers (measured: 0.93 to 1.03 times as long in f32), and rounding the "
        "pixels costs more than 1 dB",
    ),
    fixed_outputs=(
        FixedOutput(op_type="Softmax", minimum=0.0, maximum=1.0),
        FixedOutput(op_type="Sigmoid", minimum=0.0, maximum=1.0),
    ),
    fused_activations=(
        "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Elu", "Gelu", "Swish",
        "Mish",
    ),
)  # fmt: skip
