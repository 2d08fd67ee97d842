"""Small models of the system, untrained or with weights of chance, for its tests."""

from __future__ import annotations

import torch

from unpaired.learning.create import create

CODEC = {"widths": "8 8", "symbol_channels": 4, "patch_px": 16, "images_seen": 8, "batch_size": 4}
OF_CHANNEL = {"patch_px": 16, "images_seen": 8, "batch_size": 4, "width": 8, "blocks": 1}
PRIOR = {"widths": "8 16", "blocks": 1, "groups": 4, "squeeze_px": 2, "attention_px": None}


def codec(**changes):
    torch.manual_seed(0)
    return create("deepjscc", **(CODEC | changes)).eval()


def invertible(snr_db: float = 5.0, *, std: float | None = 0.05, **changes):
    """std: of weights of chance; None leaves the split alone."""
    torch.manual_seed(1)
    made = create("invertible", **(OF_CHANNEL | {"squeeze_px": 2, "pairs": 2} | changes)).eval()
    if std is not None:
        for value in made.network.parameters():
            torch.nn.init.normal_(value, std=std)
    made.snr_db.fill_(snr_db)
    return made


def post(snr_db: float = 5.0):
    torch.manual_seed(2)
    made = create("deepjscc_post", **(OF_CHANNEL | {"squeeze_px": 2})).eval()
    made.snr_db.fill_(snr_db)
    return made


def prior(std: float = 0.1, **changes):
    torch.manual_seed(3)
    made = create("ddpm", **(PRIOR | {"patch_px": 16, "images_seen": 4} | changes)).eval()
    for value in made.network.parameters():
        torch.nn.init.normal_(value, std=std)
    return made


def features():
    torch.manual_seed(4)
    return create("portrait_features", width=8, attributes=35, patch_px=32).eval()


def receiver(name: str, roles: dict, **settings):
    """Return a product with its other models."""
    product = create(name, **settings)
    for role, model in roles.items():
        product.receive(role, model)
    return product


def pictures(count: int, side_px: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side_px, side_px, generator=torch.Generator().manual_seed(5))


def generator(**changes):
    """A generator with weights of chance, whose noise is seen."""
    torch.manual_seed(6)
    sizes = {"side_px": 16, "latent": 8, "mapping_layers": 2, "width_base": 128, "width_max": 8}
    made = create("stylegan2", **(sizes | changes)).eval()
    for name, value in made.network.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(value, 0.1)
    made.fit_latents()
    return made


def perceptual(**changes):
    torch.manual_seed(7)
    small = {"net": "alex", "width": 0.05, "form": "unweighted"}
    return create("lpips", **(small | changes)).eval()
