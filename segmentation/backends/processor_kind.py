"""The kind of processor that networks run on, since what a profile gains and loses depends on it."""

import torch


def kind_of_processor(device: str) -> str:
    """Name the processor by the units that networks are computed with, such as ``cpu avx512_bf16`` or ``cuda 9.0``.

    Parameters
    ----------
    device
        ``cpu`` or ``cuda``.
    """
    if device == "cuda":
        return "cuda {}.{}".format(*torch.cuda.get_device_capability())
    found = torch.cpu.get_capabilities()
    names = {"amx_bf16": "amx_bf16", "avx512_bf16": "avx512_bf16", "avx512_f": "avx512", "avx2": "avx2"}
    return next((f"cpu {name}" for unit, name in names.items() if found.get(unit)), f"cpu {found.get('architecture')}")


def has_amx() -> bool:
    """Return whether the CPU has matrix units for bfloat16."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def computes_bfloat16() -> bool:
    """Return whether the CPU has any unit for bfloat16; without one it takes longer than single precision."""
    return has_amx() or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
