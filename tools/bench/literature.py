"""The placement that papers on zero-shot quantization measure with, so that their figures can be set beside ours.

It is no target: nothing runs it in integers. Sources: the official code of GDFQ (quantize_model) and IntraQ
(quant_modules.py): every weight, asymmetric per output channel, the first and the last layer included; activations only
behind a ReLU; the network's input, residual sums and the input of the classifier stay float.
"""

from __future__ import annotations

from zsq_export.planning.options import FLOAT_BITS
from zsq_export.planning.table import OpRule, PlacementTable, Scope, WeightRule
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec

_WEIGHT = QuantSpec(dtype=QuantDtype.INT8, symmetric=False, per_channel=True)

TABLE = PlacementTable(
    target="literature",
    activation=QuantSpec(dtype=QuantDtype.UINT8, symmetric=False),
    rules=(
        OpRule(
            op_types=("Conv", "Gemm", "MatMul"),
            scope=Scope.INPUTS,
            inputs=(0,),
            weight=WeightRule(input_index=1, spec=_WEIGHT),
            only_behind=("Relu", "Clip"),
            reason="weights everywhere, activations behind a ReLU",
        ),
    ),
    weight_widths=frozenset(range(2, 9)),
    activation_widths=frozenset({*range(2, 9), FLOAT_BITS}),
)
