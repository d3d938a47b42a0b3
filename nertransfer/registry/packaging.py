"""A fine-tuned model as one MLflow model with two flavors: ``transformers``, and ``python_function`` of our own.

MLflow's own python_function of a token classifier returns labels without words, so `nertransfer.registry.tagger` takes
its place, as code that lies in the model's folder: no pickle, and nothing of this package is needed to load it.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
from mlflow.models import Model, ModelSignature
from mlflow.pyfunc.loaders import code_model
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from nertransfer.corpora import words
from nertransfer.registry import tagger
from nertransfer.registry.tagger import PARAMETERS
from nertransfer.tracking.patience import uninterrupted

CODE = {"served.py": tagger, "words.py": words}
"""Modules that travel with a model, by the names of their files there; the first is the one that MLflow runs."""

ARTIFACTS = {"model": "model", "tokenizer": "components/tokenizer"}
"""Where the transformers flavor keeps what the other one loads."""

EXAMPLE = ["A sentence to tag."]
"""What a request holds; MLflow's pages show with it how to send one."""


def signature() -> ModelSignature:
    """Texts in; one row an entity out (`nertransfer.registry.tagger.SpanModel.predict`)."""
    made = ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema(
            [
                ColSpec(DataType.long, "input"),
                ColSpec(DataType.string, "category"),
                ColSpec(DataType.string, "text"),
                ColSpec(DataType.long, "start"),
                ColSpec(DataType.long, "end"),
                ColSpec(DataType.double, "score"),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("threshold", DataType.double, PARAMETERS["threshold"]),
                ParamSpec("words", DataType.boolean, PARAMETERS["words"]),
            ]
        ),
    )
    # MLflow then hands the list over as it is and has the type hint of `predict` checked; else numbers become texts
    made._is_signature_from_type_hint = True
    return made


def log(pipeline: Any, name: str, model_id: str, requirements: Sequence[str]) -> None:
    """Store a token-classification pipeline under the LoggedModel ``model_id``, at the global tracking address."""
    pipeline.model.name_or_path = f"nertransfer:{name}"  # goes into MLmodel: not the folder of one machine, no hub id
    with uninterrupted(mlflow.get_tracking_uri()):
        Model.log(
            artifact_path=None, flavor=sys.modules[__name__], name=name, model_id=model_id, transformers_model=pipeline,
            pip_requirements=list(requirements), validate_serving_input=False,
        )  # fmt: skip


def save_model(
    path: str | Path,
    mlflow_model: Model,
    transformers_model: Any,
    pip_requirements: Sequence[str],
    validate_serving_input: bool = False,
) -> None:
    """Write both flavors to the folder ``path``; MLflow calls this by name, as of any flavor.

    ``validate_serving_input`` is for MLflow alone, which would load every model again to try the example on it.
    """
    mlflow.transformers.save_model(
        transformers_model, str(path), mlflow_model=mlflow_model, signature=signature(),
        input_example=EXAMPLE, pip_requirements=list(pip_requirements),
    )  # fmt: skip
    for name, module in CODE.items():
        shutil.copyfile(str(module.__file__), Path(path) / name)
    mlflow.pyfunc.add_to_model(
        mlflow_model, loader_module=code_model.__name__, model_code_path=next(iter(CODE)), conda_env="conda.yaml",
        python_env="python_env.yaml",
        artifacts={name: {"path": place, "uri": place} for name, place in ARTIFACTS.items()},
    )  # fmt: skip
    mlflow_model.save(str(Path(path) / "MLmodel"))
