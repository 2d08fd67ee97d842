from __future__ import annotations

import pytest
import torch

from unpaired.networks.codebook import DEAD_SHARE, DECAY, Codebook


def make(codes=8, dim=2) -> Codebook:
    torch.manual_seed(0)
    return Codebook(codes, dim)


def as_features(rows: torch.Tensor) -> torch.Tensor:
    """N x D -> 1 x D x N x 1."""
    return rows.T[None, ..., None]


def test_every_feature_becomes_the_nearest_code():
    book = make()
    features = torch.randn(2, 2, 3, 5)
    found = book(features).vectors
    rows = features.permute(0, 2, 3, 1).reshape(-1, 2)
    nearest = book.vectors[torch.cdist(rows, book.vectors).argmin(1)]
    assert torch.allclose(found.permute(0, 2, 3, 1).reshape(-1, 2), nearest, atol=1e-6)


def test_gradients_pass_straight_through_and_the_commitment_pulls_to_the_code():
    book = make()
    features = torch.randn(1, 2, 4, 4, requires_grad=True)
    weights = torch.randn(1, 2, 4, 4)
    quantized = book(features)
    (quantized.vectors * weights).sum().backward()
    assert torch.allclose(features.grad, weights)
    features.grad = None
    quantized = book(features)
    quantized.commitment.backward()
    assert torch.allclose(
        features.grad, 2 * (features - quantized.vectors).detach() / features.numel(), atol=1e-6
    )


def test_perplexity_is_the_number_of_codes_in_even_use():
    book = make(codes=4)
    book.vectors.copy_(torch.tensor([[0.0, 0], [1, 0], [0, 1], [9, 9]]))
    assert book(as_features(book.vectors[:3])).perplexity.item() == pytest.approx(3)
    uneven = book.vectors[[0, 0, 0, 1]]
    expected = torch.distributions.Categorical(torch.tensor([0.75, 0.25])).entropy().exp()
    assert book(as_features(uneven)).perplexity.item() == pytest.approx(expected.item())


def test_codes_in_use_follow_the_moving_average_of_their_features():
    book = make(codes=2)
    book.vectors.copy_(torch.tensor([[0.0, 0.0], [10.0, 10.0]]))
    book.uses.fill_(3.0)
    book.sums.copy_(3 * book.vectors)
    rows = torch.tensor([[1.0, 0], [0, 1], [2, 2], [11, 9]])
    book(as_features(rows))
    book.update()
    uses = DECAY * 3 + (1 - DECAY) * torch.tensor([3.0, 1.0])
    sums = DECAY * torch.tensor([[0.0, 0], [30, 30]]) + (1 - DECAY) * torch.tensor(
        [[3.0, 3], [11, 9]]
    )
    assert torch.allclose(book.uses, uses)
    assert torch.allclose(book.vectors, sums / uses[:, None], atol=1e-6)


def test_dead_codes_are_moved_to_features():
    book = make(codes=4)
    book.vectors.copy_(torch.tensor([[0.0, 0], [50, 50], [60, 60], [70, 70]]))
    book.uses.copy_(torch.tensor([10.0, 0.9 * DEAD_SHARE * 3, 1.0, 1.0]))
    book.sums.copy_(book.uses[:, None] * book.vectors)
    rows = torch.randn(30, 2)
    book(as_features(rows))
    book.update()
    assert torch.cdist(rows, book.vectors[1:2]).min() < 1e-6
    assert torch.allclose(book.vectors[2:], torch.tensor([[60.0, 60], [70, 70]]))
    # As few uses as a code can have, so that it is drawn again unless it is used from now on.
    mean = (DECAY * (12 + 0.9 * DEAD_SHARE * 3) + (1 - DECAY) * 30) / 4
    assert book.uses[1].item() == pytest.approx(DEAD_SHARE * mean)


def test_the_codebook_becomes_a_sample_and_then_the_means_of_clusters():
    torch.manual_seed(1)
    centers = torch.tensor([[0.0, 0], [4, 0], [0, 4], [4, 4]])
    book = make(codes=16)
    for _ in range(400):
        rows = centers.repeat(16, 1) + 0.2 * torch.randn(64, 2)
        quantized = book(as_features(rows))
        book.update()
    assert quantized.perplexity > 10
    assert quantized.commitment < 0.2**2
    near = torch.cdist(centers, book.vectors).argmin(0)
    assert set(near.tolist()) == {0, 1, 2, 3}


def test_nothing_moves_without_gradients_or_in_evaluation():
    book = make()
    before = book.vectors.clone()
    with torch.inference_mode():
        book(torch.randn(1, 2, 4, 4))
    book.update()
    book.eval()
    book(torch.randn(1, 2, 4, 4))
    book.update()
    assert torch.equal(book.vectors, before)
    assert book.uses.abs().max() == 0


def test_codes_are_buffers_and_saved():
    book = make()
    assert list(book.parameters()) == []
    assert set(book.state_dict()) == {"vectors", "uses", "sums"}


def test_codes_are_exact_under_autocast():
    book = make()
    with torch.autocast("cpu", torch.bfloat16):
        assert book(torch.randn(1, 2, 4, 4)).vectors.dtype == torch.float32
