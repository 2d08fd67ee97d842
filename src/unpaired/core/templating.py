"""Pages of HTML from the templates in `templates/`; everything that is put in is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from unpaired.core.files import atomic_path


def write_html(path: Path, template: str, **values: Any) -> None:
    """Fill a template and write the page, aside and renamed."""
    page = _environment().get_template(template).render(**values)
    with atomic_path(path) as aside:
        # File names that are not UTF-8 hold lone surrogates, which no page can.
        aside.write_bytes(page.encode("utf-8", "replace"))


def _environment() -> Environment:
    """Return Jinja as all pages use it: names must be known, text is escaped."""
    return Environment(
        loader=PackageLoader("unpaired.core"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
