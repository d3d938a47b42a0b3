"""Scores a model that exists: a finished cell, a registered model, a folder or a hub id."""

import logging
from dataclasses import replace
from pathlib import Path

from nertransfer.core import schema
from nertransfer.core.commandline import flat
from nertransfer.core.config import EvaluateConfig
from nertransfer.core.errors import InputError
from nertransfer.core.grid import is_several
from nertransfer.core.options import Recipe
from nertransfer.corpora import corpus as corpora_of
from nertransfer.encoders import starts
from nertransfer.registry.card_facts import targets as scored_targets
from nertransfer.scoring.measurements import of_scores
from nertransfer.scoring.scores import Scored
from nertransfer.studies.planning import languages_to_load, pick
from nertransfer.tracking import model_uris, store_files, study_data
from nertransfer.tracking.runs import configuration_params, deliver, log, open_run, provenance_file
from nertransfer.tracking.store import MlflowClient, Study, find_study, open_study, study_name
from nertransfer.training.accelerator import make_accelerator
from nertransfer.training.run_cell import Encoder, score_splits, splits_of

logger = logging.getLogger("nertransfer")


def settled(config: EvaluateConfig, client: MlflowClient) -> tuple[EvaluateConfig, Study]:
    """The configuration with its corpora, and the study that the evaluation is tracked in.

    A model that was made by a cell is scored, unless data is given, on what its cell was scored on, and belongs to its
    cell's study unless another one is named. Any corpora may be given: they need not be the study's. Raises InputError
    where neither the configuration nor the store says what to score on, and where those corpora are not there.
    """
    run = model_uris.run_of(config.model, client)
    if run is None:
        study = find_study(client, config.tracking.study) if config.tracking.study and not config.data.data else None
        if study is None and not config.data.data:
            raise InputError(f"parameter data is missing: {_stranger(config.model, client)}", "data")
        study = study or open_study(client, study_name(config.data, config.tracking))
        if not config.data.data:
            known = study_data.of_study(study)
            config = replace(config, data=study_data.options(config.data, known, f"study {study.name}", study.uri))
        return config, study
    own = Study(client, run.info.experiment_id, client.get_experiment(run.info.experiment_id).name)
    if not config.data.data:
        known = study_data.recorded([run]) or study_data.of_study(own)
        data = study_data.options(config.data, known, f"study {own.name}", own.uri)
        if changed := study_data.changed(corpora_of.digests(data), study_data.digests_of([run])):
            logger.warning("changed since the model was made, and scored as it is now: %s", ", ".join(changed))
        limited = config.targets or data.languages
        targets = () if limited else tuple(name for name in scored_targets(run) if not is_several(name))
        config = replace(config, data=data, targets=config.targets or targets)
    return config, open_study(client, config.tracking.study) if config.tracking.study else own


def _stranger(model: str, client: MlflowClient) -> str:
    """Why nothing is known of the corpora of a model."""
    if model.startswith("models:/"):
        try:
            run, version = model_uris.origin(model, client)
        except InputError as error:
            return str(error)
        if run is None and version is not None:
            return (
                f"the run of model={model!r}, {version.run_id}, was deleted, and with it which corpora it was made on; "
                "for example data=masakhaner"
            )
    return (
        f"no study says on which corpora to score model={model!r}, which was not made by a cell of this store; for "
        "example data=masakhaner"
    )


def evaluate(config: EvaluateConfig, study: Study) -> list[Scored]:
    """Score the model on every target and split asked for, and track it as a run of kind ``evaluation``.

    Raises InputError when the model is not there, is no token classifier, or its labels are not IOB2.
    """
    store_files.check(study)
    corpora = corpora_of.load(languages_to_load(config.data, config.targets))
    targets = pick("targets", config.targets, corpora)
    accelerator = make_accelerator(Recipe(), config.run)
    with model_uris.local_copy(config.model, study.client, Path(config.data.work_dir)) as start:
        model, tokenizer, labels = starts.load_tagger(start)
    window = config.max_length or getattr(model.config, starts.WINDOW, None)
    encoder = Encoder(tokenizer, window or min(Recipe.max_length, tokenizer.model_max_length))
    encoder(corpora[targets[0]].splits[config.splits[0]])  # a window the model cannot take is found before any run
    digests = {name: corpora[name].digest for name in targets}
    tags = {schema.MODEL: config.model} | schema.packed(schema.CORPUS_DIGESTS, digests)
    with open_run(study, schema.KIND_EVALUATION, f"evaluate-{start.name}"[:48], tags) as run_id:
        log(study.client, run_id, params=configuration_params(flat(config)))
        scored = score_splits(
            accelerator.prepare(model), encoder, labels, splits_of(corpora, targets, config.splits), accelerator,
            config.run.evaluation_tokens, "scoring",
        )  # fmt: skip
        found = of_scores(scored)
        found.files |= provenance_file(flat(config))
        deliver(study.client, run_id, found, data=config.data.data)
    return scored
