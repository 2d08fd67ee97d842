"""Errors that a person can act on, each told in one line."""

from __future__ import annotations

import difflib
import math
import os
import sys
from collections.abc import Iterable
from numbers import Real
from typing import NoReturn


class UnpairedError(Exception):
    """Something the user can mend: the message names what is wrong and the remedy, in one line."""


class Stopped(UnpairedError):
    """The user stopped it; the message says what is done and how to go on."""


def shown(path: str | bytes | os.PathLike) -> str:
    """Return a path as text that can be printed and stored wherever UTF-8 can.

    A file's name may be any bytes; those that are no UTF-8 appear as ``\\xe9``.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def suggest(word: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest valid word, else the list of valid words."""
    valid = sorted(valid)
    near = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else f"; valid: {', '.join(valid)}"


def check_choice(owner: str, key: str, value: str, valid: Iterable[str]) -> None:
    """Raise UnpairedError, with what was probably meant, unless ``value`` is a valid one."""
    if value not in valid:
        raise UnpairedError(f"{owner} has no {key} '{value}'{suggest(value, valid)}")


def check_positive(name: str, value: object) -> None:
    """Raise UnpairedError unless ``value`` is a finite number greater than 0, and no text."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not (is_number and 0 < value < math.inf):
        raise UnpairedError(f"{name} must be a positive number, not {value!r}")


def one_line(error: object) -> str:
    """Return an error's text, which may have several lines, as one."""
    return " ".join(str(error).split())


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which gets an s unless there is one: "1 picture"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def list_some(items: Iterable[str], limit: int = 10) -> str:
    """Join the first ``limit`` items with semicolons and count the rest."""
    items = list(items)
    rest = len(items) - limit
    return "; ".join(items[:limit]) + (f"; and {rest} more" if rest > 0 else "")


def exit_with(error: Exception | str) -> NoReturn:
    """Print one line to standard error and leave with exit code 1; 130 if the user stopped it.

    What the terminal's encoding cannot show appears as escapes.
    """
    stopped, encoding = isinstance(error, Stopped), sys.stderr.encoding or "utf-8"
    # A name that is told may hold a line break.
    line = f"{'' if stopped else 'error: '}{' '.join(str(error).splitlines())}"
    print(line.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)
    raise SystemExit(130 if stopped else 1)
