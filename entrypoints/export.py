"""Write a registered model to a folder for transformers and a model hub, with its card; upload it if asked.

mlflow run . -e export --env-manager local -P language=hau
python entrypoints/export.py --language hau --start swa --output exports
python entrypoints/export.py --model models:/ner-hau/3 --variant onnx-int8
HF_TOKEN=... python entrypoints/export.py --language hau --push_to owner/name
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import ExportConfig


def main(config: ExportConfig) -> None:
    from nertransfer.serving.export import export
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client

    folder = export(config, client(resolve_uri(config.tracking), must_exist=True))
    print(f"exported to {folder}" + (f", and uploaded to {config.push_to}" if config.push_to else ""))


if __name__ == "__main__":
    run(ExportConfig, main, __doc__)
