"""Cross-lingual transfer in named entity recognition: fine-tune, score, track, register."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # threads that wait keep a processor busy: not for long, others need it
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it while it is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its thread pool does not survive a fork

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nertransfer.api import (
        fine_tune,
        load_corpora,
        load_model,
        load_study,
        plot_transfer_matrix,
        predict,
        score,
        transfer_matrix,
    )

__all__ = [
    "fine_tune", "load_corpora", "load_model", "load_study", "plot_transfer_matrix", "predict", "score",
    "transfer_matrix",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """The functions of `nertransfer.api`, which is imported when the first of them is asked for, and the version."""
    if name == "__version__":
        from nertransfer.core.commandline import version

        return version()
    if name in __all__:
        from nertransfer import api

        return getattr(api, name)
    raise AttributeError(f"module 'nertransfer' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
