"""What a run that is stopped leaves behind, so that it can go on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unpaired.core.errors import UnpairedError, shown
from unpaired.core.files import atomic_path

if TYPE_CHECKING:
    from unpaired.systems.denoising.denoise import Options
    from unpaired.systems.denoising.denoiser import Denoiser

UNFINISHED = ".unpaired-unfinished"
STATE_NAME = "state.json"


class Unfinished:
    """The hidden folder of a run on ``pictures``: what it has learned, and its checkpoints."""

    def __init__(self, folder: Path, pictures: Collection[Path], options: Options) -> None:
        self.folder, self.pictures, self.options = folder, pictures, options

    @property
    def exists(self) -> bool:
        """Whether a run was stopped here."""
        return (self.folder / STATE_NAME).is_file()

    def stamp(self) -> str:
        """Return what a stopped run belongs to: its pictures and how they are learned from."""
        files = [(shown(path), (s := path.stat()).st_size, s.st_mtime_ns) for path in self.pictures]
        options = asdict(replace(self.options, overwrite=False, resume=False, model=None))
        return sha256(json.dumps([files, options], default=str).encode()).hexdigest()

    def start(self) -> None:
        """Begin afresh, or check that what was stopped is this run."""
        state = self._state()
        if self.options.resume and state.get("stamp") != self.stamp():
            raise UnpairedError(
                f"what was stopped in {self.folder.parent} had other pictures or options: give "
                "the same ones, or --overwrite to start afresh"
            )
        if not self.options.resume:
            self.remove()
            self._write_state({"stamp": self.stamp(), "learned": {}})

    def _state(self) -> dict:
        try:
            return json.loads((self.folder / STATE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}

    def _write_state(self, state: dict) -> None:
        with atomic_path(self.folder / STATE_NAME) as aside:
            aside.write_text(json.dumps(state), encoding="utf-8")

    def remember(self, channels: int, denoiser: Denoiser, model: Path | None) -> None:
        """Write down what was chosen, so that it need not be found again."""
        state = self._state()
        state["learned"][str(channels)] = {
            "method": denoiser.method,
            "stride": denoiser.stride,
            "model": None if model is None else os.fspath(model),
            "estimate": asdict(denoiser.estimate),
        }
        self._write_state(state)

    def learned(self, channels: int) -> dict[str, Any] | None:
        """Return what was written down for pictures of so many channels."""
        return self._state().get("learned", {}).get(str(channels))

    def remove(self) -> None:
        """Remove what was kept to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget(self) -> None:
        """Remove what was kept to go on with, and the output folder if nothing is in it."""
        self.remove()
        with suppress(OSError):
            self.folder.parent.rmdir()
