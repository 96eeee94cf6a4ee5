"""One cell of the estimate's benchmark: one conversion, its outputs on held-out synthetic inputs and on real data.

What is kept is raw (class scores, ranges), so that features can be tried out without converting anything again.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import networks
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zsq_export.artifact import read_artifact
from zsq_export.backends.registry import get_backend
from zsq_export.calib.saved import save_calibration
from zsq_export.estimate.features import set_features
from zsq_export.estimate.held_out import held_out_sets
from zsq_export.estimate.mismatch import calibration_mismatch
from zsq_export.estimate.predictor import Evidence
from zsq_export.execution.batching import run_in_batches
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepare import prepare_model
from zsq_export.options import CalibrationOptions
from zsq_export.pipeline import Conversion, calibrate, convert, resume
from zsq_export.preprocessing import Preprocessing
from zsq_export.validation.forecast import AgreementKind

Arrays = dict[str, NDArray[np.float32]]
INPUT = "input"
KEPT = 4_000_000
"""Outputs of more values than this are kept for a random choice of positions only."""

FILES = (
    "cifar10/resnet20_akamaster.onnx", "mlperf_tiny/ic_resnet8.onnx", "mlperf_tiny/kws_dscnn.onnx",
    "cifar10/resnet20_chenyaofo.onnx", "cifar10/vit_d6_smmk47.onnx", "superres/espcn_x3_224.onnx",
    "cifar10/resnet56_akamaster.onnx", "imagenet/mobilenetv1_075_224.onnx", "imagenet/efficientnet_lite0_224.onnx",
    "coco/fastestdet_352.onnx",
)  # fmt: skip
CIFAR = Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010), name="cifar")
GIVEN = {"vit_d6_smmk47": CIFAR, "espcn_x3_224": Preprocessing(mean=(0.0,), std=(1.0,))}
"""Conventions that a file without BatchNorm does not tell."""
DENSE = frozenset({"espcn_x3_224", "fastestdet_352"})
"""Whose outputs are no class scores."""
TARGETS = ("onnxruntime", "openvino", "tflite")
CALIBRATORS = ("auto", "prior", "random")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One conversion."""

    file: str
    calibrator: str
    target: str
    seed: int = 0

    @property
    def network(self) -> str:
        """Name without folder and suffix."""
        return Path(self.file).stem

    @property
    def key(self) -> str:
        """File name of the result."""
        return f"{self.network}.{self.calibrator}.{self.target}.{self.seed}"


def collect(cell: Cell, work: Path) -> Path:
    """Converts and runs; the outputs go to ``<work>/<key>.npz``, those of the float model beside it."""
    result = work / f"{cell.key}.npz"
    if result.exists():
        return result
    model = networks.assets_dir() / cell.file
    sets = inputs_of(cell, work)
    saved = calibration_of(cell, work)
    folder = work / "artifacts" / cell.key
    convert(Conversion(model=model, targets=(cell.target,), output=folder, saved_calibration=saved, overwrite=True))
    artifact = read_artifact(folder)
    runner = get_backend(cell.target).open(artifact.entry, threads=2)
    outputs = {f"out/{name}": _run(runner.run, inputs, model) for name, inputs in sets.items()}
    made = resume(model, saved)
    mismatch = calibration_mismatch(made.prepared, made.result.statistics)
    if mismatch is not None:
        outputs["mismatch"] = np.array([mismatch], np.float32)
    temporary = result.with_suffix(".tmp.npz")
    np.savez(temporary, **outputs)
    temporary.replace(result)
    return result


def evidence_of(cell: Cell, work: Path) -> Evidence:
    """What the estimate of a cell rests on."""
    dense = cell.network in DENSE
    with np.load(work / f"{cell.network}.{cell.seed}.float.npz") as exact, np.load(work / f"{cell.key}.npz") as found:
        sets = {
            name.removeprefix("out/"): set_features(_shaped(exact[name], dense), _shaped(found[name], dense))
            for name in exact.files if name != "out/real"
        }  # fmt: skip
        mismatch = float(found["mismatch"][0]) if "mismatch" in found.files else None
        classes = 0 if dense else exact["out/real"].shape[1]
    kind = AgreementKind.VALUES if dense else AgreementKind.TOP1
    return Evidence(kind=kind, sets=sets, classes=classes, mismatch=mismatch)


def measured_agreement(cell: Cell, work: Path) -> float:
    """On real data, percent."""
    dense = cell.network in DENSE
    with np.load(work / f"{cell.network}.{cell.seed}.float.npz") as exact, np.load(work / f"{cell.key}.npz") as found:
        reference, other = (_shaped(arrays["out/real"], dense) for arrays in (exact, found))
    return 100 * set_features(reference, other).agreement


def _shaped(array: NDArray[np.float32], dense: bool) -> NDArray[np.float32]:
    """Outputs of which only some values were kept are flat, which would make them look like class scores."""
    if not dense:
        return array
    flat = array.reshape(len(array), -1)
    return flat[:, : flat.shape[1] // 2 * 2].reshape(len(array), 2, -1)


def calibration_of(cell: Cell, work: Path) -> Path:
    """Calibrates, unless that was done; the saved calibration."""
    path = work / f"{cell.network}.{cell.calibrator}.{cell.seed}.cal.npz"
    if not path.exists():
        options = CalibrationOptions(calibrator=cell.calibrator, preprocessing=GIVEN.get(cell.network), seed=cell.seed)
        made = calibrate(networks.assets_dir() / cell.file, options)
        save_calibration(made.result, path, made.prepared)
    return path


def inputs_of(cell: Cell, work: Path) -> dict[str, Arrays]:
    """Held-out sets and real data; the float model's outputs on them are saved by the way."""
    path = work / f"{cell.network}.{cell.seed}.sets.npz"
    model = networks.assets_dir() / cell.file
    if not path.exists():
        prepared = prepare_model(model)
        found = held_out_sets(prepared, seed=cell.seed, preprocessing=_convention(cell, work))
        stored = {held.name: held.inputs[INPUT] for held in found}
        np.savez(path.with_suffix(".tmp.npz"), **stored)
        path.with_suffix(".tmp.npz").replace(path)
    sets: dict[str, Arrays] = {name: {INPUT: array} for name, array in np.load(path).items()}
    sets["real"] = {INPUT: real_inputs(cell.file)}
    reference = work / f"{cell.network}.{cell.seed}.float.npz"
    if not reference.exists():
        session = OrtSession(model, threads=2)
        np.savez(reference, **{f"out/{name}": _run(session.run, inputs, model) for name, inputs in sets.items()})
    return sets


def _convention(cell: Cell, work: Path) -> Preprocessing | None:
    """As a careful user has it: that of the calibrator ``auto``."""
    if cell.network in GIVEN:
        return GIVEN[cell.network]
    auto = Cell(file=cell.file, calibrator="auto", target=cell.target, seed=cell.seed)
    return resume(networks.assets_dir() / cell.file, calibration_of(auto, work)).result.preprocessing


def real_inputs(file: str) -> NDArray[np.float32]:
    """Real test data as the model takes it."""
    assets, name = networks.assets(), Path(file).stem
    if file in assets.MODELS:
        (network,) = networks.named((name,))
        inputs: NDArray[np.float32] = networks.test_data(network)[0]
        return inputs
    return _OTHERS[name]()


def _keywords() -> NDArray[np.float32]:
    inputs: NDArray[np.float32] = networks.assets().kws()[0]
    return inputs


def _photographs() -> NDArray[np.float32]:
    with zipfile.ZipFile(networks.assets_dir() / "coco" / "coco_val2017_158.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        pictures = [Image.open(io.BytesIO(archive.read(name))).convert("RGB").resize((352, 352)) for name in names]
    planes = np.stack([np.asarray(picture)[..., ::-1] for picture in pictures]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(planes, dtype=np.float32) / np.float32(255)


def _luminance() -> NDArray[np.float32]:
    """224 x 224 pieces of Set5, in every size that they can be shrunk to."""
    pieces = []
    for path in sorted((networks.assets_dir() / "superres").glob("*.png")):
        picture = Image.open(path).convert("L")
        small = picture.resize((picture.width // 3, picture.height // 3), Image.Resampling.BICUBIC)
        array = np.asarray(small, dtype=np.float32)
        pieces.append(np.pad(array, ((0, 224 - array.shape[0]), (0, 224 - array.shape[1])), mode="edge"))
    return np.stack(pieces)[:, None] / np.float32(255)


_OTHERS: dict[str, Callable[[], NDArray[np.float32]]] = {
    "kws_dscnn": _keywords, "fastestdet_352": _photographs, "espcn_x3_224": _luminance
}  # fmt: skip


class _Session:
    """A runner as batching wants it."""

    def __init__(self, run: Callable[[Arrays], Arrays], model: Path) -> None:
        self.run = run
        self.input_shapes = OrtSession(model).input_shapes


def _run(run: Callable[[Arrays], Arrays], inputs: Arrays, model: Path) -> NDArray[np.float32]:
    """The first output of all samples; only some values of each if there are very many."""
    session = _Session(run, model)
    parts = [next(iter(batch.values())) for batch in run_in_batches(session, inputs, 50)]
    whole = np.concatenate(parts)
    flat = whole.reshape(len(whole), -1)
    if flat.size <= KEPT:
        return whole
    chosen = np.random.default_rng(0).choice(flat.shape[1], KEPT // len(flat), replace=False)
    return flat[:, np.sort(chosen)]
