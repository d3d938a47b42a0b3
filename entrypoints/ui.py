"""Browse runs, tables and models of all studies in MLflow, on this machine alone: prints where to look.

mlflow run . -e ui --env-manager local
python entrypoints/ui.py --port 5000
python entrypoints/ui.py --tracking_uri sqlite:///mlflow.db
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import UiConfig


def main(config: UiConfig) -> None:
    from contextlib import closing

    from nertransfer.commands.listening import listener
    from nertransfer.tracking.addresses import is_served, public_uri, resolve_uri

    uri = resolve_uri(config.tracking)
    if is_served(uri):  # by a server that has these pages
        from nertransfer.commands import mlflow_pages
        from nertransfer.tracking import store

        print(mlflow_pages.overview(store.client(uri), public_uri(uri)))
        return
    with closing(listener("127.0.0.1", config.port)) as listening:
        from nertransfer.tracking import store

        opened = store.client(uri, must_exist=True)
        from nertransfer.commands import mlflow_server  # takes seconds to import

        mlflow_server.serve(opened, listening)


if __name__ == "__main__":
    run(UiConfig, main, __doc__)
