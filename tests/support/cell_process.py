"""Runs one tiny cell in a process of its own and writes what it measured; can kill itself half way.

Usage: python cell_process.py START DATA FOLDER RESULT [KILL_AFTER_EPOCH]
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nertransfer.core.options import (  # noqa: E402
    DataOptions,
    Recipe,
    RunOptions,
)
from nertransfer.corpora import corpus  # noqa: E402
from nertransfer.encoders import starts  # noqa: E402
from nertransfer.training.accelerator import make_accelerator  # noqa: E402
from nertransfer.training.cell import checkpoint, make_cell  # noqa: E402
from nertransfer.training.finetune import (  # noqa: E402
    History,
    Machine,
)
from nertransfer.training.run_cell import (  # noqa: E402
    CellData,
    CellResult,
    Encoder,
    Hooks,
    run_cell,
    splits_of,
)

RECIPE = Recipe(epochs=4, batch_size=8, learning_rate=5e-3, max_length=32, epoch_choice="best")


def measure(start: Path, data: Path, folder: Path, kill_after: int = 0) -> CellResult:
    """Fine-tune the start on language aaa with seed 1 and score both languages."""
    run = RunOptions(checkpoint_minutes=0, device="cpu")

    def on_epoch(history: History) -> None:
        if kill_after and history.epochs > kill_after:  # the checkpoint of the epoch before is there
            os.kill(os.getpid(), signal.SIGKILL)

    corpora = corpus.load(DataOptions(data=str(data)))
    found = starts.resolve(f"tiny={start}")
    cell = make_cell(found, starts.identify(found), corpora["aaa"], 1, RECIPE)
    data = CellData(corpora["aaa"], splits_of(corpora, list(corpora)))
    machine = Machine(run, make_accelerator(RECIPE, run))
    encoder = Encoder(starts.load_tokenizer(found), RECIPE.max_length)
    return run_cell(cell, data, machine, folder, encoder, Hooks(on_epoch=on_epoch))


def as_json(result: CellResult) -> dict[str, object]:
    """Everything that must be identical, as plain values."""
    return {
        "key": result.cell.key,
        "losses": result.history.losses,
        "dev_f1": result.history.dev_f1,
        "kept_epoch": result.history.kept_epoch,
        "predicted": [s.predicted for s in result.scored],
        "f1": [s.scores.default["ALL"].f1 for s in result.scored],
        "words": [s.scores.words for s in result.scored],
        "weights": starts.fingerprint(starts.load_tagger(starts.Start("kept", str(result.weights)))[0]),
        "processes": result.resources.processes,
        "patience": patience(),
    }


def patience() -> float | None:
    """Seconds after which a process gives up waiting for the others; None where it is alone."""
    if not torch.distributed.is_initialized():
        return None
    return torch.distributed.group.WORLD._get_backend(torch.device("cpu")).options._timeout.total_seconds()


if __name__ == "__main__":
    start, data, folder, output = map(Path, sys.argv[1:5])
    found = measure(start, data, folder, int(sys.argv[5]) if len(sys.argv) > 5 else 0)
    if int(os.environ.get("RANK", "0")) == 0:
        checkpoint(folder, found.cell.key).clear()
        output.write_text(json.dumps(as_json(found)))
