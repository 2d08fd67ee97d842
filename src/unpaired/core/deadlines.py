"""One clock for all phases of a command that was given minutes, shown as one bar."""

from __future__ import annotations

import sys
import time

from unpaired.core.progress import SECONDS_BETWEEN_LINES

SECONDS_BETWEEN_UPDATES = 0.2


class Deadline:
    """Counts the minutes that a command may take, from its start; use as a context manager.

    On a terminal it shows one bar over all phases with the time left; in a log a line now and then.
    """

    def __init__(self, minutes: float, title: str = "") -> None:
        self.title, self.seconds = title, 60 * minutes
        self._start = time.monotonic()
        self._shown = 0.0
        self._phase, self._note = "", ""
        self._bar = None

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until the end; negative after it."""
        return self.seconds - self.spent

    def __enter__(self) -> Deadline:
        self._shown = time.monotonic()
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                "{task.description}",
                progress.BarColumn(),
                "{task.fields[time_left]}",
                "{task.fields[note]}",
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.seconds, note="", time_left="")
        return self

    def phase(self, name: str, note: str = "") -> None:
        """Say what is being done from now on."""
        self._phase, self._note = name, note
        self.tick()

    def tick(self, note: str | None = None) -> None:
        """Move the bar; to be called often. note: a short figure such as "3 of 20 pictures"."""
        self._note = self._note if note is None else note
        now = time.monotonic()
        if self._bar is not None and now - self._shown > SECONDS_BETWEEN_UPDATES:
            self._shown = now
            self._bar.update(
                self._task,
                description=self._phase or self.title,
                completed=min(self.spent, self.seconds),
                note=self._note,
                time_left=self.time_left_text(),
            )
        elif self._bar is None and now - self._shown > SECONDS_BETWEEN_LINES:
            self._shown = now
            words = [self._phase or self.title, self._note, self.time_left_text()]
            print(", ".join(filter(None, words)), file=sys.stderr, flush=True)

    def time_left_text(self) -> str:
        """Say in words how much time is left at the most."""
        if self.left < 0:
            return "finishing"
        return f"at most {clock_text(self.left)} min left"

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def clock_text(seconds: float) -> str:
    """Return seconds as minutes and seconds, ``4:05``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
