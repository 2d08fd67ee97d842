"""Progress that suits the reader: a live bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import time

SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts work done and tells it on standard error; use as a context manager.

    unit: what is counted, in plural ("images"). total: how many there will be, None if unknown.
    """

    def __init__(self, title: str, total: int | None, unit: str = "images", done: int = 0) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self._done_at_start = done, done
        self._bar = None
        self._note = ""

    def __enter__(self) -> Progress:
        self._start = self._last_line = time.perf_counter()
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                "{task.description}",
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                self.unit,
                progress.TimeRemainingColumn(),
                "{task.fields[note]}",
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(
                self.title, total=self.total, completed=self.done, note=""
            )
        return self

    def advance(self, count: int = 1, note: str = "") -> None:
        """Say that ``count`` more are done; ``note`` is a short figure such as the loss."""
        self.done += count
        self._note = note or self._note
        if self._bar is not None:
            self._bar.update(self._task, advance=count, note=self._note)
        elif time.perf_counter() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.perf_counter()
            self._print_line()

    @property
    def per_second(self) -> float:
        """Units per second since the start of this run."""
        return (self.done - self._done_at_start) / max(time.perf_counter() - self._start, 1e-9)

    def _print_line(self) -> None:
        total = "" if self.total is None else f"/{self.total}"
        line = f"{self.title}: {self.done}{total} {self.unit}, {self.per_second:.1f} {self.unit}/s"
        print(f"{line} {self._note}".rstrip(), file=sys.stderr, flush=True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif kind is None:
            self._print_line()
