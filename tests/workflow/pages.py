"""Pages of the documentation whose code is done as they say."""

from __future__ import annotations

import re
from pathlib import Path


def blocks(page: Path) -> dict[str, str]:
    """Return a page's code, by the file that it belongs to."""
    found = re.findall(r'```\w+ title="([^",]+)[^"]*"\n(.*?)```', page.read_text(), re.DOTALL)
    return dict(found)
