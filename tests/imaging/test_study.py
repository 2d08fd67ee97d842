"""The study: what is exported, and a score that can be computed by hand."""

from __future__ import annotations

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.imaging.study import (
    PRACTICE_TRIALS,
    SENTINEL,
    TEST_TRIALS,
    Trial,
    export,
    fooled,
    named_folders,
    read_answers,
    read_key,
    score,
)

NAMES = [f"picture {number:02d}" for number in range(PRACTICE_TRIALS + TEST_TRIALS + 5)]
KINDS = {"truth": 40, "full": 80, "class": 120, "sentinel": 160}
PARTICIPANTS = 3


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Folders of pictures whose gray level says what they are."""
    root = tmp_path_factory.mktemp("sources")
    for kind, level in KINDS.items():
        (root / kind).mkdir()
        for number, name in enumerate(NAMES):
            Image.new("RGB", (30 + number, 20), (level, number, 0)).save(
                root / kind / f"{name}.png"
            )
    return root


@pytest.fixture(scope="module")
def exported(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "study"
    methods = {name: sources / name for name in ("full", "class")}
    export(sources / "truth", methods, sources / "sentinel", folder, PARTICIPANTS, seed=5)
    return folder


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def level_of(path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.size == (256, 256)
        return picture.getpixel((128, 128))[:2]


def test_every_trial_shows_the_true_and_the_false_picture_in_the_order_of_the_key(exported):
    key = read_key(exported / "key.csv")
    told = {}
    for path in sorted((exported / "sessions").iterdir()):
        for row in rows_of(path):
            told[int(row["session"]), int(row["trial"])] = row
    assert len(told) == len(key) == 2 * PARTICIPANTS * (PRACTICE_TRIALS + TEST_TRIALS)
    for trial in key[::7]:
        row = told[trial.session, trial.trial]
        levels = [level_of(exported / row[which]) for which in ("first", "second")]
        number = NAMES.index(trial.picture)
        assert levels[trial.fake - 1] == (KINDS[trial.method], number)
        assert levels[2 - trial.fake] == (KINDS["truth"], number)
        assert row["seconds_each"] == "1.0"


def test_sessions_are_balanced_and_tell_the_answer_in_practice_alone(exported):
    key = read_key(exported / "key.csv")
    for session in range(1, 2 * PARTICIPANTS + 1):
        own = [trial for trial in key if trial.session == session]
        assert len({trial.picture for trial in own}) == len(own)
        assert Counter(trial.practice for trial in own) == {
            True: PRACTICE_TRIALS,
            False: TEST_TRIALS,
        }
        assert Counter(trial.fake for trial in own) == {1: len(own) / 2, 2: len(own) / 2}
        sentinels = [trial for trial in own if trial.method == SENTINEL]
        assert len(sentinels) == TEST_TRIALS / 10
        assert not any(trial.practice for trial in sentinels)
        for row in rows_of(exported / "sessions" / f"{session:03d}.csv"):
            assert bool(row["fake"]) == (row["practice"] == "1")
    assert Counter((t.group, t.participant) for t in key if t.trial == 1).most_common(1)[0][1] == 1
    everywhere = " ".join(path.read_text() for path in (exported / "sessions").iterdir())
    names = " ".join(path.name for path in (exported / "pictures").iterdir())
    assert not any(word in everywhere + names for word in ("full", "class", "sentinel", "truth"))


def test_the_same_seed_gives_the_same_study_and_another_another(sources, exported, tmp_path):
    methods = {name: sources / name for name in ("full", "class")}
    for seed, same in ((5, True), (6, False)):
        again = tmp_path / str(seed)
        export(sources / "truth", methods, sources / "sentinel", again, PARTICIPANTS, seed=seed)
        assert ((again / "key.csv").read_text() == (exported / "key.csv").read_text()) == same


def trials(session: int, method: str, fooled_in: int, sentinels_fooled: int = 0):
    """A session of 10 trials and 4 sentinels, and answers that are fooled in so many of them."""
    key, answers = [], {}
    for number in range(14):
        is_sentinel = number >= 10
        wrong = number - 10 < sentinels_fooled if is_sentinel else number < fooled_in
        kind = SENTINEL if is_sentinel else method
        fake = 1 + number % 2
        key.append(Trial(session, number + 1, 1, method, kind, "p", fake, False, "a", "b"))
        answers[session, number + 1] = 3 - fake if wrong else fake
    return key, answers


def study(*sessions):
    key, answers = [], {}
    for own, said in sessions:
        key, answers = key + own, answers | said
    return key, answers


def test_shares_and_bootstrap_intervals_are_those_of_the_sessions():
    counts = [1, 2, 2, 3, 5, 0, 4, 3, 2, 3]
    (result,), left_out = fooled(*study(*(trials(k, "full", c) for k, c in enumerate(counts, 1))))
    shares = 10 * np.array(counts)
    assert result.percent == pytest.approx(shares.mean())
    assert left_out == []
    # The bootstrap's standard error of a mean is known in closed form.
    assert result.standard_error == pytest.approx(shares.std() / np.sqrt(10), rel=0.03)
    assert result.low == pytest.approx(result.percent - 1.96 * result.standard_error, abs=1.5)
    assert result.high == pytest.approx(result.percent + 1.96 * result.standard_error, abs=1.5)
    assert (result.sessions, result.trials, result.sentinels) == (10, 100, 0)


def test_who_is_fooled_by_sentinels_is_left_out():
    key, answers = study(trials(1, "full", 2), trials(2, "full", 10, 3), trials(3, "class", 4, 2))
    results, left_out = fooled(key, answers)
    assert left_out == [2]
    assert {r.method: (r.percent, r.sentinels) for r in results} == {
        "class": (40, 50),
        "full": (20, 0),
    }


def test_sessions_that_were_not_held_are_not_missed_but_gaps_are():
    key, answers = study(trials(1, "full", 2), trials(2, "full", 4))
    held = {where: said for where, said in answers.items() if where[0] == 1}
    assert fooled(key, held)[0][0].percent == 20
    del held[1, 3]
    with pytest.raises(UnpairedError, match="no answer to session 1, trial 3"):
        fooled(key, held)
    with pytest.raises(UnpairedError, match="not in the key: session 9, trial 1"):
        fooled(key, held | {(9, 1): 1})


@pytest.mark.parametrize(
    ("truth", "method", "sentinel", "output", "message"),
    [
        ("none", "full", "sentinel", "out", "none: no such folder"),
        ("truth", "none", "sentinel", "out", "none: no such folder"),
        ("truth", "full", "none", "out", "none: no such folder"),
        ("file", "full", "sentinel", "out", "file: a file, not a folder"),
        ("truth", "file", "sentinel", "out", "file: a file, not a folder"),
        ("empty", "full", "sentinel", "out", "no picture in this folder"),
        ("truth", "empty", "sentinel", "out", "no picture in this folder"),
        ("twice", "full", "sentinel", "out", "have one name; remove one of them"),
        ("truth", "full", "sentinel", "file", "there already"),
        ("truth", "full", "sentinel", "empty", "there already"),
        ("truth", "full", "sentinel", "file/out", "is a file, not a folder"),
        ("truth", "cut", "sentinel", "out", "damaged PNG file"),
    ],
)
def test_wrong_folders_are_one_line(sources, tmp_path, truth, method, sentinel, output, message):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "twice").mkdir()
    for suffix in ("png", "jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / "twice" / f"a.{suffix}")
    shutil.copytree(sources / "full", tmp_path / "cut")
    for path in (tmp_path / "cut").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    for kind in KINDS:
        (tmp_path / kind).symlink_to(sources / kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UnpairedError, match=message) as caught:
        export(
            tmp_path / truth,
            {"full": tmp_path / method},
            tmp_path / sentinel,
            tmp_path / output,
            1,
        )
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("folder", "answers", "output", "message"),
    [
        ("none", "answers.csv", None, r"cannot read .*none.key\.csv: no such file"),
        ("answers.csv", "answers.csv", None, r"cannot read .*key\.csv: a part of its path"),
        ("empty", "answers.csv", None, "cannot read"),
        ("damaged", "answers.csv", None, "damaged; take the one"),
        ("study", "none.csv", None, "cannot read .*no such file"),
        ("study", "empty", None, "cannot read .*it is a folder"),
        ("study", "binary.csv", None, "not a CSV"),
        ("study", "nul.csv", None, "not a CSV|columns session"),
        ("study", "blank.csv", None, "columns session, trial, fake are needed"),
        ("study", "semicolons.csv", None, "with commas between"),
        ("study", "header.csv", None, "no answers to score"),
        ("study", "answers.csv", "header.csv", "there already; .*--overwrite"),
        ("study", "answers.csv", "answers.csv", r"answers\.csv is an input"),
        ("study", "answers.csv", "scores.png", r"scores\.png: a \.csv file is written"),
        ("study", "answers.csv", "empty", "a folder, not a file"),
        ("study", "answers.csv", "answers.csv/o.csv", "is a file, not a folder"),
    ],
)
def test_wrong_files_of_a_score_are_one_line(exported, tmp_path, folder, answers, output, message):
    (tmp_path / "study").symlink_to(exported)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    text = (exported / "key.csv").read_text()
    (tmp_path / "damaged" / "key.csv").write_text(text[: text.index("\n") + 8] + "\n")
    (tmp_path / "binary.csv").write_bytes(b"\x89PNG\xff")
    (tmp_path / "nul.csv").write_bytes(b"session,trial,fake\x00\n")
    (tmp_path / "blank.csv").touch()
    (tmp_path / "semicolons.csv").write_text("session;trial;fake\n1;1;1\n")
    (tmp_path / "header.csv").write_text("session,trial,fake\n")
    lines = [f"{t.session},{t.trial},{t.fake}" for t in read_key(exported / "key.csv")]
    (tmp_path / "answers.csv").write_text("\n".join(["\ufeffsession,trial,fake", *lines]))
    with pytest.raises(UnpairedError, match=message) as caught:
        score(tmp_path / folder, tmp_path / answers, output and tmp_path / output)
    assert "\n" not in str(caught.value)
    assert "full: 0.0" in score(tmp_path / "study", tmp_path / "answers.csv")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1,1,3\n", "line 2: session and trial must be numbers and fake 1 or 2"),
        ("1,one,2\n", "line 2: session and trial"),
        ("1,1,\n", "line 2: session and trial"),
        ("1,1,2\n1,1,1\n", "line 3: session 1, trial 1 stands twice"),
    ],
)
def test_bad_answers(tmp_path, lines, message):
    (tmp_path / "a.csv").write_text(f"session,trial,fake\n{lines}")
    with pytest.raises(UnpairedError, match=message):
        read_answers(tmp_path / "a.csv")


def test_other_files_are_no_answers(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UnpairedError, match="columns session, trial, fake are needed"):
        read_answers(tmp_path / "a.csv")
    with pytest.raises(UnpairedError, match="cannot read"):
        read_answers(tmp_path / "none.csv")


def test_export_refuses_what_it_cannot_use(sources, tmp_path):
    methods = {"full": sources / "full"}
    (tmp_path / "there").mkdir()
    with pytest.raises(UnpairedError, match="there already"):
        export(sources / "truth", methods, sources / "sentinel", tmp_path / "there")
    few = tmp_path / "few"
    few.mkdir()
    Image.new("RGB", (8, 8)).save(few / "picture 00.png")
    with pytest.raises(UnpairedError, match="full: no pictures of picture 01"):
        export(sources / "truth", {"full": few}, sources / "sentinel", tmp_path / "out")
    with pytest.raises(UnpairedError, match="1 pictures; a session shows 50"):
        export(few, methods, sources / "sentinel", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for text in ("full", "=folder", "sentinel=x"):
        with pytest.raises(UnpairedError, match="must be NAME=FOLDER"):
            named_folders([text])


def test_by_command(sources, tmp_path):
    run, out = CliRunner().invoke, tmp_path / "study"
    command = ["study", "export", str(sources / "truth"), "--method", f"full={sources / 'full'}"]
    command += ["--sentinel", str(sources / "sentinel"), "--output", str(out)]
    done = run(app, [*command, "--participants", "2"])
    assert done.exit_code == 0, done.output
    assert "2 sessions of 50 trials" in done.output
    key = read_key(out / "key.csv")
    lines = [f"{t.session},{t.trial},{t.fake}" for t in key]  # nobody is fooled
    (tmp_path / "answers.csv").write_text("\n".join(["session,trial,fake", *lines]))
    done = run(app, ["study", "score", str(out), str(tmp_path / "answers.csv")])
    assert done.exit_code == 0, done.output
    assert "full: 0.0, 0.0 to 0.0" in done.output
    assert "72 trials in 2 sessions" in done.output
