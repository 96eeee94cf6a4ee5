"""Writes zsq_export/reporting/report.schema.json from the report's dataclasses and their docstrings."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from zsq_export.validation.report_types import REPORT_SCHEMA_VERSION, ValidationReport

DESTINATION = Path(__file__).resolve().parents[1] / "zsq_export" / "reporting" / "report.schema.json"
SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def attribute_texts(kind: type[Any]) -> dict[str, str]:
    """Field name -> its line(s) in the "Attributes:" section; one line may be about several fields."""
    section = (kind.__doc__ or "").partition("Attributes:\n")[2]
    texts: dict[str, str] = {}
    for names, text in re.findall(r"^ {8}(\w[\w, ]*): (.+(?:\n {12}.+)*)", section, re.MULTILINE):
        texts |= dict.fromkeys(names.split(", "), re.sub(r"\s+", " ", text).replace("``", ""))
    return texts


def schema_of(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of one type hint; dataclasses go to ``definitions``."""
    if get_origin(hint) is UnionType:
        option = next(option for option in get_args(hint) if option is not NoneType)
        return {"anyOf": [schema_of(option, definitions), {"type": "null"}]}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": schema_of(get_args(hint)[0], definitions)}
    if is_dataclass(hint):
        definitions.setdefault(hint.__name__, None)
        definitions[hint.__name__] = object_schema(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    return {"type": SCALARS[hint]}


def object_schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """JSON schema of a dataclass: every field required, no others allowed."""
    hints, texts = get_type_hints(kind), attribute_texts(kind)
    properties = {}
    for entry in fields(kind):
        properties[entry.name] = schema_of(hints[entry.name], definitions)
        if entry.name in texts:
            properties[entry.name]["description"] = texts[entry.name]
    summary = re.sub(r"\s+", " ", (kind.__doc__ or "").partition("\n\n")[0])
    return {
        "description": summary,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def report_schema() -> dict[str, Any]:
    """The whole schema, draft 2020-12."""
    definitions: dict[str, Any] = {}
    body = object_schema(ValidationReport, definitions)
    properties = body["properties"]
    properties["schema_version"] = {"const": REPORT_SCHEMA_VERSION}
    properties["provenance"] = {
        "description": "Where the artifact came from: name and value pairs of its manifest.",
        "type": "object",
        "additionalProperties": {"type": "string"},
    }
    properties["passed"] = {"description": "No gate failed.", "type": "boolean"}
    body["required"].append("passed")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "zsq-export validation report",
        **body,
        "$defs": dict(sorted(definitions.items())),
    }


if __name__ == "__main__":
    DESTINATION.write_text(json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n")
