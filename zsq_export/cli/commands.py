"""The root command, which imports a command's module only when it is asked for."""

from __future__ import annotations

from importlib import import_module

import click

from zsq_export.suggestions import did_you_mean

COMMANDS = ("convert", "calibrate", "plan", "validate", "bundle", "inspect", "targets", "report", "doctor", "demo")
"""In the order of the help page. Module ``zsq_export.cli.<name>`` holds the click command ``command``."""


class LazyGroup(click.Group):
    """A group of the commands in ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"zsq_export.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click, but a wrong name gets the nearest right one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(f"there is no command {name!r}; {did_you_mean(name, COMMANDS)}", ctx=ctx)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from zsq_export.version import version

        click.echo(f"zsq-export {version()}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def root() -> None:
    """Quantize a trained float ONNX model without data, lower it to an accelerator, and prove it on the device.

    \b
      zsq-export convert model.onnx --target openvino -o out
      zsq-export validate out --data val/

    Exit codes: 0 fine, 1 error, 2 usage, 3 a gate failed, 4 the target's runtime or device is missing.
    """
