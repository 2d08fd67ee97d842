"""The page of the settings and their JSON schema, from their types.

``python -m unpaired.pipeline.reference.settings`` writes both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unpaired.core.files import atomic_path
from unpaired.pipeline.settings import Settings, load_settings
from unpaired.pipeline.tables.layout import align_markdown

PAGE, SCHEMA = Path("docs/settings.md"), Path("config/schema.json")
CONFIG = Path("config")
OVERLAYS = {"demo": [], "smoke": ["smoke"], "overnight": ["overnight"], "paper": ["paper"]}
INTRODUCTION = """\
# Settings

Every key of the configuration, the values it may have, and what the four configurations give it:
`config/config.yaml` (demo), and `smoke.yaml`, `overnight.yaml` and `paper.yaml` laid over it.
`config/README.md` says how settings are given and what changes with each key. `null` for a key of
`training`, `network` or `evaluation` stands for the paper's value.

This page and `config/schema.json`, which lets an editor check a configuration, are written from the
types in `src/unpaired/pipeline/settings.py` by `python -m unpaired.pipeline.reference.settings`.
"""
LIMITS = {
    "exclusiveMinimum": "> ",
    "minimum": ">= ",
    "exclusiveMaximum": "< ",
    "multipleOf": "multiple of ",
}


def schema() -> dict[str, Any]:
    """Return the JSON schema of a configuration."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    whole |= Settings.model_json_schema()
    # A validator takes null for none, which the type does not tell.
    for key in ("overrides", "overrides_on"):
        own = whole["properties"][key]
        types = {name: own.pop(name) for name in ("type", "additionalProperties")}
        own["anyOf"] = [types, {"type": "null"}]
    return whole


def schema_text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


def page_text(folder: Path) -> str:
    """Return the page; ``folder`` holds the configurations."""
    values = {scale: _values_at(folder, names) for scale, names in OVERLAYS.items()}
    rows = [["key", "values", *values, "meaning"]]
    for key, own in keys():
        given = [_code(values[scale][key]) for scale in values]
        rows.append([f"`{key}`", allowed(own), *given, own["description"]])
    return f"{INTRODUCTION}\n{align_markdown(rows)}\n"


def keys() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key, those of a section as ``section.key``, with its own part of the schema."""
    whole = schema()
    for name, own in whole["properties"].items():
        section = own.get("$ref")
        if section is None:
            yield name, own
            continue
        for key, inner in whole["$defs"][section.rpartition("/")[2]]["properties"].items():
            yield f"{name}.{key}", inner


def allowed(own: dict[str, Any]) -> str:
    """Say in words which values a part of the schema allows."""
    if "anyOf" in own:
        return " or ".join(allowed(option) for option in own["anyOf"])
    if "enum" in own:
        return ", ".join(f"`{value}`" for value in own["enum"])
    if own["type"] == "array":
        return f"list of {allowed(own['items'])}"
    if own["type"] == "object":
        inner = own["additionalProperties"]
        return f"name: {allowed(inner) if inner is not True else 'value'}"
    limits = [f"{words}{own[limit]:g}" for limit, words in LIMITS.items() if limit in own]
    kind = "`null`" if own["type"] == "null" else own["type"]
    return ", ".join([kind, *limits])


def _values_at(folder: Path, overlays: list[str]) -> dict[str, Any]:
    paths = [folder / f"{name}.yaml" for name in ["config", *overlays]]
    settings = load_settings(paths, None).model_dump()
    flat = {}
    for key, _ in keys():
        section, _, inner = key.partition(".")
        flat[key] = settings[section][inner] if inner else settings[section]
    return flat


def _code(value: object) -> str:
    if isinstance(value, dict):
        return "see the file" if value else "`{}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def main() -> None:
    """Write both files, in the project's folder."""
    for path, text in ((PAGE, page_text(CONFIG)), (SCHEMA, schema_text())):
        with atomic_path(path) as aside:
            aside.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
