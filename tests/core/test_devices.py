"""Names of devices and precisions, told before PyTorch is loaded."""

from __future__ import annotations

import pytest
import torch

from unpaired.core.devices import check_names, choose_device
from unpaired.core.errors import UnpairedError


def test_gpu_means_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("gpu") == choose_device("cuda") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UnpairedError, match="device 'cuda' is not available here"):
        choose_device("gpu")


def test_unknown_names_are_one_line():
    check_names("gpu", "bf16")
    for device, precision, told in (
        ("cudaa", "auto", "unknown device 'cudaa'; did you mean 'cuda'"),
        ("tpu", "auto", "unknown device 'tpu'"),
        ("cpu", "bf17", "unknown precision 'bf17'; did you mean 'bf16'"),
    ):
        with pytest.raises(UnpairedError, match=told):
            check_names(device, precision)
