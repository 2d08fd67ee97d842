"""A real-or-fake study with people, as in section 2.3.1 of Zhang 2018: its material and its score.

The study itself needs people and a screen. `export` writes what a laboratory shows, `score` reads
what it noted. In a trial the true picture and a fake, which a method made, are shown one after the
other, a second each, in random order, and the participant says which one is fake. A session is one
participant with one method: 10 practice trials, after which the answer is told, then 40 that count.
One in ten of those is a sentinel, whose fake is the random baseline, which fools hardly anyone.

Nothing that participants or software see tells the answer: pictures carry names without meaning,
and the key is a file of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import atomic_folder, reading, write_rows
from unpaired.core.randomness import numpy_generator, seed_for
from unpaired.imaging.finding import pictures_by_name
from unpaired.imaging.outputs import check_files, refuse_unwritable
from unpaired.imaging.upright import read_opaque

PRACTICE_TRIALS = 10
TEST_TRIALS = 40
PICTURES_NEEDED = PRACTICE_TRIALS + TEST_TRIALS  # different ones, of a session
SENTINEL_SHARE = 0.1
PICTURE_PX = 256
SHOWN_SECONDS = 1.0
SENTINEL = "sentinel"
# Whoever takes more of the sentinels for real than chance allows did not look.
SENTINELS_FOOLED_MAX = 0.5
RESAMPLINGS = 10_000
CONFIDENCE = 0.95
PERCENT = 100


@dataclass(frozen=True)
class Trial:
    """A line of the key. session, trial: numbers from 1. fake: 1 or 2, which one is shown first.

    method: who made the fake, also "sentinel". practice: whether the answer is told.
    """

    session: int
    trial: int
    participant: int
    group: str
    method: str
    picture: str
    fake: int
    practice: bool
    first: str
    second: str


@dataclass(frozen=True)
class Fooled:
    """How often a method's pictures were taken for the real ones, in percent.

    low, high: 95 % interval; standard_error: both by bootstrap over sessions. sentinels: the same
    share for the sentinels of its sessions.
    """

    method: str
    percent: float
    standard_error: float
    low: float
    high: float
    sentinels: float
    sessions: int
    trials: int


def named_folders(texts: Sequence[str]) -> dict[str, Path]:
    """Read NAME=FOLDER; raises UnpairedError for anything else and for a name twice."""
    named: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in named or name == SENTINEL:
            raise UnpairedError(f"--method {text}: must be NAME=FOLDER, every name once")
        named[name] = Path(folder)
    return named


# ---- Export -------------------------------------------------------------------------------------


def export(
    truth: Path,
    methods: Mapping[str, Path],
    sentinel: Path,
    output: Path,
    participants: int = 40,
    seed: int = 1,
) -> str:
    """Write the material of a study into the new folder ``output``; return what was written.

    truth, methods, sentinel: folders of pictures of the same names, suffixes aside. Pictures are
    squeezed to 256 x 256. ``sessions/NNN.csv`` list the trials of a participant, in order, with the
    files to show, for how long, and whether the answer is told; ``key.csv`` is not for the
    software that shows them, but for `score`.
    Raises UnpairedError if pictures are missing or too few, or ``output`` is there already.
    """
    refuse_unfit(output, participants)
    files = {"truth": pictures_of(truth), SENTINEL: pictures_of(sentinel)}
    files |= {name: pictures_of(folder) for name, folder in methods.items()}
    names = sorted(files["truth"])
    for kind, found in files.items():
        missing = [name for name in names if name not in found]
        if missing:
            raise UnpairedError(f"{kind}: no pictures of {list_some(missing)}")
    refuse_few(truth, len(names))
    trials = list(_trials(names, list(methods), participants, seed))
    with atomic_folder(output) as aside:
        _write(aside, trials, files, seed)
    sessions = participants * len(methods)
    return (
        f"{sessions} sessions of {PICTURES_NEEDED} trials written to {output}; show every "
        f"picture for {SHOWN_SECONDS:g} s and keep key.csv apart"
    )


def refuse_unfit(output: Path, participants: int) -> None:
    """Raise UnpairedError for a folder that is there already or cannot be made, and for nobody."""
    if output.exists():
        raise UnpairedError(f"{output}: there already; choose another --output folder")
    refuse_unwritable([output.parent])
    if participants < 1:
        raise UnpairedError(f"--participants must be 1 or more, not {participants}")


def refuse_few(truth: Path, count: int) -> None:
    """Raise UnpairedError for fewer pictures than a session shows."""
    if count < PICTURES_NEEDED:
        raise UnpairedError(
            f"{truth}: {count} pictures; a session shows {PICTURES_NEEDED} different ones"
        )


def pictures_of(folder: Path) -> dict[str, Path]:
    """Return a folder's pictures by name; raises UnpairedError for what is no folder of them."""
    if not Path(folder).is_dir():
        what = "a file, not a folder" if Path(folder).exists() else "no such folder"
        raise UnpairedError(f"{folder}: {what}; name a folder of pictures")
    return pictures_by_name(folder)


def _trials(
    names: Sequence[str], methods: Sequence[str], participants: int, seed: int
) -> Iterator[Trial]:
    """Draw all trials; sessions of the methods are numbered in random order."""
    planned = [(method, number) for number in range(participants) for method in methods]
    order = numpy_generator(seed, "study", "sessions").permutation(len(planned))
    for session, position in enumerate(order, 1):
        method, participant = planned[position]
        rng = numpy_generator(seed, "study", method, participant)
        shown = rng.permutation(len(names))[:PICTURES_NEEDED]
        sentinels = PRACTICE_TRIALS + rng.choice(
            TEST_TRIALS, round(SENTINEL_SHARE * TEST_TRIALS), replace=False
        )
        # Half of the fakes first, in random order: nobody can be right by always saying "first".
        fakes = rng.permutation(np.arange(len(shown)) % 2) + 1
        for number, (index, fake) in enumerate(zip(shown, fakes, strict=True)):
            kind = SENTINEL if number in sentinels else method
            pair = [_opaque(seed, "truth", names[index]), _opaque(seed, kind, names[index])]
            first, second = pair if fake == 2 else reversed(pair)
            yield Trial(
                session,
                number + 1,
                participant + 1,
                method,
                kind,
                names[index],
                int(fake),
                number < PRACTICE_TRIALS,
                first,
                second,
            )


def _opaque(seed: int, kind: str, name: str) -> str:
    return f"{seed_for(seed, 'study', kind, name):016x}.png"


def _write(
    folder: Path, trials: Sequence[Trial], files: Mapping[str, Mapping[str, Path]], seed: int
) -> None:
    for part in ("pictures", "sessions"):
        (folder / part).mkdir(parents=True)
    shown = {("truth", trial.picture) for trial in trials}
    shown |= {(trial.method, trial.picture) for trial in trials}
    for kind, name in sorted(shown):
        picture = Image.fromarray(read_opaque(files[kind][name]))
        square = picture.resize((PICTURE_PX, PICTURE_PX), Image.Resampling.BICUBIC)
        square.save(folder / "pictures" / _opaque(seed, kind, name))
    write_rows(folder / "key.csv", [asdict(trial) for trial in trials])
    for session in sorted({trial.session for trial in trials}):
        own = [trial for trial in trials if trial.session == session]
        write_rows(folder / "sessions" / f"{session:03d}.csv", [_told(trial) for trial in own])


def _told(trial: Trial) -> dict[str, object]:
    """Return what the software that shows a trial is told; the answer in practice alone."""
    return {
        "session": trial.session,
        "trial": trial.trial,
        "first": f"pictures/{trial.first}",
        "second": f"pictures/{trial.second}",
        "seconds_each": SHOWN_SECONDS,
        "practice": int(trial.practice),
        "fake": trial.fake if trial.practice else "",
    }


# ---- Score --------------------------------------------------------------------------------------


def score(
    folder: Path, answers: Path, output: Path | None = None, *, overwrite: bool = False
) -> str:
    """Return a table of how often each method fooled people; see `fooled`.

    answers: CSV with session, trial and fake (1 or 2: the picture that was called fake). output:
    CSV to write. Raises UnpairedError for answers that are not those of this study, and for an
    output that is there already, unless ``overwrite`` says so.
    """
    key = Path(folder) / "key.csv"
    check_files(output, suffix=".csv", overwrite=overwrite, inputs=[key, answers])
    results, left_out = fooled(read_key(key), read_answers(answers))
    if output is not None:
        write_rows(output, [asdict(result) for result in results])
    lines = ["method: fooled (%), 95 % interval, standard error; sentinels fooled (%)"]
    lines += [
        f"{r.method}: {r.percent:.1f}, {r.low:.1f} to {r.high:.1f}, {r.standard_error:.1f}; "
        f"{r.sentinels:.1f} ({r.trials} trials in {r.sessions} sessions)"
        for r in results
    ]
    if left_out:
        told = ", ".join(map(str, left_out))
        lines.append(f"left out, fooled by more than half of their sentinels: sessions {told}")
    return "\n".join(lines)


def fooled(
    key: Sequence[Trial], answers: Mapping[tuple[int, int], int]
) -> tuple[list[Fooled], list[int]]:
    """Return the result of every method, and the sessions that were left out.

    key: as exported. answers: (session, trial) -> which picture was called fake. Practice and
    sentinels do not count. Sessions are resampled as wholes, since answers of one person go
    together. Raises UnpairedError for unknown trials and sessions that are not complete.
    """
    trials = {(trial.session, trial.trial): trial for trial in key}
    unknown = [f"session {s}, trial {t}" for s, t in answers if (s, t) not in trials]
    if unknown:
        raise UnpairedError(f"answers to trials that are not in the key: {list_some(unknown)}")
    held = {session for session, _ in answers}
    counted = [trial for trial in key if trial.session in held and not trial.practice]
    lacking = [t for t in counted if (t.session, t.trial) not in answers]
    if lacking:
        told = [f"session {t.session}, trial {t.trial}" for t in lacking]
        raise UnpairedError(f"no answer to {list_some(told)}; leave the whole session out")
    if not counted:
        raise UnpairedError("no answers to score")
    wrong = {(t.session, t.trial): answers[t.session, t.trial] != t.fake for t in counted}
    sessions: dict[str, dict[int, tuple[list[bool], list[bool]]]] = {}
    for trial in counted:
        tests, sentinels = sessions.setdefault(trial.group, {}).setdefault(trial.session, ([], []))
        (sentinels if trial.method == SENTINEL else tests).append(wrong[trial.session, trial.trial])
    left_out = sorted(
        session
        for own in sessions.values()
        for session, (_, sentinels) in own.items()
        if sentinels and np.mean(sentinels) > SENTINELS_FOOLED_MAX
    )
    results = []
    for method in sorted(sessions):
        kept = [s for number, s in sorted(sessions[method].items()) if number not in left_out]
        if kept:
            results.append(_result(method, kept))
    return results, left_out


def _result(method: str, sessions: Sequence[tuple[list[bool], list[bool]]]) -> Fooled:
    shares = np.array([np.mean(tests) for tests, _ in sessions])
    rng = numpy_generator("study", "bootstrap", method)
    drawn = rng.integers(len(shares), size=(RESAMPLINGS, len(shares)))
    means = PERCENT * shares[drawn].mean(axis=1)
    tail = PERCENT * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, PERCENT - tail])
    return Fooled(
        method,
        percent=PERCENT * float(shares.mean()),
        standard_error=float(means.std()),
        low=float(low),
        high=float(high),
        sentinels=PERCENT * float(np.mean([x for _, own in sessions for x in own])),
        sessions=len(sessions),
        trials=sum(len(tests) for tests, _ in sessions),
    )


def read_key(path: Path) -> list[Trial]:
    """Read an exported key; raises UnpairedError if it is missing or no key."""
    rows = _read(path, [field.name for field in fields(Trial)])
    numbers = ("session", "trial", "participant", "fake")
    names = [field.name for field in fields(Trial)]
    try:
        return [
            Trial(
                **{name: row[name] for name in names}
                | {name: int(row[name]) for name in numbers}
                | {"practice": row["practice"] == "True"}
            )
            for row in rows
        ]
    except (ValueError, TypeError):
        raise UnpairedError(
            f"{path}: damaged; take the one that `unpaired study export` wrote"
        ) from None


def read_answers(path: Path) -> dict[tuple[int, int], int]:
    """Read answers as (session, trial) -> 1 or 2.

    Raises UnpairedError, naming the line, for anything else and for a trial that is answered twice.
    """
    answers: dict[tuple[int, int], int] = {}
    for line, row in enumerate(_read(path, ["session", "trial", "fake"]), 2):
        texts = (row["session"], row["trial"], row["fake"])
        if not all((text or "").strip().isdecimal() for text in texts) or int(texts[2]) not in (
            1,
            2,
        ):
            raise UnpairedError(
                f"{path}: line {line}: session and trial must be numbers and fake 1 or 2"
            )
        session, trial, fake = map(int, texts)
        if (session, trial) in answers:
            raise UnpairedError(
                f"{path}: line {line}: session {session}, trial {trial} stands twice"
            )
        answers[session, trial] = fake
    return answers


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        # Spreadsheet programs put a mark in front, which "utf-8-sig" takes off.
        with reading(path), open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not set(columns) <= set(reader.fieldnames or ()):
                raise UnpairedError(
                    f"{path}: columns {', '.join(columns)} are needed, with commas between"
                )
            return list(reader)
    except (UnicodeDecodeError, csv.Error):
        raise UnpairedError(f"{path}: not a CSV; save it as text with commas between") from None
