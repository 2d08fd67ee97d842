from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.learning.phases import adam_phase

CONFIG = SimpleNamespace(images_seen=8, learning_rate=0.1, schedule="constant")


def gradients_after_a_step(given, **options):
    weights = [torch.nn.Parameter(torch.zeros(())) for _ in given]
    phase = adam_phase(CONFIG, iter(weights), **options)
    for weight, value in zip(weights, given, strict=True):
        weight.grad = torch.tensor(value)
    phase.optimizer.step()
    return [weight.grad.item() for weight in weights]


def test_gradients_longer_than_the_norm_are_shortened_to_it_together():
    assert gradients_after_a_step([3.0, 4.0], clip_norm=1.0) == pytest.approx([0.6, 0.8], rel=1e-5)
    assert gradients_after_a_step([0.3, 0.4], clip_norm=1.0) == pytest.approx([0.3, 0.4])
    assert gradients_after_a_step([3.0, 4.0]) == [3.0, 4.0]


def test_an_unknown_schedule_is_one_line():
    config = SimpleNamespace(**(vars(CONFIG) | {"schedule": "constnat"}))
    with pytest.raises(UnpairedError, match=r"has no schedule 'constnat'.*'constant'"):
        adam_phase(config, [torch.nn.Parameter(torch.zeros(()))])
