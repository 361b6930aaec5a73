"""Energy of the cards, read from a library with NVML's functions, since a machine may have no card."""

import ctypes.util
import shutil
import subprocess

import pytest

from hamner.runs import energy

COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
NVML = """
static unsigned long long energy = 5000000ULL;
int nvmlInit_v2(void) { return FAILS; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **card) { *card = (void *)(long)(index + 1); return 0; }
int nvmlDeviceGetTotalEnergyConsumption(void *card, unsigned long long *found) {
    if (card == (void *)2) return 3;  /* not supported: older than Volta */
    *found = energy; energy += 3600000000ULL; return 0;
}
"""


def _library(folder, fails):
    source = folder / "nvml.c"
    source.write_text(NVML.replace("FAILS", str(fails)), encoding="utf-8")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", str(folder / "nvml.so"), str(source)], check=True)
    return str(folder / "nvml.so")


@pytest.mark.skipif(COMPILER is None, reason="no C compiler on the PATH")
def test_the_difference_of_two_readings_is_kilowatt_hours_of_the_cards_that_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "LIBRARY", _library(tmp_path, fails=0))
    before = energy.card_joules()
    assert before == 5000.0
    assert energy.kwh_since(before) == pytest.approx(1.0)
    assert energy.kwh_since(1e12) is None  # set back: the driver was loaded anew


@pytest.mark.skipif(COMPILER is None, reason="no C compiler on the PATH")
def test_a_driver_that_does_not_start_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(energy, "LIBRARY", _library(tmp_path, fails=9))
    assert energy.card_joules() is None


@pytest.mark.parametrize("library", ["libnone-such.so.1", ctypes.util.find_library("m") or "libm.so.6"])
def test_without_a_driver_nothing_is_told(library, monkeypatch):
    monkeypatch.setattr(energy, "LIBRARY", library)
    assert energy.card_joules() is None and energy.kwh_since(5.0) is None
