from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional

from tests.conftest import shared_data
from unpaired.core.errors import UnpairedError
from unpaired.imaging.color import ab_bins
from unpaired.imaging.color.ab_bins import (
    BINS,
    CENTERS,
    bins_to_ab,
    class_weights,
    decode,
    distribution_of,
    hard_encode,
    load_prior,
    mean_ab,
    save_prior,
    smoothed_prior,
    soft_cross_entropy,
    soft_encode,
    weights_of,
)
from unpaired.imaging.color.lab import rgb_to_lab


def random_ab(height=24, width=40, reach=128.0, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(2, 2, height, width, generator=generator) - 1) * reach


def points_of(ab: torch.Tensor) -> np.ndarray:
    return ab.permute(0, 2, 3, 1).reshape(-1, 2).double().numpy()


def dense_by_scikit_learn(ab: torch.Tensor, neighbors: int, sigma: float) -> np.ndarray:
    """Return N x 313: the code by a search over all bins in double precision."""
    search = NearestNeighbors(n_neighbors=neighbors, algorithm="brute").fit(CENTERS.astype(float))
    distances, bins = search.kneighbors(points_of(ab))
    weights = np.exp(-(distances**2 - distances[:, :1] ** 2) / (2 * sigma**2))
    dense = np.zeros((len(bins), BINS))
    np.put_along_axis(dense, bins, weights / weights.sum(1, keepdims=True), axis=1)
    return dense


def test_the_bins_are_the_gamut_that_the_facts_describe():
    assert CENTERS.shape == (313, 2)
    assert CENTERS[120].tolist() == [0, 0]
    order = CENTERS[:, 0] * 1000 + CENTERS[:, 1]
    assert (np.diff(order) > 0).all()
    for excluded in ((-90, 40), (-70, 100), (80, 80), (110, -60)):
        assert list(excluded) not in CENTERS.tolist()
    # What any color on the surface of the RGB cube rounds to, by its 5 nearest grid points.
    levels = torch.arange(256) / 255
    first, second = (plane.flatten() for plane in torch.meshgrid(levels, levels, indexing="ij"))
    faces = [
        torch.stack([first, second, torch.full_like(first, level)]).roll(axis, 0)
        for level in (0, 1)
        for axis in range(3)
    ]
    cube = torch.cat([*faces, torch.rand(3, 50_000)], dim=1)[None, :, :, None]
    axis = np.arange(-110, 111, 10)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    search = NearestNeighbors(n_neighbors=5).fit(grid)
    hit = grid[np.unique(search.kneighbors(points_of(rgb_to_lab(cube)[:, 1:]))[1])]
    missing = set(map(tuple, CENTERS.astype(int).tolist())) - set(map(tuple, hit.tolist()))
    assert not missing


def test_the_bins_are_the_official_ones():
    official = np.load(shared_data("color") / "pts_in_hull.npy")
    assert np.array_equal(official, CENTERS)


@pytest.mark.parametrize(("neighbors", "sigma"), [(1, 5.0), (5, 5.0), (10, 5.0), (10, 12.0)])
@pytest.mark.parametrize("reach", [128.0, 40.0])
def test_soft_encoding_is_that_of_a_full_search(neighbors, sigma, reach):
    ab = random_ab(reach=reach)
    code = soft_encode(ab, neighbors, sigma)
    assert code.bins.shape == code.weights.shape == (2, neighbors, 24, 40)
    dense = distribution_of(code).permute(0, 2, 3, 1).reshape(-1, BINS)
    assert np.abs(dense.numpy() - dense_by_scikit_learn(ab, neighbors, sigma)).max() < 1e-5


def test_many_pixels_are_encoded_part_by_part(monkeypatch):
    ab = random_ab()
    whole = soft_encode(ab, 5)
    monkeypatch.setattr(ab_bins, "PIXELS_AT_ONCE", 100)
    parts = soft_encode(ab, 5)
    assert torch.equal(parts.bins, whole.bins)
    assert torch.equal(parts.weights, whole.weights)


def test_all_neighbors_can_be_asked_for():
    code = soft_encode(random_ab(3, 2), BINS, 50.0)
    expected = dense_by_scikit_learn(random_ab(3, 2), BINS, 50.0)
    dense = distribution_of(code).permute(0, 2, 3, 1).reshape(-1, BINS)
    assert np.allclose(dense, expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, 5, 10]),
    st.lists(st.tuples(*[st.floats(-128, 128, width=32)] * 2), min_size=1, max_size=40),
)
def test_no_bin_is_nearer_than_those_found(neighbors, points):
    ab = torch.tensor(points).T[None, :, :, None]
    bins = soft_encode(ab, neighbors).bins[0, :, :, 0].T.numpy()
    distances = ((points_of(ab)[:, None] - CENTERS) ** 2).sum(-1)
    found = np.take_along_axis(distances, bins, axis=1).sum(1)
    assert all(len(set(row)) == neighbors for row in bins.tolist())
    assert np.allclose(found, np.sort(distances, axis=1)[:, :neighbors].sum(1), rtol=1e-5)


def test_hard_encoding_inverts_the_centers():
    centers = torch.from_numpy(CENTERS).T[None, :, :, None]
    bins = hard_encode(centers)
    assert bins[0, :, 0].tolist() == list(range(BINS))
    assert torch.equal(bins_to_ab(bins), centers)
    jittered = centers + 4.9 * (2 * torch.rand(centers.shape) - 1)
    inside = hard_encode(jittered)[0, :, 0] == torch.arange(BINS)
    assert inside.all()
    assert torch.equal(soft_encode(jittered, 10).nearest, hard_encode(jittered))


def test_encoding_and_taking_the_mean_returns_nearly_the_color():
    ab = random_ab(reach=35)
    found = mean_ab(distribution_of(soft_encode(ab, 10)))
    assert (found - ab).norm(dim=1).max() < 5
    assert (found - ab).norm(dim=1).mean() < 2


@pytest.mark.parametrize(
    ("ab", "keywords", "what"),
    [
        (torch.full((1, 2, 2, 2), float("nan")), {}, "finite"),
        (torch.full((1, 2, 2, 2), 129.0), {}, "129"),
        (torch.zeros(1, 2, 2, 2), {"neighbors": 0}, "neighbors"),
        (torch.zeros(1, 2, 2, 2), {"neighbors": 314}, "neighbors"),
        (torch.zeros(1, 2, 2, 2), {"sigma": 0.0}, "sigma"),
        (torch.zeros(1, 2, 2, 2), {"sigma": float("nan")}, "sigma"),
    ],
)
def test_what_cannot_be_encoded_is_refused(ab, keywords, what):
    with pytest.raises(UnpairedError, match=what):
        soft_encode(ab, **keywords)


# ---- Decoding


def test_the_annealed_mean_is_equation_2_5():
    logits = torch.randn(2, BINS, 3, 4, dtype=torch.float64) * 3
    probabilities = torch.softmax(logits, 1).numpy()
    for temperature in (0.38, 1.0, 2.5):
        powers = np.exp(np.log(probabilities) / temperature)
        powers /= powers.sum(1, keepdims=True)
        expected = np.einsum("bqhw,qc->bchw", powers, CENTERS)
        assert np.allclose(decode(logits, temperature), expected, atol=1e-9)
    # Any constant may be added: logarithms of probabilities do as well.
    assert torch.allclose(decode(logits.log_softmax(1)), decode(logits))


def test_what_is_kept_from_inference_serves_training():
    ab_bins._centers.cache_clear()
    with torch.inference_mode():
        decode(torch.zeros(1, BINS, 1, 1))
    logits = torch.randn(1, BINS, 2, 2, dtype=torch.float64, requires_grad=True)
    decode(logits).sum().backward()
    assert logits.grad.abs().max() > 0


def test_temperature_goes_from_the_mode_to_the_mean():
    logits = torch.full((1, BINS, 1, 1), -30.0)
    red, green = (hard_encode(torch.tensor(c).view(1, 2, 1, 1)) for c in ([60.0, 40], [-40.0, 40]))
    logits[0, red], logits[0, green] = np.log(0.7), np.log(0.3)
    mode, cold, annealed, mean = (decode(logits, t)[0, 0, 0, 0] for t in (0, 1e-3, 0.38, 1))
    assert mode == 60
    assert cold == pytest.approx(60)
    assert mean == pytest.approx(0.7 * 60 - 0.3 * 40, abs=1e-3)
    powers = np.array([0.7, 0.3]) ** (1 / 0.38)
    assert annealed == pytest.approx((powers / powers.sum()) @ [60, -40], abs=1e-3)
    assert mean < annealed < mode
    assert decode(logits * 1e4, 1e-6).isfinite().all()


@pytest.mark.parametrize("temperature", [-0.1, float("nan"), float("inf")])
def test_no_negative_temperature(temperature):
    with pytest.raises(UnpairedError, match="temperature"):
        decode(torch.zeros(1, BINS, 1, 1), temperature)


def test_cross_entropy_is_that_of_the_dense_target():
    logits = torch.randn(2, BINS, 5, 6, dtype=torch.float64, requires_grad=True)
    code = soft_encode(random_ab(5, 6), 10)
    found = soft_cross_entropy(logits, code)
    target = distribution_of(code).double()
    expected = functional.cross_entropy(logits, target, reduction="none")
    assert torch.allclose(found, expected, atol=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    assert torch.allclose(gradient, (torch.softmax(logits, 1) - target), atol=1e-6)


def test_cross_entropy_in_bf16_is_summed_in_fp32():
    logits = torch.randn(1, BINS, 4, 4).bfloat16()
    found = soft_cross_entropy(logits, soft_encode(random_ab(4, 4)[:1]))
    assert found.dtype == torch.float32
    assert torch.allclose(
        found, soft_cross_entropy(logits.float(), soft_encode(random_ab(4, 4)[:1]))
    )


# ---- Prior and weights


def test_the_prior_is_the_mean_soft_code():
    pictures = [random_ab(8, 9, 60, seed)[:1] for seed in range(3)] + [random_ab(30, 20, 60, 9)]
    prior = smoothed_prior(pictures, 5, 5.0)
    every = np.concatenate([dense_by_scikit_learn(ab, 5, 5.0) for ab in pictures])
    assert np.allclose(prior, every.mean(0), atol=1e-7)
    assert prior.sum().item() == pytest.approx(1, abs=1e-6)
    assert torch.allclose(smoothed_prior(iter(pictures), 5), prior)


def test_no_picture_no_prior():
    with pytest.raises(UnpairedError, match="holds none"):
        smoothed_prior([])


@pytest.mark.parametrize("uniform_share", [0.0, 0.25, 0.5, 1.0])
def test_weights_have_mean_one_and_follow_equation_2_4(uniform_share):
    prior = smoothed_prior([random_ab(60, 60, 128)])
    assert (prior > 0).all()
    weights = class_weights(prior, uniform_share)
    assert (prior * weights).sum().item() == pytest.approx(1)
    mixed = (1 - uniform_share) * prior + uniform_share / BINS
    assert torch.allclose(weights * mixed, (weights * mixed)[:1].expand(BINS))
    if uniform_share == 1:
        assert torch.allclose(weights, torch.ones(BINS, dtype=torch.float64))


def test_an_empty_bin_has_the_weight_of_an_ever_rarer_one():
    empty = torch.zeros(BINS, dtype=torch.float64)
    empty[[3, 50]] = torch.tensor([0.9, 0.1], dtype=torch.float64)
    rare = empty.clone()
    weights = class_weights(empty, 0.5)
    assert (empty * weights).sum().item() == pytest.approx(1)
    assert weights[7] == weights.max()
    assert weights[7] / weights[3] == pytest.approx((0.5 * 0.9 + 0.25) / 0.25)
    assert weights_of(torch.tensor([7, 3]), weights).tolist() == weights[[7, 3]].tolist()
    infinite = class_weights(rare, 0.0)
    assert infinite[7].isinf()
    assert infinite[3] == pytest.approx(0.5 / 0.9)
    with pytest.raises(UnpairedError, match="empty in the color prior"):
        weights_of(torch.tensor([3, 7]), infinite)


@pytest.mark.parametrize("uniform_share", [-0.1, 1.1, float("nan")])
def test_lambda_is_a_share(uniform_share):
    with pytest.raises(UnpairedError, match="lambda"):
        class_weights(torch.full((BINS,), 1 / BINS), uniform_share)


def test_a_prior_survives_its_file(tmp_path):
    prior = smoothed_prior([random_ab(10, 10, 50)])
    save_prior(tmp_path / "prior.npy", prior)
    assert torch.allclose(load_prior(tmp_path / "prior.npy"), prior, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.full(529, 1 / 529), "another bin set"),
        (np.full((313, 1), 1 / 313), "another bin set"),
        (np.full(313, 1.0), "not probabilities"),
        (np.full(313, np.nan), "not probabilities"),
        (np.r_[-0.1, 1.1, np.zeros(311)], "not probabilities"),
        (np.array(["a"] * 313), "not an array of numbers"),
        (np.array([{}] * 313, dtype=object), "not an array of numbers"),
    ],
)
def test_a_bad_prior_is_refused(tmp_path, values, what):
    path = tmp_path / "prior.npy"
    np.save(path, values, allow_pickle=True)
    with pytest.raises(UnpairedError, match=what) as caught:
        load_prior(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_prior_or_no_array(tmp_path):
    with pytest.raises(UnpairedError, match="no such color prior"):
        load_prior(tmp_path / "prior.npy")
    (tmp_path / "text.npy").write_text("0.1 0.9")
    with pytest.raises(UnpairedError, match="not an array of numbers"):
        load_prior(tmp_path / "text.npy")


def test_the_official_prior():
    prior = load_prior(shared_data("color") / "prior_probs.npy")
    assert prior.sum().item() == pytest.approx(1)
    assert prior.min().item() == pytest.approx(2.465e-5, rel=1e-3)
    assert (prior * class_weights(prior, 0.5)).sum().item() == pytest.approx(1)
    assert class_weights(prior, 0.0).isfinite().all()
