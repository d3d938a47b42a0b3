"""Scores a model that exists: a finished cell, a registered model, a folder or a hub id."""

from pathlib import Path

from nertransfer import corpus as corpora_of
from nertransfer import model_addresses, schema, starts
from nertransfer.cell import Encoder, make_accelerator, score_splits, splits_of
from nertransfer.commandline import flat
from nertransfer.config import EvaluateConfig, Recipe
from nertransfer.measurements import of_scores
from nertransfer.planning import languages_to_load, pick
from nertransfer.scored import Scored
from nertransfer.store import Study
from nertransfer.tracking import configuration_params, deliver, log, open_run


def evaluate(config: EvaluateConfig, study: Study) -> list[Scored]:
    """Score the model on every target and split asked for, and track it as a run of kind ``evaluation``.

    Raises InputError when the model is not there, is no token classifier, or its labels are not IOB2.
    """
    corpora = corpora_of.load(languages_to_load(config.data, config.targets))
    targets = pick("targets", config.targets, corpora)
    accelerator = make_accelerator(Recipe(), config.run)
    with model_addresses.local_copy(config.model, study.client, Path(config.data.work_dir)) as start:
        model, tokenizer, labels = starts.load_tagger(start)
    window = config.max_length or getattr(model.config, starts.WINDOW, None)
    encoder = Encoder(tokenizer, window or min(Recipe.max_length, tokenizer.model_max_length))
    encoder(corpora[targets[0]].splits[config.splits[0]])  # a window the model cannot take is found before any run
    tags = {schema.MODEL: config.model} | {schema.CORPUS_DIGEST + name: corpora[name].digest for name in targets}
    with open_run(study, schema.KIND_EVALUATION, f"evaluate-{start.name}"[:48], tags) as run_id:
        log(study.client, run_id, params=configuration_params(flat(config)))
        scored = score_splits(
            accelerator.prepare(model), encoder, labels, splits_of(corpora, targets, config.splits), accelerator,
            config.run.evaluation_tokens, "scoring",
        )  # fmt: skip
        deliver(study.client, run_id, of_scores(scored))
    return scored
