"""What the zero-shot benchmark measures: blocks of cells, each with the question that it answers.

Not every combination: those that a table or a bar needs, so that all of it takes under two hours on two cores.
"""

from __future__ import annotations

from dataclasses import replace

from zsq_cells import Protocol, Source
from zsq_data import SEEDS, SUBJECTS
from zsq_plan import Block

DEPLOYABLE, LITERATURE = Protocol.DEPLOYABLE, Protocol.LITERATURE

RECIPES = {
    "ZeroQ": ("plain",),
    "DSG": ("slack",),
    "IntraQ": ("crops", "spread", "soft-classes"),
    "HAST": ("crops", "hardness"),
    "TexQ": ("texture", "layered"),
    "SynQ": ("texture", "layered", "hardness", "low-pass"),
}
"""Published methods -> the options that make up their images here."""


def _source(calibrator: str, **fields: object) -> Source:
    return Source(network="", calibrator=calibrator, **fields)  # type: ignore[arg-type]


AUTO, RANDOM, DATA = _source("auto"), _source("random"), _source("data")
VARIED = _source("auto", effort="thorough", samples=256)
"""Learned rounding wants more inputs than ranges do."""

LITERATURE_NET = ("resnet20_chenyaofo",)
LARGE = tuple(item.name for item in SUBJECTS if item.large)
SMALL = tuple(item.name for item in SUBJECTS if not item.large)
DEEP = ("resnet56_akamaster",)
"""Learning takes ten minutes on one core."""

FIRST = SEEDS[:1]

BLOCKS = (
    Block(
        name="w8a8",
        question="which calibrator at 8 bits, and how far from real data",
        sources=(AUTO, _source("moments"), _source("moments", equalize=True), RANDOM, DATA),
        roundings=("gptq",),
        bits=("w8a8",),
        essential=True,
    ),
    Block(
        name="w8a8-more",
        question="the other calibrators",
        sources=(_source("generator"), _source("prior")),
        roundings=("gptq",),
        bits=("w8a8",),
        seeds=FIRST,
    ),
    Block(
        name="w8a8-special",
        question="calibrators for some networks only",
        networks=("vit_d6_smmk47", "ic_resnet8"),
        sources=(_source("generator-conditional"), _source("patch-similarity"), _source("evidence"), _source("prior")),
        roundings=("gptq",),
        bits=("w8a8", "w4a4"),
        seeds=FIRST,
    ),
    Block(
        name="literature",
        question="beside published figures",
        networks=LITERATURE_NET,
        sources=(VARIED,),
        roundings=("adaround", "gptq"),
        bits=("w4a4", "w3a3"),
        protocols=(LITERATURE, DEPLOYABLE),
        essential=True,
    ),
    Block(
        name="literature-baselines",
        question="the same on real and on random inputs, and without learning",
        networks=LITERATURE_NET,
        sources=(VARIED, DATA, RANDOM),
        roundings=("nearest", "squant", "gptq", "adaround"),
        bits=("w4a4", "w3a3"),
        protocols=(LITERATURE,),
        seeds=FIRST,
    ),
    Block(
        name="literature-weights",
        question="the same with float activations",
        networks=LITERATURE_NET,
        sources=(VARIED, DATA, RANDOM),
        roundings=("gptq",),
        bits=("w4a32", "w3a32"),
        protocols=(LITERATURE,),
        seeds=FIRST,
    ),
    Block(
        name="w4a4",
        question="four bits everywhere on small networks, how far from real data",
        networks=tuple(name for name in SMALL if name not in DEEP),
        sources=(VARIED, DATA),
        roundings=("gptq", "adaround"),
        bits=("w4a4",),
        seeds=FIRST,
        essential=True,
    ),
    Block(
        name="w4a4-large",
        question="the same on large and deep networks, without learning",
        networks=(*LARGE, *DEEP),
        sources=(AUTO, DATA, RANDOM),
        roundings=("gptq",),
        bits=("w4a4",),
        seeds=FIRST,
        essential=True,
    ),
    Block(
        name="w4a8-learned",
        question="what learning costs on a CPU",
        networks=LARGE,
        sources=(AUTO,),
        roundings=("adaround",),
        bits=("w4a8",),
        seeds=FIRST,
        essential=True,
    ),
    Block(
        name="w4a8",
        question="which rounding at 4-bit weights",
        sources=(AUTO,),
        roundings=("nearest", "squant", "gptq"),
        bits=("w4a8",),
        seeds=FIRST,
        essential=True,
    ),
    Block(
        name="w4a8-baselines",
        question="the same on real and on random inputs, and with float activations",
        sources=(AUTO, DATA, RANDOM),
        roundings=("gptq",),
        bits=("w4a8", "w4a32"),
        seeds=FIRST,
    ),
    Block(
        name="narrow",
        question="how accuracy falls with the bits",
        networks=SMALL,
        sources=(AUTO, DATA, RANDOM),
        roundings=("gptq",),
        bits=("w8a32", "w6a6", "w5a5", "w4a4", "w3a32"),
        seeds=FIRST,
    ),
    Block(
        name="improvements",
        question="what the published improvements of inversion bring",
        networks=("ic_resnet8", "resnet20_chenyaofo"),
        sources=tuple(_source("bn-inversion", improvements=names) for names in ((), *RECIPES.values())),
        roundings=("gptq",),
        bits=("w8a8", "w4a4"),
        seeds=FIRST,
    ),
)

QUICK = (
    Block(
        name="quick",
        question="does it all run",
        networks=("ic_resnet8",),
        sources=(_source("auto", effort="fast"), _source("moments"), RANDOM, DATA),
        roundings=("nearest", "gptq"),
        bits=("w8a8", "w4a4"),
        protocols=(DEPLOYABLE, LITERATURE),
        seeds=FIRST,
    ),
)

COSTS = (
    Block(
        name="costs-calibrators",
        question="seconds and memory of each calibrator, for two threads",
        networks=("resnet20_chenyaofo", "mobilenetv1_075_224"),
        sources=(
            AUTO,
            _source("moments", equalize=True),
            _source("generator"),
            _source("prior"),
            RANDOM,
            DATA,
        ),
        roundings=("nearest",),
        bits=("w8a8",),
        seeds=FIRST,
    ),
    Block(
        name="costs-roundings",
        question="seconds and memory of each rounding, for two threads",
        networks=("resnet20_chenyaofo", "mobilenetv1_075_224"),
        sources=(AUTO,),
        roundings=("nearest", "squant", "gptq", "adaround"),
        bits=("w4a8",),
        seeds=FIRST,
    ),
    Block(
        name="costs-default-steps",
        question="what the default steps of learned rounding cost on a CPU, and bring",
        networks=("mobilenetv1_075_224",),
        sources=(AUTO,),
        roundings=("adaround",),
        bits=("w4a8",),
        seeds=FIRST,
        steps=0,
    ),
)
"""Run by name, one process at a time: --block costs-calibrators --block costs-roundings --jobs 1 --threads 2."""

CUDA_AUTO, CUDA_DATA = _source("auto", device="cuda"), _source("data", device="cuda")

GPU = (
    Block(
        name="gpu",
        question="learned rounding on large networks, and what it costs on a GPU",
        networks=LARGE,
        sources=(CUDA_AUTO, CUDA_DATA),
        roundings=("adaround",),
        bits=("w4a8",),
    ),
    Block(
        name="gpu-w4a4",
        question="four bits everywhere on large networks, how far from as many real inputs",
        networks=LARGE,
        sources=(CUDA_AUTO, CUDA_DATA),
        roundings=("adaround",),
        bits=("w4a4",),
        redrawn=True,
    ),
    Block(
        name="gpu-w4a4-varied",
        question="the same with as many inputs as small networks get, and time to invert them",
        networks=LARGE,
        sources=tuple(replace(source, device="cuda") for source in (VARIED, replace(DATA, samples=VARIED.samples))),
        roundings=("adaround",),
        bits=("w4a4",),
        redrawn=True,
        essential=True,
    ),
    Block(
        name="gpu-generator",
        question="what the generator costs on a GPU",
        networks=(*LARGE, "resnet20_chenyaofo"),
        sources=(_source("generator", device="cuda"),),
        roundings=("gptq",),
        bits=("w8a8",),
        seeds=FIRST,
    ),
)
