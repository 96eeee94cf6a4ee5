"""What is refused before any work starts."""

from __future__ import annotations

from zsq_export.artifact import check_destination
from zsq_export.backends.base import Backend
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.calib.registry import get_calibrator
from zsq_export.errors import PlanError, TargetUnavailableError, UsageError
from zsq_export.pipeline.conversion import Conversion
from zsq_export.pipeline.planning import load_plan, options_of
from zsq_export.planning.widths import check_widths
from zsq_export.rounding.registry import get_rounding


def check_conversion(conversion: Conversion) -> tuple[Backend, ...]:
    """Everything that can be refused before any work starts; returns the backends, configured.

    Raises:
        UsageError: a wrong name, no or too many targets, or an option that a target does not have.
        PlanError: the saved plan cannot be read, or disagrees with an option.
        TargetUnavailableError: a target's runtime, which lowering needs, is not installed.
        ArtifactError: an output folder that is in the way.
    """
    if not conversion.targets or len(set(conversion.targets)) != len(conversion.targets):
        raise UsageError(f"the targets {list(conversion.targets)} are not one or several different ones")
    if conversion.saved_plan is not None and len(conversion.targets) > 1:
        raise UsageError("a plan is for one target", hint="give --plan with one --target")
    options = _target_options(conversion)
    backends = tuple(get_backend(target).configured(options) for target in conversion.targets)
    for backend in backends:
        probe = backend.probe()
        if not probe.runtime:
            raise TargetUnavailableError(f"the runtime of target {backend.name} is missing", hint=probe.hint)
        if not probe.lowers:
            raise TargetUnavailableError(f"the target {backend.name} cannot be built for here", hint=probe.hint)
    if conversion.saved_calibration is None and conversion.saved_plan is None:
        get_calibrator(conversion.calibration.calibrator)
    if conversion.planning.rounding is not None:
        get_rounding(conversion.planning.rounding)
    for backend in backends:
        check_widths(backend.placement(), conversion.planning)
    for target in conversion.targets:
        check_destination(conversion.destination(target), overwrite=conversion.overwrite)
    return backends


def _target_options(conversion: Conversion) -> TargetOptions:
    """The user's, over those that a saved plan was made with."""
    if conversion.saved_plan is None:
        return conversion.target_options
    plan = load_plan(conversion.saved_plan)
    planned = options_of(plan)
    for name in ("scheme", "profile"):
        wanted = getattr(conversion.target_options, name)
        if wanted is not None and wanted is not getattr(planned, name):
            raise PlanError(
                f"{conversion.saved_plan} was not made for --{name} {wanted.value}",
                hint=f"plan again with --{name} {wanted.value}, or leave it out here",
            )
    return conversion.target_options.over(planned)
