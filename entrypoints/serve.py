"""Answer requests over HTTP with a registered model, on this machine alone unless host says otherwise.

mlflow run . -e serve --env-manager local -P language=hau
python entrypoints/serve.py --language hau --start swa --port 5001
python entrypoints/serve.py --model models:/ner-hau@champion
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import ServeConfig


def main(config: ServeConfig) -> None:
    from contextlib import closing

    from nertransfer.commands.listening import listener

    with closing(listener(config.host, config.port)) as listening:
        from nertransfer.serving.server import serve  # takes seconds to import, and the model to load

        serve(config, listening)


if __name__ == "__main__":
    run(ServeConfig, main, __doc__)
