"""Invertible networks: exact inverses, splits against closed forms and another library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.measure import block_reduce

from unpaired.core.errors import UnpairedError
from unpaired.networks.invertible import SPLITS, InvertibleNetwork

KINDS = [("haar_undecimated", 1), ("haar", 1), ("haar", 3), ("polyphase", 1), ("polyphase", 2)]


def network(split: str, levels: int, **changes) -> InvertibleNetwork:
    torch.manual_seed(0)
    made = InvertibleNetwork(split=split, levels=levels, pairs=3, width=8, blocks=1, **changes)
    for value in made.parameters():
        torch.nn.init.normal_(value, std=0.08)
    return made


def picture(*size: int) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(("split", "levels"), KINDS)
@pytest.mark.parametrize("size", [(32, 32), (17, 29), (8, 40)])
@pytest.mark.parametrize("squeeze_px", [1, 2])
def test_the_inverse_is_exact_with_any_weights_and_sizes(split, levels, size, squeeze_px):
    made, given = network(split, levels, squeeze_px=squeeze_px), picture(*size)
    with torch.no_grad():
        coarse, details = made(given)
        assert (made.inverse(coarse, details, size) - given).abs().max() < 1e-5
        # It is no accident of networks that do nothing.
        assert (coarse - made.plain_coarse(given)).abs().mean() > 0.01


@pytest.mark.parametrize(("split", "levels"), [one for one in KINDS if "undec" not in one[0]])
def test_critically_sampled_networks_are_bijections(split, levels):
    """From any c and d to a picture and back, too; and the numbers are as many."""
    made, given = network(split, levels), picture(16, 24)
    with torch.no_grad():
        coarse, details = made(given)
        assert coarse.numel() + sum(one.numel() for one in details) == given.numel()
        drawn = torch.randn_like(coarse)
        back, back_details = made(made.inverse(drawn, details, (16, 24)))
    assert (back - drawn).abs().max() < 1e-4
    for one, other in zip(back_details, details, strict=True):
        assert (one - other).abs().max() < 1e-4


def test_the_undecimated_split_has_a_coarse_part_of_full_size_and_only_projects():
    made, given = network("haar_undecimated", 1), picture(16, 16)
    with torch.no_grad():
        coarse, details = made(given)
        assert coarse.shape == given.shape
        drawn = torch.randn_like(coarse)
        once = made(made.inverse(drawn, details, (16, 16)))[0]
    assert (once - drawn).abs().max() > 0.1


@pytest.mark.parametrize("split", SPLITS)
def test_at_first_it_is_the_split(split):
    made, given = InvertibleNetwork(split=split, width=8, blocks=1), picture(16, 16)
    coarse, _ = made(given)
    torch.testing.assert_close(coarse, made.plain_coarse(given))
    if split != "haar_undecimated":
        torch.testing.assert_close(coarse, made.target(given))
    else:
        torch.testing.assert_close(made.target(given), given)


def test_splits_are_what_they_are_called():
    given = picture(8, 12)
    means = block_reduce(given.numpy(), (1, 1, 2, 2), np.mean)
    low, detail = SPLITS["haar"][0](given)
    np.testing.assert_allclose(low.numpy(), 2 * means, atol=1e-6)
    # Orthogonal: power is kept.
    power = low.square().sum() + detail.square().sum()
    torch.testing.assert_close(power, given.square().sum())
    coarse, others = SPLITS["polyphase"][0](given)
    torch.testing.assert_close(coarse, given[..., ::2, ::2])
    torch.testing.assert_close(others[:, :3], given[..., ::2, 1::2])
    full, full_detail = SPLITS["haar_undecimated"][0](given)
    np.testing.assert_allclose(full[..., ::2, ::2].numpy(), means, atol=1e-6)
    torch.testing.assert_close(full_detail[..., ::2, ::2], detail / 2)


def test_details_of_a_constant_are_zero():
    constant = torch.full((1, 3, 8, 8), 0.4)
    for split in ("haar", "haar_undecimated"):
        assert SPLITS[split][0](constant)[1].abs().max() < 1e-7


def test_what_makes_no_network_is_refused():
    with pytest.raises(UnpairedError, match="split"):
        InvertibleNetwork(split="haarr")
    with pytest.raises(UnpairedError, match="has one level, not 2"):
        InvertibleNetwork(levels=2)
    with pytest.raises(UnpairedError, match="must be 1 at least"):
        InvertibleNetwork(pairs=0)
