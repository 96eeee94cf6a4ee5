"""Takes the zero-shot benchmark to a machine of many cores and a GPU that has Python and torch but no registry.

    python tools/bench/zsq_device.py stage .gpu              # here: wheel, scripts and assets in one folder
    python .gpu/zsq_device.py run .gpu --out DIR --jobs 8    # there; goes on from DIR of an earlier run: --earlier FILE

``run`` needs the wheel installed (``pip install --no-index --no-deps --target SITE .gpu/*.whl``) beside torch, onnx,
onnx-ir, onnxscript, onnxruntime, scipy, pillow, rich, click and jinja2. What comes back: results.tgz (every result so
far, and the log of processes), zsq.json, zsq.md, zsq.svg.
"""

from __future__ import annotations

import argparse
import csv
import io
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SCRIPTS = ("literature.py", "networks.py", "zsq_bars.py", "zsq_benchmark.py", "zsq_blocks.py", "zsq_cells.py",
           "zsq_data.py", "zsq_device.py", "zsq_jobs.py", "zsq_measure.py", "zsq_plan.py", "zsq_tables.py")  # fmt: skip
WHOLE = ("assets.py", "cifar10/cifar10_test1000.npz", "imagenet/ilsvrc2012_val650_227px.zip", "mlperf_tiny/kws01.npz")
CIFAR_REAL = "cifar10/cifar10_train4000_lossless_webp.zip"
IMAGENET_REAL = "imagenet/imagenet_train_one_per_class1000_224crop_q88.zip"
ASSETS = "assets.tar.xz"
RESULTS = "results.tgz"
KEPT = ("zsq", "jobs.jsonl")
_MOSAIC, _TILE, _ROWS, _COLUMNS = 1000, 32, 25, 40


def stage(folder: Path) -> None:
    """Copies what ``run`` needs; the real pictures that no baseline takes are blanked, to save space."""
    from networks import assets_dir
    from zsq_data import SEEDS, SUBJECTS, spread
    from zsq_plan import REAL_SAMPLES

    here, assets = Path(__file__).resolve().parent, assets_dir()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in SCRIPTS:
        shutil.copy(here / name, folder)
    with lzma.open(folder / ASSETS, "wb", preset=6) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        for name in (*WHOLE, *(item.file for item in SUBJECTS)):
            archive.add(assets / name, name)
        drawn = np.concatenate([spread(REAL_SAMPLES, 1000, draw) for draw in range(len(SEEDS))])
        _add(archive, CIFAR_REAL, _blanked_mosaics(assets / CIFAR_REAL, spread(REAL_SAMPLES, 4 * _MOSAIC)))
        _add(archive, IMAGENET_REAL, _blanked_pictures(assets / IMAGENET_REAL, drawn))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(here.parents[1])]
    subprocess.run(command, check=True)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder}: {size / 2**20:.1f} MiB")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _blanked_mosaics(path: Path, kept: NDArray[np.int64]) -> bytes:
    """The archive of mosaics of 25 x 40 pictures each, black but for those kept."""
    from PIL import Image

    content = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(content, "w") as made:
        for name in source.namelist():
            if not name.startswith("mosaic"):
                made.writestr(name, source.read(name))
                continue
            first = int(name.removeprefix("mosaic").split("_")[0]) * _MOSAIC
            pixels = np.asarray(Image.open(io.BytesIO(source.read(name))).convert("RGB"))
            tiles = pixels.reshape(_ROWS, _TILE, _COLUMNS, _TILE, 3).transpose(0, 2, 1, 3, 4).reshape(_MOSAIC, -1)
            blanked = np.where(np.isin(np.arange(_MOSAIC) + first, kept)[:, None], tiles, 0)
            whole = blanked.reshape(_ROWS, _COLUMNS, _TILE, _TILE, 3).transpose(0, 2, 1, 3, 4).reshape(pixels.shape)
            made.writestr(name, _encoded(whole.astype(np.uint8), "WEBP", lossless=True))
    return content.getvalue()


def _blanked_pictures(path: Path, kept: NDArray[np.int64]) -> bytes:
    """The archive of pictures, black but for those kept."""
    content, blank = io.BytesIO(), _encoded(np.zeros((224, 224, 3), np.uint8), "JPEG")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        rows = list(csv.reader(io.StringIO(source.read("labels.csv").decode())))
        made.writestr("labels.csv", source.read("labels.csv"))
        for index, (name, _) in enumerate(rows):
            made.writestr(name, source.read(name) if index in kept else blank)
    return content.getvalue()


def _encoded(pixels: NDArray[np.uint8], kind: str, **options: object) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def run(folder: Path, work: Path, out: Path, earlier: Path | None, rest: list[str]) -> int:
    """Unpacks, resumes from an earlier run's results, measures, and packs what there is; the benchmark's exit code."""
    assets = work / "assets"
    work.mkdir(parents=True, exist_ok=True)
    if not assets.exists():
        with tarfile.open(folder / ASSETS) as archive:
            archive.extractall(assets, filter="data")
    if earlier is not None and earlier.exists() and not (work / "zsq").exists():
        with tarfile.open(earlier) as archive:
            archive.extractall(work, filter="data")
    environment = {**os.environ, "ZSQ_ASSETS": str(assets)}
    line = [sys.executable, str(folder / "zsq_benchmark.py"), "--work", str(work), *rest]
    out.mkdir(parents=True, exist_ok=True)
    try:
        return subprocess.run(line, env=environment, check=False).returncode
    finally:
        with tarfile.open(out / RESULTS, "w:gz") as archive:
            for name in KEPT:
                if (work / name).exists():
                    archive.add(work / name, name)
        for file in work.glob("zsq.*"):
            shutil.copy(file, out)


def main() -> int:
    """Stages or runs; unknown options are the benchmark's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("stage", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/device-work"), help="kept between runs")
    parser.add_argument("--out", type=Path, default=Path("build/device"))
    parser.add_argument("--earlier", type=Path, help="results.tgz of an earlier run")
    options, rest = parser.parse_known_args()
    if options.command == "stage":
        stage(options.folder.resolve())
        return 0
    return run(options.folder.resolve(), options.work.resolve(), options.out.resolve(), options.earlier, rest)


if __name__ == "__main__":
    sys.exit(main())
