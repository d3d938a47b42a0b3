"""The published grid as a stranger runs it: corpora and starts from a network, then the same without one.

The repository of the corpora and the hub are servers on this machine with tiny files in them. Starts have the names of
the catalogue; some have safetensors, some ``pytorch_model.bin`` alone, as on the real hub.
"""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import stub_hub
import user_folder
from checkpoint_layouts import LAYOUTS, layout
from folder_store import opened
from loopback import serving
from stub_corpora import Repository
from tiny import save_tiny_corpora
from warm import PROJECT, Warm

from nertransfer.core import schema
from nertransfer.corpora.languages import MASAKHANER
from nertransfer.encoders.catalogue import CATALOGUE
from nertransfer.tracking.runs import cell_runs

GRID = ("--study_file", "studies/masakhaner.yaml", "--targets", "amh,wol")
OWN = ("--data", "masakhaner", "--starts", "own", "--targets", "swa", "--study", "offline")
"""Of the grid, every start on its own language."""
CELLS = 38
"""Those of one seed in the grid."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> stub_hub.Hub:
    """Every start of the catalogue; the base under the name that it has moved to, as on the real hub."""
    folder, hub = tmp_path_factory.mktemp("starts"), stub_hub.Hub()
    for number, name in enumerate(CATALOGUE.values()):
        files = layout(folder / str(number), LAYOUTS[number % len(LAYOUTS)], seed=number, longest=256)
        name = name if "/" in name else hub.moved.setdefault(name, f"FacebookAI/{name}")
        repository = hub.repositories[name] = stub_hub.Repository()
        if number % 2:  # a bot's proposal, with other weights
            repository.commit(layout(folder / f"{number}-proposed", "safetensors", seed=99, longest=256), "refs/pr/1")
        repository.commit(files)
    return hub


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = save_tiny_corpora(tmp_path_factory.mktemp("corpora"), MASAKHANER, 8)
    return Repository({f"data/{p.parent.name}/{p.name}": p.read_bytes() for p in folder.glob("*/*.txt")})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, corpora: Repository) -> Path:
    """A checkout with smaller numbers, the address of the corpora and their checksums."""
    folder = tmp_path_factory.mktemp("checkout")
    user_folder.copy_checkout(folder, port=1)
    fetch = folder / "nertransfer" / "corpora" / "download.py"
    text, number = re.subn(r'^HOST = ".*"$', f'HOST = "{corpora.address}"', fetch.read_text(), flags=re.MULTILINE)
    assert number == 1
    fetch.write_text(text)
    sums = {name.removeprefix("data/"): hashlib.sha256(content).hexdigest() for name, content in corpora.files.items()}
    lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
    (folder / "nertransfer" / "corpora" / "checksums" / "masakhaner.sha256").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def warm(checkout: Path, hub: stub_hub.Hub) -> Iterator[Warm]:
    environment = user_folder.environment(checkout)
    del environment["HF_HUB_OFFLINE"]
    with Warm(PROJECT, environment | {"HF_ENDPOINT": hub.address}) as running:
        yield running


def run(warm: Warm, checkout: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [warm.bin / "python", "entrypoints/study.py", "--seeds", "1", "--tracking_uri", "sqlite:///mlflow.db"]
    return subprocess.run(
        [*command, *arguments], cwd=checkout, env={**warm.environment, **variables}, timeout=900, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


def commits(checkout: Path, study: str, cells: int) -> dict[str, str]:
    """Every start's recorded commit, by where it was loaded from; all cells of a start agree."""
    found: dict[str, str] = {}
    runs = cell_runs(opened(checkout, study), "FINISHED")
    assert len(runs) == cells
    for cell in runs:
        tags = cell.data.tags
        assert found.setdefault(tags[schema.START_LOCATION], tags[schema.START_REVISION]) == tags[schema.START_REVISION]
    return found


def test_the_published_grid_runs_from_a_network_and_then_without_one(
    warm: Warm, checkout: Path, hub: stub_hub.Hub, corpora: Repository
) -> None:
    with serving(hub), serving(corpora):
        online = run(warm, checkout, *GRID)
    assert online.returncode == 0, online.stderr[-3000:]
    assert sorted(corpora.asked) == sorted(corpora.files)
    mains = {name: hub.repositories[hub.moved.get(name, name)].refs["main"] for name in CATALOGUE.values()}
    assert commits(checkout, "masakhaner", CELLS) == mains
    report = checkout / "reports" / "masakhaner"
    assert (report / "index.html").is_file() and len(pd.read_csv(report / "missing.csv")) == 0
    client = opened(checkout, "masakhaner").client
    for language in MASAKHANER:
        assert client.get_model_version_by_alias(schema.model_name(language), "champion").tags["source"] == language
    offline = run(warm, checkout, *OWN, HF_HUB_OFFLINE="1")
    assert offline.returncode == 0, offline.stderr[-3000:]
    del mains[CATALOGUE["base"]]
    assert commits(checkout, "offline", len(MASAKHANER)) == mains
