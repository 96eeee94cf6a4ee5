"""Options that say how ranges are chosen and weights are rounded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from zsq_export.errors import UsageError

Command = Callable[..., Any]

BUDGETS = ("size", "macs")
RANGE_ESTIMATORS = ("min-max", "mean-min-max", "percentile", "mse")
"""Spelled out here, so that --help imports neither NumPy nor ONNX; a test compares them with the enumerations."""


def parse_activation_bits(text: str | None) -> int | None:
    """A number of bits; 32 for ``float``; None if the option was not given.

    Raises:
        UsageError: neither 2 to 8 nor float.
    """
    if text is None:
        return None
    if text == "float":
        return 32
    if text.isdigit() and 2 <= int(text) <= 8:
        return int(text)
    raise UsageError(f"--activations-bits {text!r} is no width", hint="give 2 to 8, or float")


PLANNING_NAMES = (
    "range_estimator", "bias_correction", "weights_bits", "activations_bits", "edge_bits", "rounding", "rounding_steps",
    "average_bits", "average_over", "leave_float", "leave_float_from",
)  # fmt: skip
"""Parameters that a saved plan makes meaningless."""

_ROUNDING_HELP = (
    "How weights are rounded: nearest, squant (no inputs, fast), gptq (seconds) or adaround (learned, slow, few bits). "
    "[default: gptq; nearest without inputs or with --effort fast]"
)


def planning_options(command: Command) -> Command:
    """Everything about ranges and rounding, as ``planning`` (a :class:`zsq_export.planning.options.PlanOptions`)."""

    @click.option(
        "--range-estimator", type=click.Choice(RANGE_ESTIMATORS), help="How activations are clipped. [default: by plan]"
    )
    @click.option(
        "--bias-correction/--no-bias-correction",
        default=None,
        help="Take the mean error of rounded weights back in the bias.",
    )
    @click.option("--weights-bits", type=click.IntRange(2, 8), help="Bits of weights. [default: the target's]")
    @click.option(
        "--activations-bits",
        metavar="2..8|float",
        help="Bits of activations. [default: the target's]",
    )
    @click.option(
        "--edge-bits",
        type=click.IntRange(2, 8),
        help="At least so many for the first and the last layer. [default: 8]",
    )
    @click.option(
        "--average-bits",
        type=click.FloatRange(2, 8),
        help="Mixed precision: bits per weight on average, chosen layer by layer.",
    )
    @click.option(
        "--average-over", default="size", show_default=True, type=click.Choice(BUDGETS), help="What they are bits of."
    )
    @click.option("--rounding", metavar="NAME", help=_ROUNDING_HELP)
    @click.option("--rounding-steps", type=click.IntRange(min=1), help="Descent per block, where rounding is learned.")
    @click.option("--leave-float", multiple=True, metavar="NODE", help="Do not quantize it. Repeatable; * allowed.")
    @click.option(
        "--leave-float-from", multiple=True, metavar="NODE", help="Nor anything that its result reaches. Repeatable."
    )
    @functools.wraps(command)
    def wrapped(
        *,
        range_estimator: str | None,
        bias_correction: bool | None,
        weights_bits: int | None,
        activations_bits: str | None,
        edge_bits: int | None,
        average_bits: float | None,
        average_over: str,
        rounding: str | None,
        rounding_steps: int | None,
        leave_float: tuple[str, ...],
        leave_float_from: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        from dataclasses import replace

        from zsq_export.planning.options import Budget, PlanOptions
        from zsq_export.quantization.estimators import RangeEstimator

        bits = parse_activation_bits(activations_bits)
        options = PlanOptions(
            average_bits=average_bits,
            budget=Budget(average_over),
            weights_bits=weights_bits,
            activations_bits=bits,
            rounding=rounding,
            rounding_steps=rounding_steps,
            leave_float=leave_float,
            leave_float_from=leave_float_from,
        )
        if edge_bits is not None:
            options = replace(options, edge_bits=edge_bits)
        if range_estimator is not None:
            options = replace(options, estimator=RangeEstimator(range_estimator))
        if bias_correction is not None:
            options = replace(options, bias_correction=bias_correction)
        return command(planning=options, **rest)

    return wrapped
