"""Fills in what pages take from other files.

``<!-- rows: 1 -->`` on a line of its own stands for ``table_reference.rows("1")``.
"""

from __future__ import annotations

import re

from unpaired.pipeline.reference import tables as table_reference


def on_page_markdown(markdown: str, **_: object) -> str:
    return re.sub(r"^<!-- (\w+)(?:: (.+?))? -->$", _fill, markdown, flags=re.MULTILINE)


def _fill(marker: re.Match[str]) -> str:
    name, arguments = marker.groups()
    return getattr(table_reference, name)(*(arguments.split(", ") if arguments else ()))
