"""Options that several commands share. Each decorator folds its options into one typed argument of the command."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zsq_export.cli.console import Console
from zsq_export.errors import UsageError

if TYPE_CHECKING:
    from zsq_export.preprocessing import Preprocessing

Command = Callable[..., Any]

EFFORTS = ("fast", "balanced", "thorough")
DEVICES = ("cpu", "cuda")
RANGE_ESTIMATORS = ("min-max", "mean-min-max", "percentile", "mse")
"""Spelled out here, so that --help imports neither NumPy nor ONNX; a test compares them with the enumerations."""

file_path = click.Path(path_type=Path, dir_okay=False)
folder_path = click.Path(path_type=Path)
model_argument = click.argument("model", type=file_path)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU threads. [default: all cores]")


def target_option(*, multiple: bool, required: bool) -> Callable[[Command], Command]:
    """``--target``, one or several."""
    return click.option(
        "-t",
        "--target",
        "targets" if multiple else "target",
        multiple=multiple,
        required=required,
        metavar="NAME",
        help="Accelerator to convert for; see `zsq-export targets`." + (" Repeat it for several." if multiple else ""),
    )


def console_options(command: Command) -> Command:
    """``--json --verbose --quiet --debug``, as ``console``."""

    @click.option("--json", "as_json", is_flag=True, help="Write the result to stdout as JSON.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more.")
    @click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and the result.")
    @click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
    @functools.wraps(command)
    def wrapped(*, as_json: bool, verbose: bool, quiet: bool, **rest: Any) -> Any:
        return command(console=Console(as_json=as_json, verbose=verbose, quiet=quiet), **rest)

    return wrapped


def preprocessing_options(command: Command) -> Command:
    """``--mean --std --input-range --bgr --preprocessing``, as ``preprocessing`` (None if none was given)."""

    @click.option("--mean", metavar="M[,M,M]", help="Mean per channel, in units of pixel/255.")
    @click.option("--std", metavar="S[,S,S]", help="Standard deviation per channel, in units of pixel/255.")
    @click.option("--input-range", metavar="LO..HI", help="What black and white become: 0..1, 0..255, -1..1.")
    @click.option("--bgr", is_flag=True, help="The model wants blue first.")
    @click.option("--preprocessing", "spec", type=file_path, help="A saved preprocessing.json instead.")
    @functools.wraps(command)
    def wrapped(
        *, mean: str | None, std: str | None, input_range: str | None, bgr: bool, spec: Path | None, **rest: Any
    ) -> Any:
        return command(preprocessing=parse_preprocessing(mean, std, input_range, bgr, spec), **rest)

    return wrapped


def parse_preprocessing(
    mean: str | None, std: str | None, input_range: str | None, bgr: bool, spec: Path | None
) -> Preprocessing | None:
    """The input convention that the options describe; None if there are none.

    Raises:
        UsageError: options that contradict each other, or numbers that cannot be read.
    """
    from zsq_export.preprocessing import ChannelOrder, Preprocessing

    ways = [mean is not None or std is not None, input_range is not None, spec is not None]
    if sum(ways) > 1:
        raise UsageError("--mean/--std, --input-range and --preprocessing exclude each other", hint="give one of them")
    if spec is not None:
        if bgr:
            raise UsageError(
                "--bgr does not go with --preprocessing", hint='write "channel_order": "bgr" into the file'
            )
        return Preprocessing.load(spec)
    order = ChannelOrder.BGR if bgr else ChannelOrder.RGB
    if input_range is not None:
        low, high = _parse_range(input_range)
        span = high - low
        return Preprocessing(mean=(-low / span,), std=(1 / span,), channel_order=order, name=input_range)
    if mean is not None and std is not None:
        return Preprocessing(mean=_parse_numbers("--mean", mean), std=_parse_numbers("--std", std), channel_order=order)
    if mean is not None or std is not None:
        raise UsageError(
            "--mean and --std belong together", hint="e.g. --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225"
        )
    if bgr:
        raise UsageError("--bgr alone does not say what the model wants", hint="add --mean and --std, or --input-range")
    return None


def _parse_range(text: str) -> tuple[float, float]:
    number = r"(-?\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"{number}\.\.{number}", text)
    if match is None or float(match[1]) >= float(match[2]):
        raise UsageError(f"--input-range {text!r} is no range", hint="give LO..HI, e.g. 0..255, 0..1 or -1..1")
    return float(match[1]), float(match[2])


def _parse_numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text!r} is no list of numbers", hint="e.g. 0.485,0.456,0.406") from None
    if any(abs(value) > 2 for value in values):
        raise UsageError(f"{option} {text} is too large", hint="it is in units of pixel/255: 0.485, not 123.7")
    return values


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
        preprocessing: Preprocessing | None,
        **rest: Any,
    ) -> Any:
        if (calibrator == "data") != (data is not None):
            raise UsageError(
                "--data and --calibrator data belong together", hint="give both, or neither to calibrate without data"
            )
        from zsq_export.calib.base import Device, Effort
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
        )
        return command(calibration=options, **rest)

    return wrapped


def planning_options(command: Command) -> Command:
    """Everything about ranges and rounding, as ``planning`` (a :class:`zsq_export.options.QuantizationOptions`)."""

    @click.option(
        "--range-estimator",
        type=click.Choice(RANGE_ESTIMATORS),
        help="How to clip activations. [default: mean-min-max]",
    )
    @click.option(
        "--bias-correction/--no-bias-correction",
        default=True,
        show_default=True,
        help="Undo the mean error of weights.",
    )
    @functools.wraps(command)
    def wrapped(*, range_estimator: str | None, bias_correction: bool, **rest: Any) -> Any:
        from zsq_export.options import QuantizationOptions

        options = QuantizationOptions(bias_correction=bias_correction)
        if range_estimator is not None:
            options = options.with_estimator(range_estimator)
        return command(planning=options, **rest)

    return wrapped


def given_options(names: Sequence[str]) -> tuple[str, ...]:
    """Which of these parameters of the running command came from the command line."""
    context = click.get_current_context()
    source = click.core.ParameterSource.COMMANDLINE
    return tuple(name for name in names if context.get_parameter_source(name) is source)
