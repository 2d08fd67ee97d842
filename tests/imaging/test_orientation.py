from __future__ import annotations

from collections import Counter

import torch
from scipy.stats import chisquare

from unpaired.core.randomness import generators_for
from unpaired.imaging.orientation import (
    ORIENTATIONS,
    mirror_at_random,
    orient,
    orient_at_random,
)


def test_the_eight_orientations_are_different_and_keep_every_pixel():
    image = torch.arange(9.0).view(1, 3, 3)
    seen = {tuple(orient(image, o).ravel().tolist()) for o in range(ORIENTATIONS)}
    assert len(seen) == ORIENTATIONS
    assert all(sorted(values) == list(range(9)) for values in seen)


def test_batches_are_turned_alike_and_every_image_by_itself():
    image = torch.rand(400, 1, 2, 2)
    generators = generators_for(0, range(400), "test", "cpu")
    turned, other = orient_at_random(generators, image, image + 1)
    assert torch.equal(other, turned + 1)
    found = Counter(
        next(o for o in range(ORIENTATIONS) if torch.equal(orient(before, o), after))
        for before, after in zip(image, turned, strict=True)
    )
    assert chisquare([found[o] for o in range(ORIENTATIONS)]).pvalue > 1e-3


def test_the_orientation_belongs_to_the_sample():
    image = torch.rand(4, 3, 5, 5)
    (whole,) = orient_at_random(generators_for(0, range(4), "test", "cpu"), image)
    (last,) = orient_at_random(generators_for(0, [3], "test", "cpu"), image[3:])
    assert torch.equal(whole[3:], last)


def test_half_of_the_pictures_are_mirrored_alike_in_all_batches():
    images = torch.rand(64, 3, 4, 6)
    generators = generators_for(0, range(64), "test", "cpu")
    mirrored, other = mirror_at_random(generators, images, images + 1)
    flipped = (mirrored == images.flip(-1)).flatten(1).all(1)
    kept = (mirrored == images).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert 20 < flipped.sum() < 44
    assert torch.equal(other, mirrored + 1)
    (alone,) = mirror_at_random(generators_for(0, [9], "test", "cpu"), images[9:10])
    assert torch.equal(alone[0], mirrored[9])
