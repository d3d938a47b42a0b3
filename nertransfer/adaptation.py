"""Language adaptation as a tracked job: a start and plain text in, a new start's folder out."""

import hashlib
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

from nertransfer import planted_starts, starts
from nertransfer.cell import make_accelerator
from nertransfer.cell_measurements import curve
from nertransfer.commandline import flat
from nertransfer.config import PLANTED, AdaptConfig, RunOptions
from nertransfer.corpus import folder_of
from nertransfer.errors import InputError
from nertransfer.finetune import clear_checkpoint
from nertransfer.folders import make_folder, only_maker
from nertransfer.language_modelling import encode_text, masked_batches, model_language
from nertransfer.measurements import Measurements
from nertransfer.schema import KIND_ADAPTATION, START, START_FINGERPRINT
from nertransfer.store import Study
from nertransfer.study import resolve_starts
from nertransfer.text_files import BYTE_ORDER_MARK, decode, running_lines
from nertransfer.tracking import configuration_params, deliver, log, open_run


def adapt(config: AdaptConfig, study: Study) -> Path:
    """Continue masked-language modelling on one language's text, save the new start, track the run.

    Returns the folder, which `train`, `study` and `adapt` take as a start. Interrupted work goes
    on from its checkpoint; a folder that exists already is an error, so no start is ever
    overwritten. Raises InputError on bad text or start, before anything is written.
    """
    output = Path(config.output or Path(config.data.work_dir) / "starts" / config.language)
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
    masked_batches(tokenizer, config.masking)  # raises where the start cannot be adapted, as loading it does
    model = starts.load_for_language_modelling(start, config.seed)
    made_from = [before.digest, digest, recipe.identity, config.masking, config.seed]
    key = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    checkpoint = output.with_name(output.name + ".checkpoint")
    tags = {
        START: start.name,
        "language": config.language,
        "base_fingerprint": before.fingerprint,
        "text_digest": digest,
    }
    make_folder(output.parent, "output")
    with only_maker(output):
        _check_new(output)  # another process may have made it meanwhile
        with open_run(study, KIND_ADAPTATION, f"{start.name}-adapt-{config.language}", tags) as run_id:
            log(study.client, run_id, params=configuration_params(flat(config)))
            began = time.perf_counter()
            model, history = model_language(
                model, tokenizer, encoded, recipe, RunOptions(**asdict(config.run)), config.masking, config.seed,
                accelerator, checkpoint, key, f"adapting to {config.language}",
            )  # fmt: skip
            _check_new(output)
            starts.save(model, tokenizer, output)
            clear_checkpoint(checkpoint)
            after = starts.identify(starts.Start(config.language, str(output)))
            seconds = f"{time.perf_counter() - began:.1f}"
            found = Measurements(
                key, curve(history, recipe), tags={START_FINGERPRINT: after.fingerprint, "seconds": seconds}
            )
            deliver(study.client, run_id, found)
    return output


def _check_new(output: Path) -> None:
    if output.exists():
        raise InputError(f"output={str(output)!r} is not allowed: it exists already; name a new folder", "output")


def _read_text(config: AdaptConfig) -> tuple[list[str], str]:
    """The lines of the text and the SHA-256 of its bytes."""
    if config.text:
        path = Path(config.text)
        if not path.is_file():
            raise InputError(f"text={config.text!r} is not a file")
    elif config.data.data == PLANTED:
        folder = folder_of(config.data)
        planted_starts.text_of(folder, config.language)  # names the languages that exist
        path = folder / config.language / "text.txt"
    else:
        raise InputError(
            "parameter text is missing: a UTF-8 text file, one sentence a line; for example text=hausa.txt (of the "
            "corpora only data=planted has a text)", "text",
        )  # fmt: skip
    raw = path.read_bytes()
    text = decode(raw, path, "text").removeprefix(BYTE_ORDER_MARK)
    lines = running_lines(text, path, "text", "give the words alone, a sentence a line")
    if not lines:
        raise InputError(f"{path}: the text is empty", "text")
    return [line for _, line in lines], hashlib.sha256(raw).hexdigest()
