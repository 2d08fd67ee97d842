from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.learning.create import create
from unpaired.learning.weights import save_model
from unpaired.networks.distorting_choices import NORMALIZATIONS, UPSAMPLINGS
from unpaired.systems.perceptual.distortions.draws import (
    CORRUPTIONS,
    METHOD,
    NETWORKS,
    draw_settings,
)
from unpaired.systems.perceptual.distortions.networks import load
from unpaired.systems.perceptual.methods.distorting_autoencoder import (
    DistortingAutoencoderConfig,
    DistortingAutoencoderMethod,
)


def draw_configuration(number):
    return DistortingAutoencoderConfig(**draw_settings(number))


CONFIGURATIONS = [draw_configuration(number) for number in range(NETWORKS)]


def test_ninety_six_different_networks_that_use_every_choice():
    assert len({dataclasses.astuple(config) for config in CONFIGURATIONS}) == NETWORKS == 96
    seen = {
        field.name: {getattr(config, field.name) for config in CONFIGURATIONS}
        for field in dataclasses.fields(CONFIGURATIONS[0])
    }
    assert seen["corruption"] == set(CORRUPTIONS)
    assert seen["upsampling"] == set(UPSAMPLINGS)
    assert seen["normalization"] == set(NORMALIZATIONS)
    assert seen["layers"] == {2, 3, 4}
    assert seen["skips"] == {0, 1, 2, 3}
    assert seen["first_stride"] == {1, 2}
    assert seen["top_skip"] == {False, True}
    assert seen["dropout_layers"] == {0, 1, 2}
    assert seen["discriminator_layers"] == {1, 2, 3}
    for weight in ("feature_weight", "adversarial_weight"):
        off = sum(getattr(config, weight) == 0 for config in CONFIGURATIONS)
        assert 30 < off < 66


def test_a_configuration_depends_on_its_number_alone():
    assert draw_configuration(7) == draw_configuration(7)
    assert all(config.skips < config.layers for config in CONFIGURATIONS)
    for config in CONFIGURATIONS:
        has_level = config.corruption in ("white_noise", "pink_noise", "downsampling")
        assert (config.corruption_level > 0) == has_level
        # Colors are kept: instance normalization has a way around it, corruptions are subtracted.
        assert config.top_skip or config.normalization != "instance"
        assert config.residual == (config.corruption != "none")
    with pytest.raises(UnpairedError, match="no distorting network 96; they are 0 to 95"):
        draw_configuration(96)


@pytest.mark.parametrize("number", range(0, NETWORKS, 8))
def test_every_network_distorts_a_patch(number):
    torch.manual_seed(0)
    method = DistortingAutoencoderMethod(draw_configuration(number)).eval()
    generators = [torch.Generator().manual_seed(0)]
    result = method.distort(torch.rand(1, 3, 64, 64), generators)
    assert result.shape == (1, 3, 64, 64)
    assert torch.isfinite(result).all()


def test_a_model_file_becomes_a_distortion(tmp_path, photographs):
    torch.manual_seed(0)
    config = dataclasses.asdict(draw_configuration(3)) | {"first_channels": 8}
    method = create(METHOD, **config).eval()
    save_model(tmp_path / "d3.safetensors", METHOD, method)
    distortion = load(tmp_path / "d3.safetensors")
    patch = photographs[0][:64, :64]
    results = [distortion.apply(patch, numpy_generator(key)) for key in (0, 0, 1)]
    assert distortion.name == "d3"
    assert results[0].shape == patch.shape
    assert results[0].dtype == np.float32
    assert 0 <= results[0].min() <= results[0].max() <= 1
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])  # White noise goes in.
    seed = int(numpy_generator(0).integers(2**63))
    image = torch.from_numpy(patch.copy()).permute(2, 0, 1)[None]
    expected = method.distort(image, [torch.Generator().manual_seed(seed)])
    assert results[0] == pytest.approx(expected[0].permute(1, 2, 0).numpy(), abs=1e-5)
    with pytest.raises(UnpairedError, match="d3: sides of 62 x 64 are no multiples of"):
        distortion.apply(np.zeros((62, 64, 3), np.float32), numpy_generator(0))


def test_models_of_other_methods_are_refused(tmp_path):
    save_model(tmp_path / "other.safetensors", "n2c", create("n2c", width=8))
    with pytest.raises(UnpairedError, match="a model of the method 'n2c', not"):
        load(tmp_path / "other.safetensors")
