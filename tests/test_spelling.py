"""American spelling, in words and inside names."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import REPOSITORY

PLACES = ("src", "workflow", "config", "docs", "tests", "benchmarks", "profiles", "Snakefile")
PLACES += ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")
# Inside names too, where codespell takes whole words only, and words that it does not know.
BRITISH = re.compile(
    r"(colour|neighbour|behaviour|favour|honour|rumour|vapour|centre|metre\b|fibre|grey|licence"
    r"|defence|catalogue|analogue|programme\b|artefact|judgement|ageing|sceptic|whilst"
    r"|(cance|labe|mode|trave|signa|leve)ll(ed|ing)\b"
    r"|(recogn|organ|real|normal|optim|initial|summar|general|visual|minim|maxim|special|emphas"
    r"|util|character|standard|synthes|final|equal|critic|apolog|categor|local|stabil)is(e[ds]?|ing"
    r"|ation)\b|analys(ed?|ing)\b)",
    re.IGNORECASE,
)
WORD = re.compile(r"\w+")
KEPT = "codespell:ignore"  # Names of before, and keys of randomness.


def british_words(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if BRITISH.search(line) and KEPT not in line)
    words = (word for line in lines for word in WORD.findall(line))
    return [word for word in words if BRITISH.search(word)]


@pytest.mark.skipif(find_spec("codespell_lib") is None, reason="needs codespell (the extra 'test')")
def test_words():
    command = [sys.executable, "-m", "codespell_lib", *PLACES]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""


def test_names():
    found = {}
    for place in PLACES:
        files = [REPOSITORY / place, *(REPOSITORY / place).rglob("*")]
        for path in (path for path in files if path.suffix in (".py", ".smk", ".yaml", ".md")):
            if path.name == "test_spelling.py":
                continue
            text = path.read_text(encoding="utf-8")
            if path.name == "CHANGELOG.md":  # Which tells the names of before.
                text = re.sub(r"`[^`\n]*`", "", text)
            if words := british_words(text):
                found[str(path)] = words
    assert found == {}


def test_british_spelling_is_found_and_american_left_alone():
    text = "Grey neighbours, cancelled and recognised. A `colour_prior`."
    assert british_words(text) == ["Grey", "neighbours", "cancelled", "recognised", "colour_prior"]
    assert british_words("It was called, filled, raised and promised: two analyses.") == []
    assert british_words(f'KEY = "colours"  # {KEPT}') == []
