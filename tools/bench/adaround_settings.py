"""Chooses the settings of learned rounding by synthetic inputs alone: no test data, no labels.

    python tools/bench/adaround_settings.py ic_resnet8 resnet20_akamaster

Each variant learns on the inputs of one seed; its figure is the SQNR of the quantized model's logits, in dB against the
float model's, on inputs that another seed makes. docs/decisions/0004-learned-rounding.md has the results.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

from zsq_cells import Protocol
from zsq_data import subject
from zsq_measure import logits_of, table_of

from zsq_export import pipeline
from zsq_export.calib.base import Effort
from zsq_export.execution.ort_session import OrtSession
from zsq_export.options import CalibrationOptions
from zsq_export.planning import PlanOptions, make_plan
from zsq_export.quantization.metrics import sqnr_db
from zsq_export.rounding.adaround.method import AdaroundRounding
from zsq_export.rounding.adaround.settings import AdaroundSettings
from zsq_export.rounding.base import RoundingRequest
from zsq_export.rounding.registry import round_weights

PLAIN = ("nearest", "squant", "gptq")
SCHEMES = ((4, Protocol.DEPLOYABLE), (3, Protocol.LITERATURE))
USUAL = AdaroundSettings()
VARIANTS = {
    "default": USUAL,
    "from the nearest": replace(USUAL, compensated=False),
    "rates of Genie-M": replace(USUAL, rounding_rate=1e-3, scale_rate=4e-5),
    "rounding rate 0.01": replace(USUAL, rounding_rate=1e-2),
    "scale rate 0.0005": replace(USUAL, scale_rate=5e-4),
    "no drop": replace(USUAL, drop=0.0),
    "twice the steps": replace(USUAL, steps=2 * USUAL.steps),
}


def main() -> None:
    """Prints a line per network, scheme and variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="+")
    parser.add_argument("--samples", type=int, default=256)
    options = parser.parse_args()
    for name in options.network:
        _network(name, options.samples)


def _network(name: str, samples: int) -> None:
    path = subject(name).path
    effort = Effort.THOROUGH
    made = pipeline.calibrate(path, CalibrationOptions(seed=1, effort=effort, samples=samples))
    held = pipeline.calibrate(path, CalibrationOptions(seed=2, effort=effort, samples=64)).result.inputs
    ((entry, inputs),) = held.items()
    exact = logits_of(OrtSession(made.prepared.folded), entry, inputs)
    for bits, protocol in SCHEMES:
        edge = bits if protocol is Protocol.LITERATURE else PlanOptions().edge_bits
        for variant in (*PLAIN, *VARIANTS):
            rounding = variant if variant in PLAIN else "adaround"
            plan_options = PlanOptions(weights_bits=bits, activations_bits=bits, edge_bits=edge, rounding=rounding)
            plan = make_plan(made.prepared, made.result.statistics, table_of(protocol), plan_options)
            request = RoundingRequest(
                model=made.prepared.folded, plan=plan, statistics=made.result.statistics, inputs=made.result.inputs
            )
            start = time.perf_counter()
            learned = variant in VARIANTS
            found = AdaroundRounding(VARIANTS[variant]).round(request) if learned else round_weights(request)
            seconds = time.perf_counter() - start
            quantized = pipeline.insert_qdq(made.prepared, found.plan, found.integers)
            sqnr = sqnr_db(exact, logits_of(OrtSession(quantized), entry, inputs))
            print(f"{name} W{bits}A{bits} {protocol} {variant}: {sqnr:.2f} dB, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
