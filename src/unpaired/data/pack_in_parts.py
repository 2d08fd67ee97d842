"""Packs of sources that take long to read: an interrupted one goes on where it was."""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from unpaired.core.errors import UnpairedError
from unpaired.core.progress import Progress
from unpaired.data.pack_format import Identity
from unpaired.data.pack_writing import new_pack, write_records
from unpaired.data.packs import Pack, open_verified
from unpaired.data.records import Part, Parts, Record


def write_pack_in_parts(
    path: Path,
    parts: Parts,
    *,
    source: str,
    value_range: tuple[float, float],
    color_space: str,
    settings: dict[str, Any],
) -> Identity:
    """Like `write_pack`, for a source that takes long to read: goes on where it was interrupted.

    Records are first kept in packs of their own, ``parts.together`` in each, in a hidden folder
    beside ``path``. Once all are there they are copied into one, and the folder is removed: the
    disk must hold them twice. What is bad is named when all else has been read, and the good parts
    need not be read again.
    """
    about = {"source": source, "value_range": value_range, "color_space": color_space}
    folder = path.with_name(f".{path.stem}.parts")
    groups = list(_groups(folder, parts, settings))
    missing = [group for group in groups if not _is_whole(group.file, group.settings)]
    bad, count = list(parts.bad), len(parts.parts)
    done = count - sum(len(group.parts) for group in missing)
    with Progress(f"read {source}", count, done=done) as progress:
        reads = (part.read for group in missing for part in group.parts)
        results = _read_ahead(reads, parts.readers)
        for group in missing:
            records = _only_if_good(islice(results, len(group.parts)), bad)
            with suppress(_SomeAreBad):
                write_records(
                    group.file, records, progress.advance, settings=group.settings, **about
                )
    parts.refuse(bad)
    with (
        Progress(f"pack {source}", count) as progress,
        new_pack(path, settings=settings, **about) as pack,
    ):
        for group in groups:
            pack.add_all_of(Pack(group.file))  # Verified, or written just now.
            progress.advance(len(group.parts))
    shutil.rmtree(folder)
    return pack.identity


@dataclass(frozen=True)
class _Group:
    """Parts that are kept in one file. settings: what it must say, to be of these parts."""

    file: Path
    parts: Sequence[Part]
    settings: dict[str, Any]


def _groups(folder: Path, parts: Parts, settings: dict[str, Any]) -> Iterator[_Group]:
    for start in range(0, len(parts.parts), parts.together):
        some = parts.parts[start : start + parts.together]
        if parts.together == 1:
            name, stamp = some[0].name, some[0].stamp
        else:
            stamps = "\n".join(f"{part.name} {part.stamp}" for part in some)
            name, stamp = f"{start:08d}", hashlib.sha256(stamps.encode()).hexdigest()
        yield _Group(folder / f"{name}.h5", some, {"stamp": stamp, **settings})


class _SomeAreBad(Exception):
    """Some parts of a group cannot be read: the file of the group is not to be written."""


def _only_if_good(results: Iterable[Record | UnpairedError], bad: list[str]) -> Iterator[Record]:
    """Yield records, append refusals to ``bad``, and raise _SomeAreBad at the end of any."""
    before = len(bad)
    for result in results:
        if isinstance(result, UnpairedError):
            bad.append(str(result))
        else:
            yield result
    if len(bad) > before:
        raise _SomeAreBad


def _read_ahead(
    reads: Iterable[Callable[[], Record]], readers: int
) -> Iterator[Record | UnpairedError]:
    """Yield what each of ``reads`` returns, or the UnpairedError it raises, in their order.

    The next ones are read while the caller works with this one: inflating and hashing leave Python
    to others. Memory holds ``readers`` + 1 records.
    """

    def attempt(read: Callable[[], Record]) -> Record | UnpairedError:
        try:
            return read()
        except UnpairedError as error:
            return error

    if not readers:
        yield from map(attempt, reads)
        return
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[Future[Record | UnpairedError]] = deque()
        for read in reads:
            waiting.append(pool.submit(attempt, read))
            if len(waiting) > readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _is_whole(file: Path, stamp: dict[str, Any]) -> bool:
    try:
        return open_verified(file).settings == stamp
    except UnpairedError:
        return False
