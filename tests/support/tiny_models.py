"""Tiny models beyond fine-tuning: a tagger with random weights, stored and registered with MLflow."""

from pathlib import Path

import torch
import transformers
from mlflow import MlflowClient
from mlflow.models import Model
from tiny import save_tiny_start

from nertransfer.corpora.labels import label_list
from nertransfer.encoders import starts
from nertransfer.registry import packaging


def save_tiny_tagger(folder: Path, window: int = 32) -> Path:
    """A tagger for LOC and PER with random weights: it tags many words, and many with a stray I-."""
    save_tiny_start(folder / "start")
    start = starts.Start("tiny", str(folder / "start"))
    model = starts.load_for_tagging(start, label_list(("LOC", "PER")), seed=0)
    setattr(model.config, starts.WINDOW, window)
    with torch.no_grad():
        model.classifier.weight *= 40  # sure of itself: no two labels are equally probable
    starts.save(model, starts.load_tokenizer(start), folder / "tagger")
    return folder / "tagger"


def save_tiny_mlflow_model(folder: Path) -> Path:
    """The tiny tagger as the MLflow model that `registry` would store."""
    model, tokenizer, _ = starts.load_tagger(starts.Start("tiny", str(save_tiny_tagger(folder))))
    pipeline = transformers.pipeline("token-classification", model=model, tokenizer=tokenizer)
    packaging.save_model(folder / "mlflow_model", Model(), pipeline, ["mlflow"])
    return folder / "mlflow_model"


def register_tiny_model(uri: str, language: str, folder: Path) -> None:
    """Register the MLflow model in ``folder`` as the language's champion, from a start called tiny."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    name = f"ner-{language}"
    client.create_registered_model(name)
    client.create_model_version(name, source=str(folder))
    for alias in ("champion", "from-tiny"):
        client.set_registered_model_alias(name, alias, "1")
