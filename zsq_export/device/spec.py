"""``bundle.json``: what a bundle holds and how it is measured. The host writes it, the device reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import DeviceError

SPEC_VERSION = 1
SPEC_NAME = "bundle.json"


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """One input or output over all samples.

    Attributes:
        name: of the graph input or output.
        file: .npy file, relative to the bundle: float32 [samples, ...], or uint8 pixels [samples, rows, columns,
            channels] that the preprocessing turns into the input.
    """

    name: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """``input = (pixel / 255 - mean) / std`` per plane, planes first; all in float32.

    Attributes:
        mean, std: one value, or one per plane.
        reverse: the model wants the planes of an RGB picture in reverse (BGR).
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    reverse: bool


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How latency is measured.

    Attributes:
        batch_sizes, threads: every pair of them is measured; 0 threads are the runtime's own choice.
        seconds: about how long one pair takes; 0: latency is not measured.
        most_seconds: until when it may go on while the interval is wide.
        most_rounds: enough for a quick model.
        seed: of the bootstrap.
    """

    batch_sizes: tuple[int, ...]
    threads: tuple[int, ...]
    seconds: float
    most_seconds: float
    most_rounds: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class BundleSpec:
    """What a bundle holds.

    Attributes:
        target: name of the target.
        model: file name of the float ONNX model, for people.
        artifact_sha256: of the artifact's manifest: results belong to one artifact.
        quantized: file to open, relative to the bundle.
        floats: the float model as this target opens it; "" if there is none.
        samples: number of inputs.
        batch_size: samples per run.
        threads: of the runtime when outputs are computed; 0: its own choice.
        inputs: of the model, in its order.
        inputs_sha256: of all inputs as float32, see :func:`hash_arrays`.
        reference: the float model's outputs in ONNX Runtime on the host.
        labels: .npy file with the class index of each sample, int64; "" without.
        pixels: for inputs that are stored as pixels; None where there are none.
        timing: of the latencies.
        files: file name -> sha256 of everything but this file and the runner.
    """

    target: str
    model: str
    artifact_sha256: str
    quantized: str
    floats: str
    samples: int
    batch_size: int
    threads: int
    inputs: tuple[TensorFile, ...]
    inputs_sha256: str
    reference: tuple[TensorFile, ...]
    labels: str
    pixels: Pixels | None
    timing: Timing
    files: Mapping[str, str]
    spec_version: int = SPEC_VERSION

    def to_json(self) -> str:
        """The text of ``bundle.json``."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> BundleSpec:
        """Builds the spec from parsed JSON.

        Raises:
            DeviceError: it is none, or of another version.
        """
        found = raw.get("spec_version")
        if found != SPEC_VERSION:
            raise DeviceError(f"the bundle has version {found}, its runner reads {SPEC_VERSION}: make it again")
        try:
            pixels = raw["pixels"]
            return cls(
                **{
                    **raw,
                    "inputs": tuple(TensorFile(**entry) for entry in raw["inputs"]),
                    "reference": tuple(TensorFile(**entry) for entry in raw["reference"]),
                    "pixels": None if pixels is None else Pixels(**{**pixels, **_tuples(pixels, "mean", "std")}),
                    "timing": Timing(**{**raw["timing"], **_tuples(raw["timing"], "batch_sizes", "threads")}),
                }
            )
        except (KeyError, TypeError) as error:
            raise DeviceError(f"{SPEC_NAME} is damaged ({error}): copy the bundle again") from error


def read_spec(folder: Path) -> BundleSpec:
    """Reads ``bundle.json`` and verifies every file that it lists.

    Raises:
        DeviceError: a file is missing or damaged.
    """
    try:
        raw = json.loads((folder / SPEC_NAME).read_text())
    except (OSError, ValueError) as error:
        raise DeviceError(f"cannot read {SPEC_NAME}: {error}: copy the bundle again") from error
    spec = BundleSpec.from_dict(raw if isinstance(raw, dict) else {})
    for name, sha256 in spec.files.items():
        if not (folder / name).is_file() or file_sha256(folder / name) != sha256:
            raise DeviceError(f"{name} is missing or damaged: copy the bundle again")
    return spec


def file_sha256(path: Path) -> str:
    """Sha256 of a file in hex, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _tuples(raw: Mapping[str, Any], *names: str) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(raw[name]) for name in names}
