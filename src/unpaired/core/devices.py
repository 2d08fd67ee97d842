"""Which processor a job runs on, and in which precision; always said, never silently changed."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

from unpaired.core.errors import UnpairedError, suggest

if TYPE_CHECKING:  # Names are checked before PyTorch is loaded.
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
ALIASES = {"gpu": "cuda"}
PRECISIONS = ("auto", "bf16", "fp32")


def check_names(device: str, precision: str) -> None:
    """Raise UnpairedError for names that mean nothing; whether they are there is not asked."""
    if device not in (*DEVICES, *ALIASES):
        raise UnpairedError(f"unknown device '{device}'{suggest(device, DEVICES)}")
    if precision not in PRECISIONS:
        raise UnpairedError(f"unknown precision '{precision}'{suggest(precision, PRECISIONS)}")


def choose_device(wanted: str) -> torch.device:
    """Return the device for ``auto``, ``cpu``, ``cuda`` (also called ``gpu``) or ``mps``.

    ``auto`` takes a GPU where PyTorch finds one, else the CPU. Raises UnpairedError if a device
    that was asked for is not there.
    """
    import torch

    check_names(wanted, "auto")
    wanted = ALIASES.get(wanted, wanted)
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, there in available.items() if there)
    if not available[wanted]:
        raise UnpairedError(f"device '{wanted}' is not available here; set device to auto or cpu")
    return torch.device(wanted)


def has_bf16(device: torch.device) -> bool:
    """Say whether the processor computes in bf16 natively (emulation would be slower than fp32)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def choose_precision(wanted: str, device: torch.device) -> str:
    """Return ``bf16`` or ``fp32`` for a wish of ``auto``, ``bf16`` or ``fp32``.

    ``auto`` takes bf16 where the processor has it. Raises UnpairedError where bf16 was asked for
    and is not there.
    """
    check_names("auto", wanted)
    if wanted == "fp32":
        return "fp32"
    if has_bf16(device):
        return "bf16"
    if wanted == "bf16":
        raise UnpairedError(f"this {device.type} has no bf16; set the precision to auto or fp32")
    return "fp32"


def keep_freed_memory() -> None:
    """Ask the C library to keep freed blocks for reuse instead of returning them to the system.

    Every step of a training on CPU allocates the same megabytes again; getting them back as fresh,
    zeroed pages took a sixth of the time. Does nothing where the C library is not glibc.
    """
    mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(mmap_threshold, 2**30)
        libc.mallopt(trim_threshold, 2**31 - 1)


def no_gpu_note(wanted: str, device: torch.device) -> str:
    """Return what to add to a line about ``device`` if the CPU was taken for want of a GPU."""
    return "; no GPU was found" if wanted == "auto" and device.type == "cpu" else ""


def describe(device: torch.device) -> str:
    """Return the processor's name, for the record."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU ({torch.cpu.get_capabilities().get('cpu_name', 'unknown')})"
    return device.type
