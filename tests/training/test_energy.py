"""Energy of processors and GPUs, from counters that are pretended."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nertransfer.training import energy
from nertransfer.training.energy import Meter


def zone(folder: Path, number: int, microjoules: int, name: str = "package-0", most: int = 1_000_000) -> Path:
    made = folder / f"intel-rapl:{number}"
    made.mkdir()
    for file, value in {"name": name, "energy_uj": microjoules, "max_energy_range_uj": most}.items():
        (made / file).write_text(f"{value}\n")
    return made


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Seconds of this process and of all: half of the machine's work is this process's."""
    found = {"own": 0.0, "busy": 0.0}
    monkeypatch.setattr(energy, "_own_seconds", lambda: found["own"])
    monkeypatch.setattr(energy, "_busy_seconds", lambda: found["busy"])
    return found


def test_a_process_has_its_share_of_what_processors_take(tmp_path: Path, times: dict[str, float]) -> None:
    first, second = zone(tmp_path, 0, 100), zone(tmp_path, 1, 0, "package-1")
    zone(tmp_path, 2, 0, "psys")  # the whole machine, packages included
    meter = Meter(rapl=tmp_path)
    (first / "energy_uj").write_text("400100")
    (second / "energy_uj").write_text("200000")
    times |= {"own": 3.0, "busy": 6.0}
    assert meter.joules() == pytest.approx(0.5 * 0.6)


def test_a_counter_that_begins_anew_goes_on(tmp_path: Path, times: dict[str, float]) -> None:
    counter = zone(tmp_path, 0, 900_000)
    meter = Meter(processes=2, rapl=tmp_path)
    (counter / "energy_uj").write_text("100000")
    times |= {"own": 2.0, "busy": 4.0}  # two such processes did all the work
    assert meter.joules() == pytest.approx(0.2)


def test_without_a_counter_nothing_is_measured(tmp_path: Path) -> None:
    assert math.isnan(Meter(rapl=tmp_path).joules())
    (zone(tmp_path, 0, 5) / "energy_uj").unlink()  # as one that may not be read
    assert math.isnan(Meter(rapl=tmp_path).joules())


def test_gpus_count_whole_and_one_that_does_not_count_leaves_nothing(
    tmp_path: Path, times: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone(tmp_path, 0, 0)
    counted = {"GPU-a": 1000, "GPU-b": 5000}

    def total(handle: str) -> int:
        return counted[handle]

    nvml: Any = SimpleNamespace(
        nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=lambda uuid: uuid, nvmlDeviceGetTotalEnergyConsumption=total
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid="abc"[number]))
    meter, other = Meter([0, 1], rapl=tmp_path), Meter([0, 2], rapl=tmp_path)
    counted["GPU-a"] += 4000
    counted["GPU-b"] += 2500
    assert meter.joules() == pytest.approx(6.5)
    assert math.isnan(other.joules())
