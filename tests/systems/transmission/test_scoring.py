"""Scores of what arrives: every picture is sent, over the same noise, and kept after a kill."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.systems.few_shot.portraits import portrait_pack
from tests.systems.transmission import tiny
from unpaired import catalog
from unpaired.core.kept_parts import KeptParts
from unpaired.metrics.frechet import frechet_distance
from unpaired.metrics.kernel_distance import kernel_distance
from unpaired.metrics.psnr import psnr_db
from unpaired.systems.transmission.scoring import batches_of, score, send_all
from unpaired.systems.transmission.sending import Arrived, all_came

SNR_1 = catalog.conditions()["snr_1"]
CPU = torch.device("cpu")
ABOUT = {"repeats": 1, "crop_px": None, "device": CPU}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return portrait_pack(tmp_path_factory.mktemp("packs") / "pack.h5", range(10), "portraits")


class Perfect:
    """A wire. dies_after: batches, to see what is left of a scoring that was killed."""

    multiple_px, pictures_at_once = 8, 4

    def __init__(self, dies_after: int | None = None) -> None:
        self.sent: list[tuple[str, ...]] = []
        self.dies_after = dies_after

    def send(self, picture, channel):
        if len(self.sent) == self.dies_after:
            raise KeyboardInterrupt
        self.sent.append(tuple(channel.names))
        return all_came(picture, 7)


class Noise(Perfect):
    def send(self, picture, channel):
        drawn = channel.generators("channel", picture.device)
        noise = torch.stack([torch.randn(picture.shape[1:], generator=g) for g in drawn])
        return all_came((picture + 0.1 * noise).clamp(0, 1), 7)


class Lossy(Perfect):
    """Every picture of a list is lost."""

    def __init__(self, lost: tuple[str, ...]) -> None:
        super().__init__()
        self.lost = lost

    def send(self, picture, channel):
        came = torch.tensor([name not in self.lost for name in channel.names])
        return Arrived(picture, came, 7)


def test_a_wire_is_perfect_and_every_picture_is_sent_once(pack):
    product = Perfect()
    scored = score(product, pack, SNR_1, features=tiny.features(), **ABOUT)
    names = list(pack.columns["name"])
    assert [name for batch in product.sent for name in batch] == names
    assert [row["image"] for row in scored.rows] == names
    for row in scored.rows:
        assert row["psnr_db"] == math.inf
        assert row["ssim"] == pytest.approx(1)
        assert row["feature_distance"] == pytest.approx(0, abs=1e-6)
        assert (row["symbols"], row["arrived"]) == (7, 100)
        assert row["seconds_per_mpix"] > 0
    assert scored.pooled["fd_portrait_features"] == pytest.approx(0, abs=1e-6)
    assert scored.pooled["lpips"] == scored.pooled["lpips_vgg"] == "no weights"
    assert scored.example.shape == (32, 96, 3)
    assert not scored.example[:, 64:].any()


def test_scores_are_those_of_the_metrics(pack):
    network = tiny.features()
    scored = score(Noise(), pack, SNR_1, features=network, **ABOUT)
    sent = send_all(Noise(), pack, 1.0, CPU)
    for one, row in zip(sent, scored.rows, strict=True):
        assert row["psnr_db"] == psnr_db(
            *((255 * x + 0.5).astype(np.uint8) for x in (one.truth, one.picture))
        )
    both = [
        torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2)
        for some in ([one.picture for one in sent], [one.truth for one in sent])
    ]
    with torch.inference_mode():
        made, true = (network.pooled(some).numpy() for some in both)
        distances = network.distances(both[1], both[0])
    assert scored.pooled["fd_portrait_features"] == pytest.approx(
        frechet_distance(made, true), rel=1e-4
    )
    assert scored.pooled["kd_portrait_features"] == pytest.approx(
        kernel_distance(made, true), rel=1e-3
    )
    found = [row["feature_distance"] for row in scored.rows]
    np.testing.assert_allclose(found, distances.numpy(), rtol=1e-4)


def test_lpips_is_scored_where_its_weights_are(pack):
    class Counted:
        def distances(self, reference, *others):
            assert reference.shape == others[0].shape
            return [(reference - others[0]).abs().mean(dim=(1, 2, 3))]

    scored = score(Noise(), pack, SNR_1, features=tiny.features(), lpips_alex=Counted(), **ABOUT)
    assert all(0.01 < row["lpips"] < 0.2 for row in scored.rows)
    assert "lpips" not in scored.pooled
    assert scored.pooled["lpips_vgg"] == "no weights"


def test_pictures_that_do_not_arrive_have_no_scores_and_neither_have_the_others(pack):
    names = tuple(pack.columns["name"])
    for lost, why, share in ((names, "no picture", 0), (names[:3], "pictures missing", 70)):
        scored = score(Lossy(lost), pack, SNR_1, features=tiny.features(), **ABOUT)
        assert scored.pooled["psnr_db"] == scored.pooled["fd_portrait_features"] == why
        assert all("psnr_db" not in row and "ssim" not in row for row in scored.rows)
        assert np.mean([row["arrived"] for row in scored.rows]) == share


def test_every_product_and_repeat_has_its_noise_from_the_same_draw(pack):
    first, second = (send_all(Noise(), pack, 1.0, CPU, repeats=2) for _ in range(2))
    by_repeat = {}
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.picture, other.picture)
        by_repeat.setdefault(one.name, []).append(one.picture)
    assert all(not np.array_equal(*both) for both in by_repeat.values())
    assert {len(both) for both in by_repeat.values()} == {2}


def test_a_scoring_that_was_killed_goes_on_behind_what_was_kept(pack, tmp_path):
    about = {"features": tiny.features(), **ABOUT}
    whole = score(Perfect(), pack, SNR_1, **about)
    killed = Perfect(dies_after=2)
    with pytest.raises(KeyboardInterrupt):
        score(killed, pack, SNR_1, parts=KeptParts(tmp_path / "parts", {"a": 1}), **about)
    again = Perfect()
    scored = score(again, pack, SNR_1, parts=KeptParts(tmp_path / "parts", {"a": 1}), **about)
    names = list(pack.columns["name"])
    assert [name for batch in again.sent for name in batch] == names[8:]

    def without_time(rows):
        return [{key: row[key] for key in row if key != "seconds_per_mpix"} for row in rows]

    assert without_time(scored.rows) == without_time(whole.rows)
    # What belongs to another model is not taken.
    other = Perfect()
    score(other, pack, SNR_1, parts=KeptParts(tmp_path / "parts", {"a": 2}), **about)
    assert [name for batch in other.sent for name in batch] == names


def test_batches_hold_pictures_of_one_size_and_do_not_change(make_pack):
    sizes = [(8, 8), (8, 8), (8, 8), (16, 8), (8, 8)]
    arrays = {f"{k}": np.zeros((*size, 3), np.uint8) for k, size in enumerate(sizes)}
    assert list(batches_of(make_pack(arrays), 2)) == [[0, 1], [2], [3], [4]]
