"""How long a study of the published size takes to import and to analyse.

    python benchmarks/published_study.py --sample ../shared/data/published_sample --data ../shared/data/masakhaner

Makes 170 fine-tunings with 1,530 zero-shot results out of the sample, by copying its results under new names (every
language is a copy of one of the sample's three), imports them into a fresh store and analyses them, and prints the wall
seconds of each command, start of the interpreter included. Repeats both (--repeats), for a machine is never quiet.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # runs from a checkout that is not installed

from nertransfer.core import grid  # noqa: E402
from nertransfer.studies.published.files import (  # noqa: E402
    ORDER,
    PIVOTS,
    STARTS,
)

MODELS = Path("src/runs/v10/models")
COPY_OF = dict(zip(ORDER[:9], ["wol", "hau", "swa", "hau", "swa", "wol", "hau", "wol", "swa"], strict=True))
"""Whose results and corpus each language gets; those of the sample get their own."""
SEEDS = range(5)


def name_of(source: str, start: str, seed: int) -> str:
    return f"{source}_v10_start_{start}__{source}__{seed}_50"


def twin(start: str, source: str) -> tuple[str, str]:
    """(start, source) of the sample that stands for a configuration."""
    copy = COPY_OF[source]
    if start in ("base", "swa"):
        return start, copy
    return (copy if start == source else {"swa": "hau"}.get(COPY_OF[start], COPY_OF[start])), copy


def make_results(sample: Path, into: Path) -> int:
    """Write the full-size results to ``into``; returns how many result sets there are."""
    there = {path.name for path in (sample / MODELS).iterdir()}
    made = 0
    for start, source in grid.pairs(STARTS, list(COPY_OF), PIVOTS):
        for seed in SEEDS:
            old_start, old_source = twin(start, source)
            old = name_of(old_source, old_start, seed)
            if old not in there:
                raise SystemExit(f"the sample has no {old}")
            new = name_of(source, start, seed)
            copy(sample / MODELS / old, into / MODELS / new)
            for target, old_target in COPY_OF.items():
                copy(
                    sample / MODELS / "v20" / f"{old_target}_zero_shot_{old}_{old_target}_50",
                    into / MODELS / "v20" / f"{target}_zero_shot_{new}_{target}_50",
                )
                made += 1
    return made


def copy(old: Path, new: Path) -> None:
    shutil.copytree(old, new, copy_function=os.link if old.stat().st_dev == new_device(new) else shutil.copy)


def new_device(new: Path) -> int:
    new.parent.mkdir(parents=True, exist_ok=True)
    return new.parent.stat().st_dev


def make_corpora(data: Path, into: Path) -> None:
    for language, original in COPY_OF.items():
        shutil.copytree(data / original, into / language)


def seconds(*command: str, folder: Path) -> float:
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=Path, required=True, help="folder with the sample of published results")
    parser.add_argument("--data", type=Path, required=True, help="folder with the corpora")
    parser.add_argument("--repeats", type=int, default=2, help="how often both commands are timed")
    parser.add_argument("--keep", type=Path, help="folder to keep everything in; else a temporary one is removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        sets = make_results(given.sample, folder / "results")
        make_corpora(given.data, folder / "corpora")
        print(f"{sets} result sets in {folder}")
        for _ in range(given.repeats):
            for old in ("mlflow.db", "mlruns", "reports"):
                shutil.rmtree(folder / old, ignore_errors=True)
                (folder / old).unlink(missing_ok=True)
            common = ("--data", "corpora", "--study", "published")
            imported = seconds(
                str(ROOT / "entrypoints/import_results.py"), "--results", "results", *common, folder=folder
            )
            analysed = seconds(str(ROOT / "entrypoints/analyse.py"), *common, folder=folder)
            print(json.dumps({"import_seconds": round(imported, 1), "analyse_seconds": round(analysed, 1)}))


if __name__ == "__main__":
    main()
