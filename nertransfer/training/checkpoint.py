"""What a training that was cut short goes on from: a folder in which one whole checkpoint exists at every moment."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from nertransfer.core.files import flush

logger = logging.getLogger("nertransfer")
_STATE, _BEST = "state.json", "best.safetensors"
Saved = TypeVar("Saved")


@dataclass(frozen=True)
class Checkpoint:
    """Where a training is kept; what lies there is only taken up if it was saved with the same ``key``."""

    folder: Path
    key: str

    def clear(self) -> None:
        """Remove what is no longer needed, and what a kill in the middle of saving left beside it."""
        for folder in (self.folder, self._beside("new"), self._beside("old")):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def is_begun(self) -> bool:
        """Whether an earlier process has left something to go on from."""
        return self.folder.exists() or self._beside("old").exists()

    def _beside(self, which: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{which}")

    def save(self, accelerator: Accelerator, history: dict[str, Any], best: dict[str, torch.Tensor]) -> None:
        """Write beside the old checkpoint, then swap: at every moment one whole checkpoint exists, on a full disk too.

        ``history``: what is to be known of the epochs, as JSON takes it; ``best``: weights of the best epoch, if any.
        """
        fresh = self._beside("new")
        if accelerator.is_main_process:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
        accelerator.wait_for_everyone()
        try:
            accelerator.save_state(str(fresh))
            accelerator.wait_for_everyone()  # each process writes a file of its own into the folder that is moved next
            if accelerator.is_main_process:
                if best:
                    save_file(best, fresh / _BEST)
                state = {"key": self.key, "processes": accelerator.num_processes, "history": history}
                (fresh / _STATE).write_text(json.dumps(state))
                flush(fresh)
        except Exception:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if accelerator.is_main_process:
            old = self._beside("old")
            shutil.rmtree(old, ignore_errors=True)
            if self.folder.exists():
                self.folder.rename(old)
            fresh.rename(self.folder)
            shutil.rmtree(old, ignore_errors=True)
        accelerator.wait_for_everyone()

    def restore(
        self, accelerator: Accelerator, read: Callable[[dict[str, Any]], Saved]
    ) -> tuple[Saved, dict[str, torch.Tensor]] | None:
        """Load weights, optimiser and random states in place; returns what else was saved, None where nothing fits.

        ``read`` makes of the history that was saved what it is now. A state that it, or JSON, does not take, as another
        version may have left it, is told and passed over. Raises RuntimeError where the rest of a checkpoint cannot be
        read: it is gone then, and the next attempt begins anew.
        """
        for folder in (self.folder, self._beside("old")):
            try:
                state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
                key, processes, history = state["key"], state["processes"], read(state["history"])
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("the checkpoint %s is of no use, and the training begins anew: %s", folder, _why(error))
                continue
            if key != self.key or processes != accelerator.num_processes:
                continue
            try:
                accelerator.load_state(str(folder))
                best = load_file(folder / _BEST) if (folder / _BEST).exists() else {}
            except Exception as error:
                if accelerator.is_main_process:
                    shutil.rmtree(folder, ignore_errors=True)
                raise RuntimeError(f"the checkpoint {folder} cannot be read, and was removed: {error}") from error
            return history, best
        return None


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
