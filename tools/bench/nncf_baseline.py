"""Quantizes the networks with NNCF and 300 real training images: the baseline that uses data.

    python tools/bench/nncf_baseline.py [NETWORK ...]    # writes <work>/nncf/NETWORK.xml for core_benchmark.py

Needs the `bench` extra (best in an environment of its own) and the evaluation assets (ZSQ_ASSETS). NNCF's own defaults
throughout.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import networks
import nncf
import openvino
from networks import Network


def quantize(network: Network, destination: Path) -> None:
    """Writes NNCF's int8 IR of one network."""
    images = networks.real_images(network)
    model = openvino.Core().read_model(networks.assets_dir() / network.file)
    quantized = nncf.quantize(
        model,
        nncf.Dataset([image[None] for image in images]),
        subset_size=len(images),
        model_type=nncf.ModelType.TRANSFORMER if network.transformer else None,
    )
    destination.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(quantized, destination, compress_to_fp16=False)


def main() -> int:
    """Quantizes those that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="*")
    parser.add_argument("--work", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    for network in networks.named(tuple(options.network)):
        destination = options.work / "nncf" / f"{network.name}.xml"
        if not destination.exists():
            print(network.name, file=sys.stderr, flush=True)
            quantize(network, destination)
    return 0


if __name__ == "__main__":
    sys.exit(main())
