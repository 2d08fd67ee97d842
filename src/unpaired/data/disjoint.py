"""Training and test sets share nothing."""

from __future__ import annotations

from unpaired.core.errors import UnpairedError, list_some
from unpaired.data.packs import Pack


def check_disjoint(
    first: Pack, second: Pack, kinds: tuple[str, str] = ("training set", "test set")
) -> None:
    """Raise UnpairedError if a record of one pack is also in the other, by scene or by pixels.

    kinds: what the two packs are to each other, for the message.
    """
    for column, what in (("sha256_pixels", "the same pixels"), ("scene", "the same scene")):
        seen = dict(zip(first.columns[column], first.columns["name"], strict=True))
        shared = [
            f"{name} = {seen[value]}"
            for name, value in zip(second.columns["name"], second.columns[column], strict=True)
            if value in seen
        ]
        if shared:
            raise UnpairedError(
                f"{kinds[1]} '{second.source}' and {kinds[0]} '{first.source}' hold {what}: "
                f"{list_some(shared)}; remove them from one of the two"
            )
