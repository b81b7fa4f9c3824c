# SPDX-License-Identifier: GPL-3.0-or-later
"""What Google's descriptions forbid: each finding is a recorded violation and a 400."""

from __future__ import annotations

import re
from typing import Any

from .discovery import Json, Method

INTEGER = re.compile(r"^-?\d+$")
SCALARS: dict[str, type | tuple[type, ...]] = {"string": str, "boolean": bool, "number": (int, float), "integer": int}


def output_only(schema: Json) -> bool:
    return bool(schema.get("readOnly")) or "Output only." in schema.get("description", "")[:60]


def required(schema: Json) -> bool:
    """No document marks a query parameter as required: only the description's first word says so."""
    return schema.get("description", "").startswith("Required.")


def enum_names(value: Any, schema: Json, schemas: Json) -> Any:
    """Google's generated clients send enums as numbers (`$alt=json;enum-encoding=int`); the documents list the names in order."""
    schema = schemas[schema["$ref"]] if "$ref" in schema else schema
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        return {name: enum_names(item, properties.get(name, others), schemas) for name, item in value.items()}
    if isinstance(value, list):
        return [enum_names(item, schema.get("items", {}), schemas) for item in value]
    if "enum" in schema and isinstance(value, int) and value < len(schema["enum"]):
        return schema["enum"][value]
    return value


def check_query(method: Method, query: dict[str, list[str]]) -> list[str]:
    known = {name: schema for name, schema in method.parameters.items() if schema.get("location") == "query"}
    found = [f"unknown query parameter {name!r}" for name in query if name not in known and name != "$alt"]
    for name, schema in known.items():
        if required(schema) and name not in query:
            found.append(f"query parameter {name!r} is required")
        for value in query.get(name, []):
            if schema["type"] == "integer" and not INTEGER.match(value):
                found.append(f"query parameter {name!r}: {value!r} is no integer")
            if schema["type"] == "boolean" and value.lower() not in ("true", "false"):
                found.append(f"query parameter {name!r}: {value!r} is no boolean")
            if "enum" in schema and value not in schema["enum"]:
                found.append(f"query parameter {name!r}: {value!r} is none of {schema['enum']}")
            if "pattern" in schema and not re.match(schema["pattern"], value):
                found.append(f"query parameter {name!r}: {value!r} does not match {schema['pattern']}")
        if len(query.get(name, [])) > 1 and not schema.get("repeated"):
            found.append(f"query parameter {name!r} given more than once")
    return found


def check_body(method: Method, body: Any) -> list[str]:
    if method.request is None:
        return [] if body in (None, {}) else [f"{method.id} takes no body"]
    if body is None:
        return []
    found: list[str] = []
    if not isinstance(body, dict):
        return ["the body is no object"]
    schema = method.schemas[method.request]
    check_value(body, schema, method.schemas, "", found)
    if method.verb == "POST":
        found += [
            f"{name}: required"
            for name, inner in schema.get("properties", {}).items()
            if required(inner) and name not in body and not identifier(inner) and name != "name"
        ]
    return found


def identifier(schema: Json) -> bool:
    return "Identifier." in schema.get("description", "")


def check_value(value: Any, schema: Json, schemas: Json, path: str, found: list[str]) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    if value is None:
        return  # JSON null clears a field
    kind = schema.get("type", "any")
    if kind == "object":
        if not isinstance(value, dict):
            found.append(f"{path}: an object is expected, not {type(value).__name__}")
            return
        properties = schema.get("properties", {})
        for name, item in value.items():
            inner = properties.get(name, schema.get("additionalProperties"))
            where = f"{path}.{name}" if path else name
            if inner is None:
                found.append(f"{where}: unknown field")
            elif name in properties and output_only(inner):
                found.append(f"{where}: output only")
            else:
                check_value(item, inner, schemas, where, found)
    elif kind == "array":
        if not isinstance(value, list):
            found.append(f"{path}: a list is expected, not {type(value).__name__}")
            return
        for item in value:
            check_value(item, schema["items"], schemas, f"{path}[]", found)
    elif kind != "any":
        check_scalar(value, schema, kind, path, found)


def check_scalar(value: Any, schema: Json, kind: str, path: str, found: list[str]) -> None:
    form = schema.get("format", "")
    if form in ("int64", "uint64") and isinstance(value, int) and not isinstance(value, bool):
        return  # both spellings of a 64-bit integer are taken
    allowed = SCALARS[kind]
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind != "boolean"):
        found.append(f"{path}: {kind} is expected, not {type(value).__name__}")
    elif form in ("int64", "uint64") and not INTEGER.match(str(value)):
        found.append(f"{path}: {value!r} is no integer")
    elif form == "google-duration" and not re.match(r"^-?\d+(\.\d{1,9})?s$", value):
        found.append(f"{path}: {value!r} is no duration such as 300s")
    elif "enum" in schema and value not in schema["enum"]:
        found.append(f"{path}: {value!r} is none of {schema['enum']}")
    elif "pattern" in schema and not re.match(schema["pattern"], str(value)):
        found.append(f"{path}: {value!r} does not match {schema['pattern']}")


def check_mask(method: Method, mask: str, wrapper: str = "") -> list[str]:
    """Every path of an update mask names a field, in camelCase or snake_case."""
    schema = method.schemas[method.request or ""]
    if wrapper:
        schema = method.schemas[schema["properties"][wrapper]["$ref"]]
    found = []
    for path in mask.split(","):
        here = schema
        for name in path.split("."):
            properties = here.get("properties", {})
            head, *rest = name.split("_")
            camel = head + "".join(part.capitalize() for part in rest)
            if camel not in properties:
                if "additionalProperties" not in here:
                    found.append(f"updateMask: {path!r} is no field")
                break
            here = properties[camel]
            here = method.schemas[here["$ref"]] if "$ref" in here else here
    return found
