"""Degradation models small enough for tests."""

from __future__ import annotations

SMALL = {
    "lud_vae": {
        "width": 8,
        "residual_width": 4,
        "residual_blocks": 1,
        "code_dim": 4,
        "codes": 8,
        "blur_kernel_px": 5,
        "blur_std_px": 1.5,
    },
    "lud_vae_public": {"width": 4},
    "deflow": {
        "steps": 2,
        "width": 8,
        "condition_reduction": 4,
        "encoder_width": 4,
        "encoder_blocks": 2,
        "encoder_growth": 2,
    },
}
