"""Fine-tune one cell: a start on a source language with a seed; score every target; track it.

mlflow run . -e train --env-manager local -P source=hau -P data=path/to/masakhaner
python entrypoints/train.py --source hau --data path/to/masakhaner --start base --seed 1
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import TrainConfig


def main(config: TrainConfig) -> None:
    from nertransfer.core import processes
    from nertransfer.studies.executors import launch

    if config.num_processes > 1 and not processes.launched():
        raise SystemExit(launch.relaunch(config.num_processes, __file__, sys.argv[1:], config.run.device))
    launch.check_world(config.num_processes)

    from nertransfer.studies.executors.slurm_task import TAKEN_STATUS
    from nertransfer.studies.runner import train
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.claims import slurm_task
    from nertransfer.tracking.store import client, open_study, study_name
    from nertransfer.training.accelerator import make_training_accelerator

    accelerator = make_training_accelerator(config.recipe, config.run)
    study = None
    if accelerator.is_main_process:
        study = open_study(
            client(resolve_uri(config.tracking), patient=bool(slurm_task())), study_name(config.data, config.tracking)
        )
    outcome = train(config, study, accelerator)
    if accelerator.is_main_process:
        words = {"found": "it is finished already", "taken": "another process works on it now"}
        print(outcome.summary or f"{outcome.cell}: {words.get(outcome.state, outcome.state)}")
        if outcome.state == "taken":
            raise SystemExit(TAKEN_STATUS)


if __name__ == "__main__":
    run(TrainConfig, main, __doc__, shared=True)
