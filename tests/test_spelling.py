"""American spelling, in words and inside names."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import REPOSITORY

PLACES = ("src", "workflow", "config", "docs", "tests", "benchmarks", "profiles", "Snakefile")
PLACES += ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
INSIDE_NAMES = re.compile("colour|centre|neighbour", re.IGNORECASE)
KEPT = "codespell:ignore"  # Names of before, and keys of randomness.


@pytest.mark.skipif(find_spec("codespell_lib") is None, reason="needs codespell (the extra 'test')")
def test_words():
    command = [sys.executable, "-m", "codespell_lib", *PLACES]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_names():
    """codespell takes whole words only."""
    found = []
    for place in PLACES:
        files = [REPOSITORY / place, *(REPOSITORY / place).rglob("*")]
        for path in (path for path in files if path.suffix in (".py", ".smk", ".yaml", ".md")):
            if path.name == "test_spelling.py":
                continue
            lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            found += [
                f"{path}:{number}: {line}"
                for number, line in lines
                if INSIDE_NAMES.search(line) and KEPT not in line
            ]
    assert found == []
