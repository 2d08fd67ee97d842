"""A model that a command makes of a person's own pictures: kept, resumed, never lost unasked."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unpaired.core.errors import UnpairedError
from unpaired.learning.weights import read_notes, save_model
from unpaired.pipeline.settings import canonical_json

if TYPE_CHECKING:
    from unpaired.learning.method import Method
    from unpaired.learning.training import Checkpointing

MADE_OF = "made_of"
WORK = ".unpaired-unfinished"  # Folder beside a model for what is needed until it is made.
REMEDY = "choose another output folder, or add --overwrite"


@dataclass(frozen=True)
class OwnModel:
    """A model that is made, or to be made.

    path: its file. progress: folder of its training's checkpoints. stamp: plain data that say what
    it is made of; None as long as that is not known, which is the stamp of no model.
    """

    path: Path
    progress: Path
    stamp: dict[str, Any] | None = None

    @property
    def is_made(self) -> bool:
        """Whether the file is there, whole, and made of the same."""
        try:
            return self.path.is_file() and read_notes(self.path).get(MADE_OF) == self._made_of
        except UnpairedError:
            return False

    def check(self, *, overwrite: bool) -> None:
        """Raise UnpairedError where another model, or the progress of another, would be lost.

        overwrite: whether it may be lost.
        """
        from unpaired.learning.training import stamp_in

        if overwrite:
            return
        if self.path.exists() and not self.is_made:
            raise UnpairedError(
                f"{self.path}: there already, and not made of these pictures and settings; {REMEDY}"
            )
        if (begun := stamp_in(self.progress)) is not None and begun != self.stamp:
            raise UnpairedError(
                f"{self.progress}: a training with other pictures or settings was interrupted "
                f"there; repeat its command to go on with it, {REMEDY}"
            )

    @property
    def checkpointing(self) -> Checkpointing:
        """Where its training keeps what it has done."""
        from unpaired.learning.training import Checkpointing

        return Checkpointing(self.progress, self.stamp)

    def save(self, method: str, made: Method) -> None:
        """Write the trained model, and remove its checkpoints."""
        save_model(self.path, method, made, {MADE_OF: self._made_of, "train_set": "own pictures"})
        shutil.rmtree(self.progress, ignore_errors=True)

    @property
    def _made_of(self) -> str:
        return hashlib.sha256(canonical_json(self.stamp).encode()).hexdigest()


@contextmanager
def forgotten_if_refused(work: Path) -> Iterator[None]:
    """Remove the folder ``work`` if what it was begun for is refused, and an empty one above it.

    Checkpoints in it stay, and all that they need.
    """
    from unpaired.learning.training import CHECKPOINT_NAME

    try:
        yield
    except UnpairedError:
        if not any(work.rglob(CHECKPOINT_NAME)):
            shutil.rmtree(work, ignore_errors=True)
            with suppress(OSError):  # What holds anything stays.
                work.parent.rmdir()
        raise
