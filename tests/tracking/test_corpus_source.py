"""MLflow finds our kind of dataset by itself, whoever is imported first."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("first", ["mlflow.data", "nertransfer.tracking.corpus_source"])
def test_mlflow_knows_the_source_of_corpora(first: str) -> None:
    code = f"import {first}, mlflow.data; print(mlflow.data.sources.CorpusSource._get_source_type())"
    assert subprocess.check_output([sys.executable, "-W", "error", "-c", code], text=True).strip() == "conll"
