"""DeepJSCC's layers: closed forms, sizes of the paper, what depends on the SNR."""

from __future__ import annotations

import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.networks.deepjscc import (
    GDN,
    AttentionBlock,
    AttentionFeatures,
    LowerBound,
    decoder,
    encoder,
)


def parameters(network) -> int:
    return sum(value.numel() for value in network.parameters())


def test_gdn_is_its_formula_and_the_inverse_multiplies():
    torch.manual_seed(0)
    layer, features = GDN(3), torch.randn(2, 3, 4, 5)
    gamma = torch.tensor([[0.3, 0.1, 0.0], [0.2, 0.5, 0.1], [0.0, 0.4, 0.2]])
    beta = torch.tensor([0.5, 1.0, 2.0])
    with torch.no_grad():
        layer.gamma.copy_(gamma.sqrt())
        layer.beta.copy_(beta.sqrt())
    norm = beta.view(1, 3, 1, 1) + torch.einsum("ij,bjhw->bihw", gamma, features**2)
    torch.testing.assert_close(layer(features), features / norm.sqrt())
    layer.inverse = True
    torch.testing.assert_close(layer(features), features * norm.sqrt())


def test_gdn_starts_as_published_and_its_parameters_stay_where_a_root_exists():
    layer, features = GDN(2), torch.full((1, 2, 1, 1), 3.0)
    torch.testing.assert_close(layer(features), features / (1 + 0.1 * 9) ** 0.5)
    with torch.no_grad():
        layer.beta.fill_(-5.0)
        layer.gamma.fill_(-5.0)
    # Bounded below, by 1e-6 and by 0.
    torch.testing.assert_close(layer(features), features / 1e-6**0.5, rtol=1e-3, atol=0)


def test_gdn_learns_how_channels_weigh_on_each_other():
    """Weights between channels start at their bound, 0, and must be able to leave it."""
    torch.manual_seed(0)
    wanted, layer = GDN(3), GDN(3)
    with torch.no_grad():
        wanted.gamma.copy_(torch.tensor([[0.3, 0.4, 0.1], [0.2, 0.5, 0.6], [0.5, 0.1, 0.2]]).sqrt())
    adam = torch.optim.Adam(layer.parameters(), lr=0.01)
    for _ in range(600):
        features = torch.randn(4, 3, 8, 8)
        loss = (layer(features) - wanted(features)).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    torch.testing.assert_close(layer.gamma**2, wanted.gamma**2, rtol=0, atol=0.05)


def test_the_lower_bound_holds_and_lets_go():
    values = torch.tensor([-1.0, 0.5, 0.5, 2.0, 2.0], requires_grad=True)
    bounded = LowerBound.apply(values, 0.5)
    assert bounded.tolist() == [0.5, 0.5, 0.5, 2.0, 2.0]
    bounded.backward(torch.tensor([-3.0, -3.0, 3.0, -3.0, 3.0]))
    assert values.grad.tolist() == [-3.0, -3.0, 3.0, -3.0, 3.0]
    values.grad = None
    LowerBound.apply(values, 1.0).backward(torch.tensor([3.0, -3.0, 3.0, -3.0, 3.0]))
    assert values.grad.tolist() == [0.0, -3.0, 0.0, -3.0, 3.0]


def test_attention_features_scale_channels_by_their_means_and_the_snr():
    torch.manual_seed(0)
    layer, features = AttentionFeatures(4), torch.randn(2, 4, 3, 3)
    snr_db = torch.tensor([-5.0, 5.0])
    factor = layer(features, snr_db) / features
    # One factor for each picture and channel, between 0 and 1.
    torch.testing.assert_close(factor, factor[..., :1, :1].expand_as(factor))
    assert 0 < factor.min() < factor.max() < 1
    told = torch.cat([features.mean(dim=(2, 3)), snr_db[:, None]], dim=1)
    torch.testing.assert_close(factor[..., 0, 0], layer.layers(told))
    assert not torch.allclose(layer(features, -snr_db), layer(features, snr_db))


def test_attention_adds_what_its_mask_lets_through():
    torch.manual_seed(0)
    block, features = AttentionBlock(4), torch.randn(1, 4, 6, 6)
    with torch.no_grad():
        block.mask[-1].weight.zero_()
        block.mask[-1].bias.fill_(-1e4)
    torch.testing.assert_close(block(features), features)


@pytest.mark.parametrize(("width", "millions"), [(256, (8.6, 22.1)), (512, (34.3, 88.1))])
def test_the_papers_width_has_the_published_number_of_weights(width, millions):
    with torch.device("meta"):
        both = encoder(3, [width] * 3, 2), decoder(3, [width] * 3, 2)
    assert [round(parameters(one) / 1e6, 1) for one in both] == list(millions)


def test_256_px_become_512_reals_and_come_back():
    with torch.device("meta"):
        snr_db, picture = torch.empty(1), torch.empty(1, 3, 256, 256)
        symbols = encoder(3, [256] * 3, 2)(picture, snr_db)
        assert symbols.shape == (1, 2, 16, 16)
        assert decoder(3, [256] * 3, 2)(symbols, snr_db).shape == picture.shape


def test_what_makes_no_codec_is_refused():
    for make in (encoder, decoder):
        with pytest.raises(UnpairedError, match="must be 2 at least"):
            make(3, [], 2)
        with pytest.raises(UnpairedError, match="1 channels of symbols"):
            make(3, [8], 1)


def test_gradients_of_the_first_layer_are_right_in_channels_last():
    """A 1 x 1 convolution of stride 2 would damage memory here, and end the process."""
    torch.manual_seed(0)
    network, picture = encoder(3, [8], 4), torch.rand(4, 3, 8, 8)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network.zero_grad()
        given = picture.to(memory_format=layout)
        network.to(memory_format=layout)(given, torch.zeros(4)).square().mean().backward()
        found.append([value.grad.clone() for value in network.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)
