from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import seed_for
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.sources import embedded
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.systems.perceptual.distortions.networks import NetworkDistortion, load
from unpaired.systems.perceptual.observer import L2_CONTROL, SIMULATED, Observer, l2_distance
from unpaired.systems.perceptual.sources import bapps, simulated_bapps
from unpaired.systems.perceptual.sources.simulated_bapps import (
    JND_SEVERITY,
    PARTS,
    Part,
    jnd_pairs,
    judged,
    render,
    triplets,
)

SIZE = 8
PATCHES = ("first", "second")
SMALL = tuple(replace(part, size=SIZE) for part in PARTS)
TRAIN = {f"embedded:{record.name}" for record in embedded.train_records(None)}
TEST = {f"embedded:{record.name}" for record in embedded.test_records(None)}


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> list[Path]:
    """Two untrained networks: what they were trained to is of no account here."""
    folder = tmp_path_factory.mktemp("networks")
    paths = []
    for number, corruption in enumerate(("white_noise", "gray")):
        torch.manual_seed(seed_for("network", number))
        options = {"corruption": corruption, "corruption_level": 0.1, "layers": 2}
        method = create("distorting_autoencoder", **options, first_channels=8)
        paths.append(folder / f"{number}.safetensors")
        save_model(paths[-1], "distorting_autoencoder", method)
    return paths


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, networks) -> Path:
    folder = tmp_path_factory.mktemp("bapps")
    assert render(folder, networks, parts=SMALL) == list(SMALL)
    return folder


def test_the_parts_are_those_of_the_paper_but_for_the_real_algorithms():
    places = {str(part.place): part.votes for part in PARTS}
    assert places == {
        "2afc/train/traditional": 2,
        "2afc/train/cnn": 2,
        "2afc/train/mix": 2,
        "2afc/val/traditional": 5,
        "2afc/val/cnn": 5,
        "jnd/val/traditional": 3,
        "jnd/val/cnn": 3,
    }


@pytest.mark.parametrize("part", SMALL, ids=lambda part: str(part.place))
def test_the_official_reader_reads_it(rendered, part):
    if part.task == "jnd":
        source, own = bapps.jnd_pairs(rendered, part.name), jnd_pairs(rendered, part.name)
    else:
        source = bapps.triplets(rendered, part.split, part.name)
        own = triplets(rendered, part.split, part.name)
    records = list(source)
    assert source.count() == own.count() == len(records) == SIZE
    judgment = "same" if part.task == "jnd" else "judge"
    for record in records:
        votes = part.votes * record.arrays[judgment].item()
        assert votes == pytest.approx(round(votes), abs=1e-5)
        patches = [array for key, array in record.arrays.items() if key != judgment]
        assert all(patch.shape == (64, 64, 3) for patch in patches)
        assert not np.array_equal(patches[-1], patches[0])
    assert {record.scene for record in own} <= (TRAIN if part.split == "train" else TEST)


def test_training_and_validation_share_no_photograph():
    assert not TRAIN & TEST
    assert len(TRAIN) == 4


def test_references_are_patches_of_the_photographs(rendered):
    photographs = {f"embedded:{r.name}": r.arrays["image"] for r in embedded.test_records(None)}
    record = next(iter(triplets(rendered, "val", "traditional")))
    photograph = photographs[record.scene]
    windows = np.lib.stride_tricks.sliding_window_view(photograph[..., 0], (64, 64))
    corners = windows[..., 0, 0] == record.arrays["reference"][0, 0, 0]
    found = [windows[tuple(place)] for place in np.argwhere(corners)]
    assert any(np.array_equal(window, record.arrays["reference"][..., 0]) for window in found)


def test_entries_do_not_depend_on_what_else_is_rendered(rendered):
    part = next(part for part in SMALL if str(part.place) == "2afc/val/traditional")
    alone = judged(part, [5], [], SIMULATED)
    ((stem, arrays),) = alone.items()
    record = next(r for r in triplets(rendered, "val", "traditional") if r.name == stem)
    for field, array in arrays.items():
        assert np.array_equal(array, record.arrays[field])


def test_without_networks_only_the_traditional_sets_are_written(tmp_path):
    written = render(tmp_path, parts=tuple(replace(part, size=1) for part in PARTS))
    places = [str(part.place) for part in written]
    assert places == ["2afc/train/traditional", "2afc/val/traditional", "jnd/val/traditional"]
    assert not (tmp_path / "2afc" / "val" / "cnn").exists()


def test_a_set_is_rendered_whole_or_not_at_all(tmp_path):
    part = Part("2afc", "val", "traditional", 2)
    place = tmp_path / part.place
    render(tmp_path, parts=[replace(part, size=3)])
    render(tmp_path, parts=[part])
    assert len(list((place / "p0").iterdir())) == 2

    def fail(reference: np.ndarray, image: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(tmp_path, parts=[replace(part, size=1)], observer=Observer(fail, 1.0))
    assert len(list((place / "p0").iterdir())) == 2
    assert [path.name for path in place.parent.iterdir()] == ["traditional"]


def constant(value: float) -> NetworkDistortion:
    """Return a network that gives one gray, whatever goes in."""
    method = create("distorting_autoencoder", layers=2, first_channels=8).eval()
    torch.nn.init.zeros_(method.network.last.weight)
    torch.nn.init.constant_(method.network.last.bias, value)
    return NetworkDistortion(str(value), method)


def weights_of(entry: dict[str, np.ndarray], value: int) -> list[float | None]:
    """Return with which weight a gray was mixed in, for both patches; None where it was not."""
    reference = entry["reference"].astype(float)
    found = []
    for field in PATCHES:
        change = entry[field] - reference
        weight = float(np.sum(change * (value - reference)) / np.sum((value - reference) ** 2))
        # Rounding moves a pixel by a half, and the weight that fits a flat patch by as much.
        fits = np.abs(change - weight * (value - reference)).max() <= 1.01
        found.append(weight if fits and 0 <= weight <= 1 else None)
    return found


def test_the_mix_is_of_one_of_each_kind():
    entries = judged(Part("2afc", "train", "mix", 30), range(30), [constant(0.0)], SIMULATED)
    is_black = np.array(
        [[weight is not None for weight in weights_of(entry, 0)] for entry in entries.values()]
    )
    assert np.all(is_black.sum(1) == 1)
    assert 8 < is_black[:, 0].sum() < 22


def test_the_two_patches_of_a_triplet_are_of_other_networks_and_severities():
    part, networks = Part("2afc", "val", "cnn", 40), [constant(0.0), constant(1.0)]
    entries = judged(part, range(40), networks, SIMULATED).values()
    is_black = np.array([[e[f].mean() < e["reference"].mean() for f in PATCHES] for e in entries])
    assert np.all(is_black.sum(1) == 1)
    assert 10 < is_black[:, 0].sum() < 30
    either = [(weights_of(entry, 0), weights_of(entry, 255)) for entry in entries]
    first, second = (
        np.array(
            [
                black[k] if of_black[k] else white[k]
                for (black, white), of_black in zip(either, is_black, strict=True)
            ],
            float,
        )
        for k in range(2)
    )
    # Uniform in [0, 1], the one without regard to the other.
    assert np.abs(first - second).min() > 1e-3
    assert np.mean([first, second]) == pytest.approx(0.5, abs=0.12)
    assert max(first.max(), second.max()) > 0.9
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.4


def test_one_network_is_no_choice(tmp_path, networks):
    with pytest.raises(UnpairedError, match="one distorting network; triplets need two"):
        render(tmp_path, networks[:1])


def test_votes_follow_the_observer():
    part = Part("2afc", "val", "traditional", 30)
    entries = judged(part, range(30), [], L2_CONTROL)
    fields = {
        f: np.stack([entry[f] for entry in entries.values()])
        for f in ("reference", "first", "second", "judge")
    }
    distances = [l2_distance(fields["reference"], fields[f]) for f in ("first", "second")]
    assert np.array_equal(fields["judge"].ravel() == 1, distances[1] < distances[0])


def test_jnd_pairs_look_the_same_about_as_often_as_in_the_paper():
    """27.9 % there; the tolerance is about two standard errors of so few."""
    entries = judged(Part("jnd", "val", "traditional", 120), range(120), [], SIMULATED)
    same = np.mean([entry["same"].item() for entry in entries.values()])
    assert same == pytest.approx(0.279, abs=0.08)


def test_it_can_be_packed(rendered, tmp_path):
    about = {"source": "s", "value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    source = triplets(rendered, "train", "mix")
    write_pack(tmp_path / "mix.h5", source, total=source.count(), **about)
    pack = Pack(tmp_path / "mix.h5")
    assert len(pack) == SIZE
    assert set(pack.columns["scene"]) <= TRAIN
    assert pack.read(3, "reference").shape == (64, 64, 3)


def test_training_sets_are_read_together_and_the_others_by_their_folder(rendered):
    together = simulated_bapps.training_set(rendered / "2afc/train")
    names = [record.name for record in together]
    assert together.count() == len(names) == len(set(names)) == 3 * SIZE
    assert [name.partition("/")[0] for name in names[::SIZE]] == ["traditional", "cnn", "mix"]
    assert {record.scene for record in together} <= TRAIN
    cnn = simulated_bapps.validation_set(rendered / "2afc/val/cnn")
    assert [r.name for r in cnn] == [r.name for r in triplets(rendered, "val", "cnn")]
    pairs = simulated_bapps.jnd_set(rendered / "jnd/val/traditional")
    assert {record.scene for record in pairs} <= TEST
    assert [r.name for r in pairs] == [r.name for r in jnd_pairs(rendered, "traditional")]
    assert [r.name for r in bapps.training_set(rendered / "2afc/train")] == names
    real = next(iter(bapps.validation_set(rendered / "2afc/val/cnn")))
    assert real.scene.startswith("bapps:2afc/val/cnn/")


def test_what_is_bad_in_any_of_the_sets_is_told_at_once(tmp_path, networks):
    parts = [part for part in SMALL if part.split == "train"]
    render(tmp_path, networks, parts=parts)
    for name in ("cnn", "mix"):
        next((tmp_path / f"2afc/train/{name}/judge").iterdir()).unlink()
    together = simulated_bapps.training_set(tmp_path / "2afc/train")
    for look in (together.count, lambda: list(together)):
        with pytest.raises(UnpairedError, match=r"train/cnn.* missing.*train/mix.* missing"):
            look()


def test_pairs_of_networks_are_as_weak_as_those_of_formulas(networks):
    """Untrained networks give nearly black: the whole range away from what is white."""
    distorting = [load(path) for path in networks]
    pairs = judged(Part("jnd", "val", "cnn", 30), range(30), distorting, SIMULATED).values()
    share = [np.abs(p["second"] - 1.0 * p["first"]).max() / max(p["first"].max(), 1) for p in pairs]
    assert 0.3 < max(share) <= JND_SEVERITY + 0.02
