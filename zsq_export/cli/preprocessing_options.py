"""Options that say how pictures become inputs: convention, size."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zsq_export.cli.options import file_path
from zsq_export.errors import UsageError

if TYPE_CHECKING:
    from zsq_export.preprocessing import Fitting, Preprocessing

Command = Callable[..., Any]

FITS = ("crop", "stretch", "letterbox", "letterbox-corner", "pad")
INTERPOLATIONS = ("bicubic", "bilinear", "opencv-linear")
"""Spelled out here, so that --help imports neither NumPy nor ONNX; a test compares them with the enumerations."""

PREPROCESSING_NAMES = ("mean", "std", "input_range", "bgr", "preprocessing")


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
