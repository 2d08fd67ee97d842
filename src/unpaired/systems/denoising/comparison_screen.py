"""What a person sees while methods are compared: a live table on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from unpaired.systems.denoising.ranking import COLUMNS, Ranked, all_cells, as_text, columns_within

REFRESHED_PER_SECOND = 2
BAR_WIDTH = 40


def left_text(seconds: float) -> str:
    """Return how much time is left, for people: "about 6 min left"."""
    if seconds < 60:
        return "less than 1 min left"
    return f"about {round(seconds / 60)} min left"


class Screen:
    """Tells what is being done, the time left and the ranking so far; use as a context manager.

    deadline: of `time.monotonic`.
    """

    def __init__(self, deadline: float) -> None:
        self._begin, self._deadline = time.monotonic(), deadline
        self._doing = ""
        self._lines: list[list[str]] = []
        self._live: Live | None = None

    def __enter__(self) -> Screen:
        if sys.stderr.isatty():
            self._live = Live(
                get_renderable=self._drawn,
                console=Console(stderr=True),
                refresh_per_second=REFRESHED_PER_SECOND,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, line: str) -> None:
        """Print a line that stays."""
        if self._live is not None:
            self._live.console.print(Text(line))
        else:
            print(line, flush=True)

    def begin(self, doing: str) -> None:
        """Say what is being done from now on."""
        self._doing = doing
        if self._live is None:
            print(self._line(), flush=True)

    def show(self, ranking: Sequence[Ranked], noisy_db: float) -> None:
        """Show the ranking so far; noisy_db: see `ranking.all_cells`."""
        self._lines = all_cells(ranking, noisy_db)
        if self._live is None and ranking:
            print(f"so far:\n{as_text(ranking, noisy_db)}", flush=True)

    def _line(self) -> str:
        return f"{self._doing}; {left_text(self._deadline - time.monotonic())}"

    def _drawn(self) -> Group:
        total = self._deadline - self._begin
        passed = min(time.monotonic() - self._begin, total)
        progress = Table.grid(padding=(0, 1))
        progress.add_row(ProgressBar(total, passed, width=BAR_WIDTH), Text(self._line()))
        if not self._lines:
            return Group(progress)
        columns = columns_within(self._live.console.width)
        table = Table(*COLUMNS[:columns])
        for line in self._lines:
            table.add_row(*map(Text, line[:columns]))
        return Group(table, progress)
