"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from digits import DigitsModel, read_digits_model, write_digits_model
from filelock import FileLock
from hypothesis import settings

# No time decides a test: a busy machine takes any number of milliseconds.
settings.register_profile("timeless", deadline=None)
settings.load_profile("timeless")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two xdist workers on two cores: more threads each would only fight. Also makes sums repeatable."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def assets_dir() -> Path:
    """Folder of the evaluation assets; skips where there is none (mark such tests ``assets``)."""
    folder = Path(os.environ.get("ZSQ_ASSETS") or REPOSITORY.parent / "shared" / "assets")
    if not (folder / "assets.py").is_file():
        pytest.skip(f"no evaluation assets in {folder}; set ZSQ_ASSETS")
    return folder.resolve()


@pytest.fixture(scope="session")
def assets(assets_dir: Path) -> ModuleType:
    """The assets' own loaders: ``cifar10``, ``imagenet``, ``nchw``, ``session``, ``top1``, ``MODELS``, ``PRE``."""
    spec = importlib.util.spec_from_file_location("zsq_assets", assets_dir / "assets.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def build_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """``build_once(name, write)``: a folder that ``write`` filled once for all workers of this run."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def build(name: str, write: Callable[[Path], None]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                folder.mkdir(exist_ok=True)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    write(folder)
                done.touch()
        return folder

    return build


@pytest.fixture(scope="session")
def digits_model(build_once: Callable[[str, Callable[[Path], None]], Path]) -> DigitsModel:
    """A trained digits classifier with BatchNorm kept; see ``support/digits.py``."""
    return read_digits_model(build_once("digits", write_digits_model) / "digits.onnx")


@pytest.fixture(scope="session")
def digits_model_folded(build_once: Callable[[str, Callable[[Path], None]], Path]) -> DigitsModel:
    """The same weights, with BatchNorm folded at export."""
    return read_digits_model(build_once("digits", write_digits_model) / "digits_folded.onnx")


def _write_efficientnet(folder: Path) -> None:
    from zsq_export.demo_model import export_efficientnet_lite0

    export_efficientnet_lite0(folder / "efficientnet_lite0.onnx")


@pytest.fixture(scope="session")
def efficientnet_lite0_path(build_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """EfficientNet-Lite0 with ImageNet weights, BatchNorm kept, input "x" [N, 3, 224, 224]; mark users ``slow``."""
    return build_once("efficientnet_lite0", _write_efficientnet) / "efficientnet_lite0.onnx"
