"""``zsq-export doctor``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from zsq_export.cli.console import Console
from zsq_export.cli.options import console_options
from zsq_export.cli.wording import size

if TYPE_CHECKING:
    from zsq_export.health import Health


@click.command(short_help="Check versions, CPU, disk and runtimes.")
@console_options
def command(*, console: Console) -> int:
    """Check versions, CPU, disk and runtimes, and say what to do about problems. Exit code 1 if one is fatal."""
    from zsq_export.health import examine

    health = examine()
    console.result(
        lambda: asdict(health) | {"packages": dict(health.packages)},
        lambda: _print(health, console),
    )
    return int(any(problem.fatal for problem in health.problems))


def _print(health: Health, console: Console) -> None:
    console.say(f"zsq-export {health.version}, Python {health.python}, {health.platform}")
    console.say(", ".join(f"{name} {version}" for name, version in health.packages))
    console.say(
        f"CPU: {health.cpu}, {health.cpu_count} cores, int8 by {health.int8_hardware or 'nothing special'}, "
        f"{health.torch_threads or 'no'} PyTorch threads"
    )
    console.say(f"disk: {size(health.free_disk)} free here")
    for target in health.targets:
        state = target.probe.runtime if target.probe.available else "cannot run here"
        console.say(f"target {target.name}: {state}")
    for problem in health.problems:
        console.say(f"{'error' if problem.fatal else 'problem'}: {problem.text} ({problem.hint})")
    if not health.problems:
        console.say("no problems found")
