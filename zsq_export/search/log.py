"""What a search measured so far, on disk: a killed search goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zsq_export.errors import ArtifactError
from zsq_export.manifest import estimate_from_dict
from zsq_export.search.trial import Timing
from zsq_export.validation.forecast import AgreementEstimate

LOG_NAME, CALIBRATION_NAME = "search.jsonl", "calibration.npz"
_SUFFIX = ".search"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One plan that was measured.

    Attributes:
        units: that were left in float.
        precision: of what is in float; "" where the target's own was taken.
        estimate: of the agreement on real data.
        timing: against the best float model; None where it was not timed.
    """

    units: tuple[str, ...]
    estimate: AgreementEstimate
    timing: Timing | None = None
    precision: str = ""


def work_folder(output: Path) -> Path:
    """Beside the artifact that the search is for: ``OUTPUT.search``."""
    return output.with_name(output.name + _SUFFIX)


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Hash of everything that the measurements depend on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class SearchLog:
    """Lines of JSON, each on the disk before the search goes on.

    Args:
        folder: made if it is not there; emptied if it belongs to another search.
        target: one file per target.
        identity: see :func:`fingerprint`.
    """

    def __init__(self, folder: Path, target: str, identity: str) -> None:
        self.path = folder / f"{target}.{LOG_NAME}"
        folder.mkdir(parents=True, exist_ok=True)
        self._entries: dict[str, Any] = {}
        lines = _read(self.path)
        if lines and lines[0].get("identity") == identity:
            self._entries = {line["key"]: line["value"] for line in lines[1:] if "key" in line}
            self._rewrite([{"identity": identity}, *({"key": k, "value": v} for k, v in self._entries.items())])
        else:
            self._rewrite([{"identity": identity}])

    @property
    def trials(self) -> int:
        """How many plans were measured in an earlier run or this one."""
        return sum(key.startswith("trial ") for key in self._entries)

    def trial(self, units: Collection[str], precision: str = "") -> Trial | None:
        """What is known of these units in float, of this precision."""
        raw = self._entries.get(_trial_key(units, precision))
        if raw is None:
            return None
        timing = None if raw["timing"] is None else Timing(**raw["timing"])
        estimate = estimate_from_dict(raw["estimate"])
        return Trial(units=tuple(raw["units"]), precision=precision, estimate=estimate, timing=timing)

    def add_trial(self, trial: Trial) -> None:
        """Keeps a trial; it replaces one of the same units and precision."""
        self.add(_trial_key(trial.units, trial.precision), asdict(trial))

    def get(self, key: str) -> Any:
        """A value, or None."""
        return self._entries.get(key)

    def add(self, key: str, value: Any) -> None:
        """Keeps a JSON value."""
        self._entries[key] = json.loads(json.dumps(value))
        with self.path.open("a") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
        temporary.replace(self.path)


def prepare_folder(folder: Path, identity: str) -> bool:
    """Makes the work folder, and empties one that belongs to another search.

    Returns:
        Whether there was something to go on with.

    Raises:
        ArtifactError: something else is in the way.
    """
    mark = folder / "identity"
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file, the search wants a folder there", hint="move it away")
    if folder.is_dir() and any(folder.iterdir()) and not mark.is_file():
        raise ArtifactError(f"{folder} was not made by a search", hint="move it away, or give another folder with -o")
    if mark.is_file() and mark.read_text() == identity:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.write_text(identity)
    return False


def _trial_key(units: Collection[str], precision: str) -> str:
    return f"trial {precision} {hashlib.sha256(chr(0).join(sorted(units)).encode()).hexdigest()}"


def _read(path: Path) -> list[dict[str, Any]]:
    """Every whole line; the last one of a killed search may be torn."""
    lines: list[dict[str, Any]] = []
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
