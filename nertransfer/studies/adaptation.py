"""Language adaptation as a tracked job: a start and plain text in, a new start's folder out."""

import hashlib
import json
import logging
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

from nertransfer.core.commandline import flat
from nertransfer.core.config import AdaptConfig
from nertransfer.core.errors import InputError
from nertransfer.core.files import BYTE_ORDER_MARK, decode, make_folder, only_maker, read
from nertransfer.core.options import PLANTED, RunOptions
from nertransfer.core.schema import (
    ADAPTATION_KEY,
    ATTEMPTS,
    KIND_ADAPTATION,
    LANGUAGE_MODELLING_HEAD,
    NOTE,
    OUTPUT,
    START,
    START_FINGERPRINT,
)
from nertransfer.corpora.conll import running_lines
from nertransfer.corpora.corpus import folder_of
from nertransfer.encoders import starts
from nertransfer.scoring.measurements import Measurements
from nertransfer.tracking import store_files
from nertransfer.tracking.claims import Owner
from nertransfer.tracking.runs import configuration_params, deliver, known_epochs, log, open_run, provenance_file
from nertransfer.tracking.store import Run, Study, kind_runs
from nertransfer.tracking.system_metrics import sampled
from nertransfer.training import planted_starts
from nertransfer.training.accelerator import make_accelerator
from nertransfer.training.checkpoint import Checkpoint
from nertransfer.training.finetune import Machine, Training, fit
from nertransfer.training.language_modelling import encode_text, masked_batches
from nertransfer.training.planted_starts import resolve_starts
from nertransfer.training.run_cell import curve

logger = logging.getLogger("nertransfer")


def adapt(config: AdaptConfig, study: Study) -> Path:
    """Continue masked-language modelling on one language's text, save the new start, track the run.

    Returns the folder, which `train`, `study` and `adapt` take as a start. Interrupted work goes
    on from its checkpoint, in the same run; a folder that exists already is an error, so no start is
    ever overwritten. Raises InputError on bad text or start, before anything is written.
    """
    store_files.check(study)
    output = Path(config.output or Path(config.data.work_dir) / "starts" / config.language).absolute()
    _check_new(output)
    lines, digest = _read_text(config)
    recipe = config.recipe
    accelerator = make_accelerator(recipe, config.run)
    start = resolve_starts((config.start,), config.data, lambda: accelerator)[0]
    tokenizer = starts.load_tokenizer(start)
    if recipe.max_length > tokenizer.model_max_length:
        recipe = replace(recipe, max_length=tokenizer.model_max_length)
    before = starts.identify(start)
    encoded = encode_text(lines, tokenizer, recipe.max_length)
    batches = masked_batches(tokenizer, config.masking)  # raises where the start cannot be adapted, as loading it does
    model, new_head = starts.load_for_language_modelling(start, config.seed)
    made_from = [before.digest, digest, recipe.identity, config.masking, config.seed]
    key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    checkpoint = Checkpoint(output.with_name(output.name + ".checkpoint"), key)
    tags = {
        START: start.name,
        "language": config.language,
        "base_fingerprint": before.fingerprint,
        "text_digest": digest,
        ADAPTATION_KEY: key,
        OUTPUT: str(output),
        LANGUAGE_MODELLING_HEAD: "drawn anew" if new_head else "of the start",
    }
    if new_head:
        tags[NOTE] = _about_new_head(start.name, model.config.vocab_size)
        logger.warning(tags[NOTE])
    make_folder(output.parent, "output")
    with only_maker(output):
        _check_new(output)  # another process may have made it meanwhile
        cut = _cut_short(study, key, tags[OUTPUT])
        tags[ATTEMPTS] = str(int(cut.data.tags.get(ATTEMPTS, 1)) + 1 if cut else 1)
        again = cut.info.run_id if cut else None
        with open_run(study, KIND_ADAPTATION, f"{start.name}-adapt-{config.language}", tags, again) as run_id:
            known = cut.data.params if cut else {}  # what a param was first, it stays
            params = configuration_params(flat(config))
            log(study.client, run_id, params={name: text for name, text in params.items() if name not in known})
            began = time.perf_counter()
            training = Training(encoded, recipe, config.seed, make_batch=batches)
            machine = Machine(RunOptions(**asdict(config.run)), accelerator)
            with sampled(study, run_id, goes_on=cut is not None):
                trained, history = fit(model, training, machine, checkpoint, title=f"adapting to {config.language}")
            # the new start is at its place once all is tracked: until then a rerun goes on
            made = checkpoint.folder / "start"
            starts.save(accelerator.unwrap_model(trained), tokenizer, made)
            after = starts.identify(starts.Start(config.language, str(made)))
            seconds = f"{time.perf_counter() - began:.1f}"
            found = Measurements(
                key, curve(history, recipe), tags={START_FINGERPRINT: after.fingerprint, "seconds": seconds},
                files={**provenance_file(flat(config))},
            )  # fmt: skip
            deliver(study.client, run_id, found, known_epochs=known_epochs(study.client, run_id) if cut else 0)
            _check_new(output)
            made.rename(output)
            checkpoint.clear()
    return output


def _about_new_head(start: str, vocabulary: int) -> str:
    return (
        f"start {start} has no complete language-modelling head, so a new, random one must be trained first: expect a "
        f"loss near {math.log(vocabulary):.1f} at the beginning, as for guessing among {vocabulary:,} sub-tokens. "
        "Meanwhile the encoder learns from an untrained head: with little text the adapted start may be worse than the "
        "start itself. Give more text or epochs and compare the two, or adapt a checkpoint that has its head."
    )


def _cut_short(study: Study, key: str, output: str) -> Run | None:
    """The run of this very adaptation that was interrupted, or left by a process that is gone; None where none was."""
    if study.existing_id is None:
        return None
    me = Owner.this_process()
    for run in reversed(kind_runs(study, KIND_ADAPTATION, f" and tags.{ADAPTATION_KEY} = '{key}'")):
        owner = Owner.of_run(run)
        gone = run.info.status == "RUNNING" and owner is not None and not owner.is_alive({}, me)
        if run.data.tags.get(OUTPUT) == output and (gone or run.info.status == "KILLED"):
            return run
    return None


def _check_new(output: Path) -> None:
    if output.exists():
        raise InputError(f"output={str(output)!r} is not allowed: it exists already; name a new folder", "output")


def _read_text(config: AdaptConfig) -> tuple[list[str], str]:
    """The lines of the text and the SHA-256 of its bytes."""
    if config.text:
        path = Path(config.text)
    elif config.data.data == PLANTED:
        folder = folder_of(config.data)
        planted_starts.text_of(folder, config.language)  # names the languages that exist
        path = folder / config.language / "text.txt"
    else:
        raise InputError(
            "parameter text is missing: a UTF-8 text file, one sentence a line; for example text=hausa.txt (of the "
            "corpora only data=planted has a text)", "text",
        )  # fmt: skip
    raw = read(path, "text")
    text = decode(raw, path, "text").removeprefix(BYTE_ORDER_MARK)
    lines = running_lines(text, path, "text", "give the words alone, a sentence a line")
    if not lines:
        raise InputError(f"{path}: the text is empty", "text")
    return [line for _, line in lines], hashlib.sha256(raw).hexdigest()
