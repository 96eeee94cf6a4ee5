"""The command line of a bundle."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

from .errors import ERROR, USAGE, DeviceError
from .results import DeviceResults, timings_of
from .runner import Bundle, run_bundle
from .spec import BundleSpec, read_spec

_SIGNAL_BASE = 128


def main(arguments: Sequence[str] | None = None, *, folder: Path | None = None) -> int:
    """Runs the bundle around this package and returns the exit code: 0, 1 error, 2 usage, 4 no runtime."""
    options = _parser().parse_args(arguments)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _stop)
    try:
        place = folder or Path(__file__).resolve().parents[1]
        spec = _with_options(read_spec(place), options)
        results = run_bundle(Bundle(folder=place, spec=spec, say=_quiet if options.quiet else _say))
        _give(results, options)
    except DeviceError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("out of memory: make the bundle with fewer --samples", ERROR)
    except KeyboardInterrupt:
        return _fail("stopped", _SIGNAL_BASE + signal.SIGINT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{(error.strerror or str(error)).lower()}", ERROR)
    except Exception as error:
        if options.debug:
            raise
        return _fail(f"{type(error).__name__}: {error}", ERROR)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description="Runs the quantized and the float model of this bundle on this device."
    )
    parser.add_argument("--json", action="store_true", help="write the results to the standard output as JSON")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the results to a file as JSON")
    parser.add_argument("--threads", type=int, metavar="N", help="of the runtime, instead of what the bundle says")
    parser.add_argument("--no-latency", action="store_true", help="do not measure latency")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors and the results")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _with_options(spec: BundleSpec, options: argparse.Namespace) -> BundleSpec:
    if options.threads is not None:
        if options.threads < 1:
            raise DeviceError(f"--threads is {options.threads}, expected at least 1", exit_code=USAGE)
        spec = replace(spec, threads=options.threads, timing=replace(spec.timing, threads=(options.threads,)))
    return replace(spec, timing=replace(spec.timing, seconds=0.0)) if options.no_latency else spec


def _give(results: DeviceResults, options: argparse.Namespace) -> None:
    text = json.dumps(asdict(results), allow_nan=False) if options.json or options.output else ""
    if options.output:
        options.output.write_text(text + "\n")
    elif options.json:
        print(text)
    if not options.json:
        print("\n".join(_summary(results)))


def _summary(results: DeviceResults) -> list[str]:
    device = results.device
    lines = [f"{results.target} on {device.cpu}, {device.cores} cores, {device.runtime}"]
    for entry in results.fidelity:
        agreement = "" if entry.agreement is None else f", same class in {entry.agreement:.2f} %"
        lines.append(f"{entry.output}: {entry.sqnr_db:.1f} dB against the float model{agreement}")
        if entry.top1_float is not None:
            lines.append(
                f"{entry.output}: top-1 {entry.top1_float:.2f} % float, {entry.top1_quantized:.2f} % quantized"
            )
    for run in results.latency:
        timings = timings_of(run)
        where = f"batch {run.batch_size}, {run.threads or 'all'} threads"
        for index, (series, times) in enumerate(zip(run.series, timings.kept, strict=True)):
            ratio = timings.ratio(index)
            label = f"float {series.precision}" if series.precision else "quantized"
            spread = f"{ratio.ratio:.3f} times the quantized one ({ratio.low:.3f} to {ratio.high:.3f})"
            middle = sorted(times)[len(times) // 2]
            lines.append(f"{where}: {label} {1e3 * middle:.3f} ms" + (f", {spread}" if series.precision else ""))
        lines.append(f"energy: {run.energy.counter or run.energy.note}")
    return lines


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _quiet(_text: str) -> None:
    """For --quiet."""


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def _stop(signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(_SIGNAL_BASE + signum)


if __name__ == "__main__":
    sys.exit(main())
