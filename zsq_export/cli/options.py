"""Options that several commands share. Each decorator folds its options into one typed argument of the command."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from zsq_export.cli.console import Console
from zsq_export.errors import UsageError

Command = Callable[..., Any]

METRICS = ("coco-map", "cosine", "miou", "mse", "psnr", "roc-auc", "top1", "top5")
"""Spelled out here, so that --help imports neither NumPy nor ONNX; a test compares them with the enumerations."""

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
