"""Placement tables and constraints become a plan."""

from zsq_export.planning.options import PlanOptions
from zsq_export.planning.planner import make_plan

__all__ = ["PlanOptions", "make_plan"]
