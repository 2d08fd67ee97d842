"""What a person types behind Snakemake's ``--config``, before Snakemake looks at it.

It meets an entry that it does not understand with a traceback, before it reads the Snakefile.
profiles/default, which it reads still earlier, calls `refuse_malformed`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from unpaired.core.errors import exit_with

OPTIONS = ("--config", "-C")
NAME = re.compile(r"[a-zA-Z_]\w+")


def refuse_malformed(arguments: Sequence[str]) -> None:
    """Leave with one line if a word behind ``--config`` is none that Snakemake understands."""
    for word in _typed(arguments):
        name, equals, value = word.partition("=")
        if not equals:
            exit_with(
                f"--config {word}: no name=value; put names of files before --config, or after a "
                "lone --"
            )
        if not all(NAME.fullmatch(part) for part in name.split(".")):
            exit_with(f"--config {word}: '{name}' is no name of a setting; see config/README.md")
        if "." in name:
            nested = shlex.quote(in_braces(name, value, "="))
            exit_with(f"--config {word}: write what belongs to another in braces: {nested}")


def in_braces(name: str, value: object, sign: str = ": ") -> str:
    """Return ``training.precision`` and a value as YAML has it: ``training: {precision: fp32}``.

    sign: behind the first name, "=" on a command line.
    """
    first, *others = name.split(".")
    text = str(value)
    for other in reversed(others):
        text = f"{{{other}: {text}}}"
    return f"{first}{sign}{text}"


def _typed(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the words that stand behind ``--config``, up to the next option."""
    is_config = False
    for word in arguments:
        if word == "--":
            return
        if word.startswith("-"):
            option, equals, value = word.partition("=")
            is_config = option in OPTIONS
            if is_config and equals:
                yield value
        elif is_config:
            yield word
