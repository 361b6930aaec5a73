"""Energy (NVML) that the cards of this machine have used, in joules; None where there is no card, or none that tells.

Data in: NVIDIA's driver library, if there is one. Data out: a counter that only rises, of all cards together and of
everything that runs on them: the difference of two readings is what a run, and its neighbours, took. No torch.
"""

from __future__ import annotations

import ctypes

LIBRARY = "libnvidia-ml.so.1"
JOULES_PER_KWH = 3.6e6


def card_joules() -> float | None:
    """What all cards have used since their driver was loaded."""
    try:
        nvml = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    try:
        if nvml.nvmlInit_v2() != 0:
            return None
    except AttributeError:  # another library of that name
        return None
    try:
        count = ctypes.c_uint()
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return None
        readings = [_millijoules(nvml, index) for index in range(count.value)]
        known = [reading for reading in readings if reading is not None]
        return sum(known) / 1000 if known else None
    except AttributeError:  # a driver of before 2018
        return None
    finally:
        nvml.nvmlShutdown()


def kwh_since(before: float | None) -> float | None:
    """Kilowatt-hours since a reading of card_joules; None where either is unknown, or the counter was set back."""
    after = card_joules()
    if before is None or after is None or after < before:
        return None
    return (after - before) / JOULES_PER_KWH


def _millijoules(nvml: ctypes.CDLL, index: int) -> int | None:
    """The counter of one card; None for a card older than Volta, which has none."""
    card, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
    if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(card)) != 0:
        return None
    found = nvml.nvmlDeviceGetTotalEnergyConsumption(card, ctypes.byref(energy)) == 0
    return energy.value if found else None
