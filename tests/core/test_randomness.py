from __future__ import annotations

import numpy as np
import torch

from unpaired.core.randomness import generators_for, numpy_generator, seed_for


def test_seed_depends_on_every_part_of_the_key():
    keys = [(1, "a", 2), (1, "a", 3), (2, "a", 2), (1, "b", 2), ("1", "a", 2)]
    assert len({seed_for(*key) for key in keys}) == len(keys)


def test_seed_is_the_same_in_every_process():
    # A value, not a comparison: Python's own hash() differs from run to run.
    assert seed_for(1, "sample", 7) == 3673093993418245152


def test_numpy_streams_are_repeatable_and_independent():
    first, again, other = (numpy_generator(key).standard_normal(10_000) for key in "aab")
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


def test_one_generator_per_sample_whatever_the_batch():
    together = [torch.rand(3, generator=g) for g in generators_for(1, [4, 5], "x", "cpu")]
    alone = [torch.rand(3, generator=generators_for(1, [n], "x", "cpu")[0]) for n in (4, 5)]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
