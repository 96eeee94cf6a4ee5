"""The API that the two packages share, against the real bindings: imported, or read where they cannot be."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from trt_engines import needs_rtx

from zsq_export.backends.options import TargetOptions
from zsq_export.backends.tensorrt_gpu import engine, runtime
from zsq_export.backends.tensorrt_gpu.flavours import APIS, TENSORRT, TENSORRT_RTX, Api, api_of
from zsq_export.backends.tensorrt_gpu.runtime import Gpu, Library, device_obstacle, import_library, probe
from zsq_export.errors import ArtifactError, TargetUnavailableError

SHARED = {
    "": ["Builder", "ILogger", "OnnxParser", "Runtime"],
    "Builder": ["create_network", "create_builder_config", "create_optimization_profile", "build_serialized_network"],
    "IBuilderConfig": [
        "profiling_verbosity", "set_memory_pool_limit", "set_flag", "hardware_compatibility_level",
        "add_optimization_profile", "create_timing_cache", "set_timing_cache", "get_timing_cache",
    ],
    "IOptimizationProfile": ["set_shape"],
    "OnnxParser": ["parse_from_file", "num_errors", "get_error"],
    "ParserError": ["desc", "node_name", "node_operator"],
    "Runtime": ["deserialize_cuda_engine", "engine_host_code_allowed"],
    "ICudaEngine": [
        "create_execution_context", "create_engine_inspector", "num_io_tensors", "get_tensor_name", "get_tensor_mode",
        "get_tensor_dtype", "get_tensor_profile_shape",
    ],
    "IExecutionContext": ["execute_async_v3", "set_input_shape", "get_tensor_shape", "set_tensor_address"],
    "EngineInspector": ["get_engine_information"],
    "LayerInformationFormat": ["JSON"],
    "ProfilingVerbosity": ["DETAILED"],
    "MemoryPoolType": ["WORKSPACE"],
    "BuilderFlag": ["VERSION_COMPATIBLE"],
    "HardwareCompatibilityLevel": ["AMPERE_PLUS"],
    "NetworkDefinitionCreationFlag": ["STRONGLY_TYPED"],
    "TensorIOMode": ["INPUT", "OUTPUT"],
    "DataType": ["FLOAT", "HALF", "BF16", "INT8", "UINT8", "INT32", "INT64", "BOOL", "FP8", "INT4"],
}  # fmt: skip
"""Everything that the backend uses: class ("": the module) -> names."""


@needs_rtx
def test_the_rtx_package_has_everything_that_is_used() -> None:
    module = import_library(TENSORRT_RTX).module
    for owner, names in SHARED.items():
        holder = getattr(module, owner) if owner else module
        assert not [name for name in names if not hasattr(holder, name)], owner
    api = import_library(TENSORRT_RTX).api
    assert api.compute_capabilities == hasattr(module, "ComputeCapability")
    assert api.engine_validity == hasattr(module.Runtime, "get_engine_validity")
    assert api.capture_asked == hasattr(module.IExecutionContext, "is_stream_capturable")


def _installed_bindings(_folder: Path) -> bytes:
    spec = importlib.util.find_spec("tensorrt_bindings")
    if spec is None or not spec.origin:
        pytest.skip("no tensorrt bindings (tensorrt-cu13-bindings) are installed")
    return (Path(spec.origin).parent / "tensorrt.so").read_bytes()


def _downloaded_bindings(folder: Path) -> bytes:
    """Two versions of one package cannot be installed side by side."""
    wanted = "tensorrt-cu13-bindings>=10.13,<11"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", wanted]
    done = subprocess.run([*command, "--dest", str(folder)], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"{wanted} cannot be had: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (binary,) = [name for name in archive.namelist() if name.endswith("tensorrt.so")]
        return archive.read(binary)


@pytest.mark.parametrize(("major", "bindings"), [("10", _downloaded_bindings), ("11", _installed_bindings)])
def test_the_full_packages_bindings_name_everything_that_is_used(
    major: str, bindings: Callable[[Path], bytes], tmp_path: Path
) -> None:
    """They cannot be imported without libnvinfer, which PyPI does not have; their names stand in the binary."""
    words = bindings(tmp_path)
    missing = [name for names in SHARED.values() for name in names if name.encode() not in words]
    assert not missing
    api = api_of(TENSORRT, major)
    assert api is not None
    assert api.compute_capabilities == (b"num_compute_capabilities" in words)
    assert api.capture_asked == (b"is_stream_capturable" in words)


def test_versions_are_told_apart() -> None:
    found = {(api.module, api.major) for api in APIS}
    assert found == {("tensorrt", 10), ("tensorrt", 11), ("tensorrt_rtx", 1)}
    assert api_of(TENSORRT, "10.16.1.11") is not api_of(TENSORRT, "11.4.0.106")
    assert api_of(TENSORRT, "8.6.1") is None
    assert api_of(TENSORRT_RTX, "1.7.1.116") is not None


def test_a_missing_or_unknown_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(TargetUnavailableError, match=r"zsq-export\[tensorrt\]"):
        import_library(TENSORRT)
    assert probe(TENSORRT).runtime == ""
    old = ModuleType("tensorrt")
    old.__version__ = "8.6.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(TargetUnavailableError, match=r"8\.6\.1 is not supported"):
        import_library(TENSORRT)


def _library(*, refused: list[str] | None = None, engine_found: object = None) -> Library:
    """A package that answers as the documentation says, for what cannot happen without a GPU."""

    class Logger:
        def __init__(self) -> None:
            pass

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> object:
            for text in refused or []:
                self.logger.log(1, text)
            return engine_found

    class Capability:
        __members__ = dict.fromkeys(("NONE", "CURRENT", "SM75", "SM89", "SM120"))

    module: Any = SimpleNamespace(ILogger=Logger, Runtime=Runtime, ComputeCapability=Capability)
    module = _Hashable(module)
    api = Api(module="tensorrt_rtx", major=1, strongly_typed_flag=False, compute_capabilities=True)
    return Library(flavour=TENSORRT_RTX, module=module, version="1.7", api=api)


class _Hashable:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize(
    ("capability", "words"),
    [((8, 9), ""), ((12, 3), ""), ((9, 0), "has compute capability 9.0"), ((8, 0), "has compute capability 8.0")],
)
def test_the_compute_capability_decides(capability: tuple[int, int], words: str) -> None:
    obstacle = device_obstacle(_library(), Gpu(name="a GPU", capability=capability))
    assert words in obstacle
    assert bool(words) == bool(obstacle)


def test_no_gpu_says_so() -> None:
    assert "no CUDA device" in device_obstacle(_library(), None)


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        ("not compatible with this version of TensorRT", TargetUnavailableError, "another version"),
        ("The engine was built for compute capability 8.9", TargetUnavailableError, "--compute-capability"),
        ("CUDA driver version is insufficient", TargetUnavailableError, "driver"),
        ("Magic tag does not match", ArtifactError, "cannot read the engine"),
    ],
)  # fmt: skip
def test_a_refused_engine_says_why(
    message: str, error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "find_gpu", lambda: Gpu(name="a GPU", capability=(8, 9)))
    with pytest.raises(error, match=words):
        engine.load_engine(_library(refused=[message]), b"engine", TargetOptions())


def test_an_empty_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_gpu", lambda: Gpu(name="a GPU", capability=(8, 9)))
    with pytest.raises(ArtifactError, match="empty"):
        engine.load_engine(_library(), b"", TargetOptions())
    monkeypatch.setattr(engine, "find_gpu", lambda: None)
    with pytest.raises(TargetUnavailableError, match="no CUDA device"):
        engine.load_engine(_library(), b"engine", TargetOptions())


def test_a_gpu_that_is_not_supported_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "import_library", lambda _flavour: _library())
    monkeypatch.setattr(runtime, "find_gpu", lambda: Gpu(name="NVIDIA H100", capability=(9, 0)))
    found = probe(TENSORRT_RTX)
    assert (found.available, found.lowers, found.device) == (False, True, "NVIDIA H100")
    assert "9.0" in found.hint
