"""Register the best seed of every (start, source) of a study; explains every move of an alias, and every one not made.

mlflow run . -e register --env-manager local -P study=planted
python entrypoints/register.py --study planted
python entrypoints/register.py --study masakhaner --sources hau --replace true
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import RegisterConfig


def main(config: RegisterConfig) -> None:
    from nertransfer.registry.card_facts import corpora_at_hand
    from nertransfer.registry.register import register
    from nertransfer.registry.selection import REPLACE_ALL
    from nertransfer.registry.versions import only, stale_lines
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.runs import finished_places
    from nertransfer.tracking.store import client
    from nertransfer.tracking.study_data import settled

    config, study = settled(config, client(resolve_uri(config.tracking), must_exist=True))
    cells = only(finished_places(study), config.sources or config.data.languages)
    replace = REPLACE_ALL if config.replace else frozenset()
    changes = register(
        study, cells, Path(config.data.work_dir), config.selection_split, replace, corpora_at_hand(config.data)
    )
    for change in changes:
        print(f"{change.model}: {change.text}", file=sys.stderr if change.failed else sys.stdout)
    failed = any(change.failed for change in changes)
    if all(change.held for change in changes) and not failed:
        print("nothing changed: the registry is in line with the study" + (", but for what stays" if changes else ""))
    for line in stale_lines(study):
        print(line)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    run(RegisterConfig, main, __doc__)
