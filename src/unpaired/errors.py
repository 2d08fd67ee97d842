"""Errors that a person can act on, each told in one line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable
from typing import NoReturn


class UnpairedError(Exception):
    """Something the user can mend: the message names what is wrong and the remedy, in one line."""


def suggest(word: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest valid word, else the list of valid words."""
    valid = sorted(valid)
    near = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; valid: {', '.join(valid)}"


def check_choice(owner: str, key: str, value: str, valid: Iterable[str]) -> None:
    """Raise UnpairedError, with what was probably meant, unless ``value`` is a valid one."""
    if value not in valid:
        raise UnpairedError(f"{owner} has no {key} '{value}'{suggest(value, valid)}")


def list_some(items: Iterable[str], limit: int = 10) -> str:
    """Join the first ``limit`` items with semicolons and count the rest."""
    items = list(items)
    rest = len(items) - limit
    return "; ".join(items[:limit]) + (f"; and {rest} more" if rest > 0 else "")


def exit_with(error: Exception | str) -> NoReturn:
    """Print one line to standard error and leave with exit code 1."""
    # A name that is told may hold a line break.
    print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr, flush=True)
    raise SystemExit(1)
