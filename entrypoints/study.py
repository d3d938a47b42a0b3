"""Run a whole study: every start x source x seed that is missing, then the registry, then the report.

mlflow run . --env-manager local
mlflow run . -e study --env-manager local -P data=path/to/masakhaner -P languages=hau,swa,wol -P seeds=1,2
python entrypoints/study.py --data path/to/masakhaner --starts base,swa --seeds 1-3 --plan    # what it costs
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import AnalyseConfig, StudyConfig


def main(config: StudyConfig) -> None:
    from nertransfer.core.text import count
    from nertransfer.studies.executors import local
    from nertransfer.tracking.addresses import resolve_uri
    from nertransfer.tracking.store import client, exists, find_study, open_study, study_name

    if config.executor == "local":
        local.prepare()  # workers, or what measures for a plan, import beside this process, not after it
    uri, name = resolve_uri(config.tracking), study_name(config.data, config.tracking)
    from nertransfer.studies import costs, timing

    if config.plan:
        print(costs.text(costs.foresee(config, find_study(client(uri), name) if exists(uri) else None), name, uri))
        return
    from nertransfer.commands import mlflow_pages
    from nertransfer.studies.study import run_study, write_study_scripts

    study = open_study(client(uri), name)
    if config.executor == "script":
        scripts, number = write_study_scripts(config, study)
        then = "submit with sbatch, and then " if scripts else ""
        then += "run this command with --executor local: it registers the best seeds and writes the report"
        print(f"{count(number, 'cell')} in {count(len(scripts), 'array')}; {then}", *scripts, sep="\n")
        return
    outcome = run_study(config, study)
    for change in outcome.changes:
        print(f"{change.model}: {change.text}")
    print(f"{count(len(outcome.ran), 'cell')} run, {len(outcome.found)} done before, {len(outcome.failed)} failed")
    for cell, error in outcome.failed.items():
        print(f"failed: {cell}: {error}", file=sys.stderr)
    if outcome.ran or outcome.found:
        with outcome.timing.phase(timing.REPORT):
            from analysis.report import report

            where, by = config.output, config.selection_split
            report.write(AnalyseConfig(config.data, outcome.tracking, where, selection_split=by))
    pages = [mlflow_pages.of_study(study.client, study.experiment_id)] if outcome.ran or outcome.found else []
    print(outcome.timing.table(), *filter(None, pages), sep="\n")
    if outcome.failed:
        raise SystemExit(1)


if __name__ == "__main__":
    run(StudyConfig, main, __doc__)
