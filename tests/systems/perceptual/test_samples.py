from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from tests.systems.perceptual.judged import triplet, write_judged_pack
from unpaired.core.errors import UnpairedError
from unpaired.systems.perceptual.samples import JudgedSamples


@pytest.fixture
def pack(tmp_path):
    records = [triplet(number, 5, 10 + number, number / 4) for number in range(5)]
    return write_judged_pack(tmp_path / "triplets.h5", records)


def test_a_sample_is_a_record_as_the_pack_holds_it(pack):
    samples = JudgedSamples(pack, seed=1)
    sample, record = samples[3], samples.record_of(3)
    assert set(sample) == {"reference", "first", "second", "judge", "sample"}
    for key in ("reference", "first", "second"):
        expected = torch.from_numpy(pack.read(record, key).astype(np.float32) / 255)
        assert torch.equal(sample[key], expected.permute(2, 0, 1))
    assert sample["judge"] == record / 4
    assert sample["judge"].shape == ()
    assert sample["sample"] == 3


def test_every_epoch_has_every_record_once_in_an_order_of_its_own(pack):
    samples = JudgedSamples(pack, seed=1)
    epochs = [[samples.record_of(5 * epoch + k) for k in range(5)] for epoch in range(6)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 3


def test_samples_depend_on_seed_and_number_alone(pack):
    one, other = JudgedSamples(pack, seed=1), JudgedSamples(pack, seed=2)
    forwards = [one.record_of(k) for k in range(20)]
    again = JudgedSamples(pack, seed=1)
    assert [again.record_of(k) for k in reversed(range(20))] == forwards[::-1]
    assert [other.record_of(k) for k in range(20)] != forwards
    batch = next(iter(DataLoader(again, batch_size=4, sampler=range(7, 11))))
    assert batch["judge"].tolist() == [one.record_of(k) / 4 for k in range(7, 11)]
    assert len(one) == 5


def test_packs_without_judgments_are_refused(make_pack):
    plain = make_pack({"a": np.zeros((8, 8, 3), np.uint8)})
    with pytest.raises(UnpairedError, match="no reference, first, second, judge in it"):
        JudgedSamples(plain, seed=1)
