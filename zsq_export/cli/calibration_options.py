"""Options that say how a model is calibrated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zsq_export.cli.options import folder_path
from zsq_export.cli.preprocessing_options import PREPROCESSING_NAMES, preprocessing_options
from zsq_export.errors import UsageError

if TYPE_CHECKING:
    from zsq_export.preprocessing import Preprocessing

Command = Callable[..., Any]

EFFORTS = ("fast", "balanced", "thorough")
IMPROVEMENTS = (
    "plain", "slack", "layered", "crops", "spread", "soft-classes", "hardness", "texture", "low-pass",
)  # fmt: skip
DEVICES = ("cpu", "cuda")
"""Spelled out here, so that --help imports neither NumPy nor ONNX; a test compares them with the enumerations."""

CALIBRATION_NAMES = (
    "calibrator",
    "seed",
    "effort",
    "samples",
    "data",
    "device",
    "equalize",
    "improve",
    *PREPROCESSING_NAMES,
)
"""Parameters that a saved calibration makes meaningless."""


def calibration_options(command: Command) -> Command:
    """Everything about calibration, as ``calibration`` (a :class:`zsq_export.options.CalibrationOptions`)."""

    @click.option("--calibrator", default="auto", show_default=True, metavar="NAME", help="How to get statistics.")
    @click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Same seed, same bytes.")
    @click.option(
        "--effort", default="balanced", show_default=True, type=click.Choice(EFFORTS), help="How long it may take."
    )
    @click.option("--samples", type=click.IntRange(min=1), help="Inputs to make. [default: by effort]")
    @click.option("--data", type=folder_path, help="Real inputs, for --calibrator data only: a folder or .npz.")
    @click.option(
        "--device", default="cpu", show_default=True, type=click.Choice(DEVICES), help="Where gradients are computed."
    )
    @click.option(
        "--equalize/--no-equalize", default=False, show_default=True, help="Even out channel ranges between layers."
    )
    @click.option(
        "--improve",
        multiple=True,
        type=click.Choice(IMPROVEMENTS),
        help="A published improvement of bn-inversion; see docs/methods.md. Repeat it for several.",
    )
    @preprocessing_options
    @functools.wraps(command)
    def wrapped(
        *,
        calibrator: str,
        seed: int,
        effort: str,
        samples: int | None,
        data: Path | None,
        device: str,
        equalize: bool,
        improve: tuple[str, ...],
        preprocessing: Preprocessing | None,
        **rest: Any,
    ) -> Any:
        if (calibrator == "data") != (data is not None):
            raise UsageError(
                "--data and --calibrator data belong together", hint="give both, or neither to calibrate without data"
            )
        from zsq_export.calib.base import Device, Effort
        from zsq_export.calib.improvement import Improvement
        from zsq_export.options import CalibrationOptions

        options = CalibrationOptions(
            calibrator=calibrator,
            seed=seed,
            effort=Effort(effort),
            samples=samples,
            preprocessing=preprocessing,
            data=data,
            device=Device(device),
            equalize=equalize,
            improvements=tuple(map(Improvement, improve)),
        )
        return command(calibration=options, **rest)

    return wrapped
