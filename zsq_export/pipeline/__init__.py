"""The way of a model through the house: one function per stop, each of which can be saved and resumed from.

prepare -> (equalize) -> calibrate -> plan -> round weights, correct biases -> insert QDQ -> lower -> artifact
"""

from zsq_export.pipeline.calibrating import calibrate, calibrate_as_told, equalize, resume
from zsq_export.pipeline.checking import check_conversion
from zsq_export.pipeline.conversion import Calibrated, Conversion
from zsq_export.pipeline.converting import Refine, convert
from zsq_export.pipeline.judging import Judge
from zsq_export.pipeline.planning import insert_qdq, options_of, plan_for, read_plan, round_plan

__all__ = [
    "Calibrated",
    "Conversion",
    "Judge",
    "Refine",
    "calibrate",
    "calibrate_as_told",
    "check_conversion",
    "convert",
    "equalize",
    "insert_qdq",
    "options_of",
    "plan_for",
    "read_plan",
    "resume",
    "round_plan",
]
