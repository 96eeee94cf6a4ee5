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
    from zsq_export.preprocessing import Fitting, Preprocessing

Command = Callable[..., Any]

EFFORTS = ("fast", "balanced", "thorough")
IMPROVEMENTS = (
    "plain", "slack", "layered", "crops", "spread", "soft-classes", "hardness", "texture", "low-pass",
)  # fmt: skip
DEVICES = ("cpu", "cuda")
BUDGETS = ("size", "macs")
RANGE_ESTIMATORS = ("min-max", "mean-min-max", "percentile", "mse")
"""Spelled out here, so that --help imports neither NumPy nor ONNX; a test compares them with the enumerations."""

FITS = ("crop", "stretch", "letterbox", "letterbox-corner", "pad")
INTERPOLATIONS = ("bicubic", "bilinear", "opencv-linear")
METRICS = ("coco-map", "cosine", "miou", "mse", "psnr", "roc-auc", "top1", "top5")
"""Likewise."""

PREPROCESSING_NAMES = ("mean", "std", "input_range", "bgr", "preprocessing")
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

file_path = click.Path(path_type=Path, dir_okay=False)
folder_path = click.Path(path_type=Path)
model_argument = click.argument("model", type=file_path)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")


def integer_list(text: str | tuple[int, ...]) -> tuple[int, ...]:
    """Positive integers separated by commas; a click type."""
    if isinstance(text, tuple):
        return text
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{text!r} is no list of positive integers, e.g. 1,8")
    return tuple(dict.fromkeys(int(part) for part in parts))


threads_list_option = click.option(
    "--threads",
    type=integer_list,
    metavar="N[,N]",
    default=(),
    help="CPU threads; several, e.g. 1,2, are timed one after the other. [default: all cores]",
)
batch_sizes_option = click.option(
    "--batch-size",
    "batch_sizes",
    type=integer_list,
    metavar="N[,N]",
    default=(),
    help="Samples per inference when timing; several, e.g. 1,8, one after the other. [default: 1]",
)
no_latency_option = click.option("--no-latency", is_flag=True, help="Do not measure latency.")
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
    @click.option("--preprocessing", type=file_path, help="A saved preprocessing.json instead.")
    @functools.wraps(command)
    def wrapped(
        *,
        mean: str | None,
        std: str | None,
        input_range: str | None,
        bgr: bool,
        preprocessing: Path | None,
        **rest: Any,
    ) -> Any:
        return command(preprocessing=parse_preprocessing(mean, std, input_range, bgr, preprocessing), **rest)

    return wrapped


def fitting_options(command: Command) -> Command:
    """``--fit --interpolation``, as ``fitting`` (None if neither was given)."""

    @click.option("--fit", type=click.Choice(FITS), help="How pictures come to the model's size. [default: crop]")
    @click.option("--interpolation", type=click.Choice(INTERPOLATIONS), help="How they are resized. [default: bicubic]")
    @functools.wraps(command)
    def wrapped(*, fit: str | None, interpolation: str | None, **rest: Any) -> Any:
        return command(fitting=_fitting(fit, interpolation), **rest)

    return wrapped


def _fitting(fit: str | None, interpolation: str | None) -> Fitting | None:
    if fit is None and interpolation is None:
        return None
    from zsq_export.preprocessing import Fit, Fitting, Interpolation

    return Fitting(
        fit=None if fit is None else Fit(fit),
        interpolation=None if interpolation is None else Interpolation(interpolation),
    )


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


def refuse_with(option: str, saved: Path | None, parameters: Sequence[str]) -> None:
    """Refuses options that have no effect beside a saved result, so that nobody believes they had.

    Args:
        option: that names the saved result.
        saved: its value; None: everything is allowed.
        parameters: of the running command.

    Raises:
        UsageError: one of the parameters was given.
    """
    context = click.get_current_context()
    source = click.core.ParameterSource.COMMANDLINE
    given = [name for name in parameters if context.get_parameter_source(name) is source]
    if saved is not None and given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{names} has no effect beside {option}", hint="give one or the other")
