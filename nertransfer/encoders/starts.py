"""Starts: which checkpoint a name means, its fingerprint, and how encoder and head are loaded and saved."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from nertransfer.core.errors import InputError
from nertransfer.core.files import flush
from nertransfer.core.grid import START_NAME
from nertransfer.core.options import Recipe
from nertransfer.core.text import did_you_mean
from nertransfer.corpora.labels import category_of
from nertransfer.corpora.words import RULES
from nertransfer.encoders import architectures, python_tokenizers
from nertransfer.encoders.catalogue import CATALOGUE, HUB_ID, PINNED
from nertransfer.encoders.start_files import NotHere, StartFiles, locate

WINDOW = "nertransfer_window"
"""Entry of a tagger's configuration: the window it was fine-tuned with, in sub-tokens."""

WORDS = "nertransfer_words"
"""Entry of a tagger's configuration: ``rule``, by which raw text is cut into words (`nertransfer.corpora.words.RULES`),
and ``found``, the share of the words of its train split that the rule finds in running text."""


@dataclass(frozen=True)
class Start:
    """``name`` as in tags, files and aliases; ``location`` a folder or hub id; ``revision`` of a hub id."""

    name: str
    location: str
    revision: str | None = None

    @property
    def shown(self) -> str:
        """Where it is loaded from, with the revision if one was asked for."""
        return f"{self.location}@{self.revision}" if self.revision else self.location


def resolve(text: str, catalogue: Mapping[str, str] = CATALOGUE) -> Start:
    """The start that ``[name=]what[@revision]`` means, without loading it.

    ``what`` is a catalogue name, a folder, or a hub id: ``owner/model``, or one of the oldest models', which have no
    owner and a dash in their names, such as ``xlm-roberta-base``. Raises InputError when it is none of these, or when
    the name cannot be used.
    """
    given, separator, what = text.partition("=")
    name, what = (given, what) if separator else ("", text)
    location, revision = what, None
    if not Path(what).exists() and "@" in what:
        location, _, revision = what.rpartition("@")
    if location in catalogue:
        name, location = name or location, catalogue[location]
        if PINNED.fullmatch(location):
            location, _, commit = location.partition("@")
            revision = revision or commit
    elif Path(location).is_dir():
        if not (Path(location) / "config.json").is_file():
            raise InputError(f"start {text!r}: the folder has no config.json; a start is saved by save_pretrained")
        name = name or slug(Path(location).resolve().name)
    elif HUB_ID.fullmatch(location) and ("/" in location or "-" in location):
        name = name or slug(location.rpartition("/")[2])
    else:
        raise InputError(
            f"start {text!r} is unknown: one of {', '.join(catalogue)}, a folder that exists, "
            f"or a hub id owner/model; prefix it with name= to name it{did_you_mean(location, catalogue)}"
        )
    if not START_NAME.fullmatch(name):
        raise InputError(
            f"start {text!r}: {name!r} cannot be its name: a letter, then at most 47 letters, digits, '_', '-'; "
            "give it one with name=..."
        )
    return Start(name, location, revision or None)


def slug(text: str) -> str:
    """``text`` with everything but letters, digits, ``_`` and ``-`` replaced by ``-``."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)


def resolve_all(texts: Sequence[str], catalogue: Mapping[str, str] = CATALOGUE) -> list[Start]:
    """All starts of a study; raises InputError when two have the same name."""
    found = [resolve(text, catalogue) for text in texts]
    names = [start.name for start in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two starts are called {name!r}; give one another name with name=...")
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """No chatter about missing heads, and no progress bars."""
    log = transformers.logging
    verbosity, shown = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if shown:
            log.enable_progress_bar()


@contextmanager
def _loading(
    start: Start, local_only: bool = False, check: Callable[[Path], None] | None = None
) -> Iterator[StartFiles]:
    """The files of a start; failures become one InputError. ``local_only``: download nothing. ``check``: of the folder
    with its configuration, before the weights are downloaded."""
    with _failing(start):
        files = locate(start.location, start.revision, local_only, check)
        with quiet():
            yield files


@contextmanager
def _failing(start: Start) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the libraries raise what they like: TypeError, their own kinds, Exception itself
        raise InputError(f"start {start.name!r} cannot be loaded from {start.shown!r}: {_reason(error)}") from error


_LOCAL: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
"""Arguments for every from_pretrained: all files are in a folder of this machine."""


def _weights(files: StartFiles) -> dict[str, Any]:
    """Further arguments for a model's from_pretrained."""
    return {"use_safetensors": files.safetensors, "weights_only": True, "dtype": torch.float32}


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    text = str(error).strip()
    if type(error).__name__ == "UnpicklingError":  # torch's text recommends to load the file without the restriction
        held = re.search(r"GLOBAL (\S+)", text)
        what = f"{held.group(1)}, which is not a tensor" if held else "something other than tensors"
        return (
            f"its .bin file contains {what}; only tensors are loaded, because anything else could run code. Use a "
            "checkpoint with safetensors"
        )
    return text.splitlines()[0] if text else type(error).__name__


_LIKE_ROBERTA = ("camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "xmod")
"""Model types beside those with roberta in their names that count positions from behind the padding's."""


def load_configuration(start: Start, local_only: bool = False) -> PreTrainedConfig:
    """The start's configuration, without its weights. Raises InputError where it cannot be read."""
    with _loading(start, local_only) as files:
        return AutoConfig.from_pretrained(files.folder, **_LOCAL)


def load_tokenizer(start: Start, local_only: bool = False) -> PreTrainedTokenizerBase:
    """The start's tokenizer; byte-level ones that can be told expect a space before each word."""
    with _loading(start, local_only) as files:
        tokenizer = AutoTokenizer.from_pretrained(files.folder, **_LOCAL)
        if getattr(tokenizer, "add_prefix_space", None) is False:
            tokenizer = AutoTokenizer.from_pretrained(files.folder, add_prefix_space=True, **_LOCAL)
        if len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # transformers makes one of nothing, without a word
            raise ValueError("there is no tokenizer, or none with a vocabulary")
        python_tokenizers.check(tokenizer)
        config = AutoConfig.from_pretrained(files.folder, **_LOCAL)
        positions = getattr(config, "max_position_embeddings", None)
        if positions is not None and positions > 0:  # XLNet, which has no limit, says -1
            if "roberta" in config.model_type or config.model_type in _LIKE_ROBERTA:
                positions -= config.pad_token_id + 1
            tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer


def _load(kind: Any, files: StartFiles, whole: bool = False, **arguments: Any) -> tuple[PreTrainedModel, bool]:
    """A model of an Auto class in float32, and whether some of its head was drawn anew.

    transformers draws whatever the weights lack without an error: raises ValueError where that is some of the encoder
    (a pooler, which no tagger has, apart), or of a ``whole`` model anything, and where a number is not finite.
    """
    model, found = kind.from_pretrained(
        files.folder, output_loading_info=True, ignore_mismatched_sizes=True, **_weights(files), **_LOCAL, **arguments
    )
    encoder = f"{model.base_model_prefix}."

    def counts(name: str) -> bool:
        return whole or name.startswith(encoder)

    missing = sorted(name for name in found["missing_keys"] if not name.startswith(f"{encoder}pooler."))
    if lacking := [name for name in missing if counts(name)]:
        raise ValueError(f"its weights lack {len(lacking)} tensors that its config.json asks for, such as {lacking[0]}")
    other = sorted(found["mismatched_keys"])
    for name, there, wanted in other:
        if counts(name):
            raise ValueError(f"{name} has the shape {tuple(there)} in its weights, {tuple(wanted)} by its config.json")
    # a sum is finite where all its numbers are, and takes a twentieth of the time of looking at each
    if broken := [name for name, tensor in model.state_dict().items() if not tensor.sum().isfinite()]:
        raise ValueError(f"its weights are not finite, such as {broken[0]}")
    return model, bool(missing or other)


def window(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Sub-tokens of a window: those a tagger was fine-tuned with, else the usual ones, if the start takes as many."""
    return getattr(model.config, WINDOW, None) or min(Recipe.max_length, tokenizer.model_max_length)


def load_for_tagging(start: Start, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """The start's encoder in float32 under a new head for ``labels``, drawn with ``seed``."""
    torch.manual_seed(seed)
    names, numbers = dict(enumerate(labels)), {label: i for i, label in enumerate(labels)}
    with _loading(start) as files:
        drawn, new_head = _load(AutoModelForTokenClassification, files, id2label=names, label2id=numbers)
        config = drawn.config
        if _is_tagger(config) or not new_head:  # it has kept an old head: only the encoder is taken over
            # loaded once more, for the head is drawn after what that draws: cells keep their numbers
            torch.manual_seed(seed)
            encoder = AutoModel.from_pretrained(files.folder, **_weights(files), **_LOCAL)
            tagger = AutoModelForTokenClassification.from_config(config, dtype=torch.float32)
            tagger.base_model.load_state_dict(encoder.state_dict(), strict=False)
            return tagger
        return drawn


def _is_tagger(config: PreTrainedConfig) -> bool:
    return any(name.endswith("ForTokenClassification") for name in config.architectures or ())


def load_tagger(start: Start) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, tuple[str, ...]]:
    """A fine-tuned tagger, its tokenizer and its labels in order of index.

    Raises InputError when it is no token classifier or its labels are not IOB2 tags.
    """
    with _loading(start) as files:
        config = AutoConfig.from_pretrained(files.folder, **_LOCAL)
        if not _is_tagger(config):
            raise ValueError(f"not a token classifier but {', '.join(config.architectures or ['nothing known'])}")
        labels = tuple(config.id2label[i] for i in range(config.num_labels))
        for label in labels:
            category_of(label)
        model, _ = _load(AutoModelForTokenClassification, files, whole=True)
    tokenizer = load_tokenizer(start)
    _check_vocabulary(start, model, tokenizer)
    length = getattr(config, WINDOW, 1)
    if not isinstance(length, int) or not 1 <= length <= tokenizer.model_max_length:
        raise InputError(
            f"start {start.name!r} cannot be used: {WINDOW}={length!r} in its config.json is no window, a whole number "
            f"from 1 to {tokenizer.model_max_length}"
        )
    cut = getattr(config, WORDS, None)
    if cut is not None and (not isinstance(cut, dict) or cut.get("rule") not in RULES):
        raise InputError(
            f"start {start.name!r} cannot be used: {WORDS}={cut!r} in its config.json names no rule for words; rules "
            f"are {', '.join(RULES)}"
        )
    return model, tokenizer, labels


def load_encoder(start: Start) -> PreTrainedModel:
    """The encoder of a start or of a tagger in float32, without any head: the one that taggers have, of T5 as well."""
    with _loading(start, check=_check_architecture) as files:
        return _load(AutoModelForTokenClassification, files)[0].base_model


def _check_architecture(folder: Path) -> None:
    architectures.check(AutoConfig.from_pretrained(folder, **_LOCAL))


def is_absent(error: InputError) -> bool:
    """Whether a start was not loaded as it is not on this machine, rather than as it cannot be used."""
    return isinstance(error.__cause__, NotHere)


def check_fit(start: Start) -> None:
    """Raise InputError where a start that is on this machine cannot tag, as far as its configuration and tokenizer
    tell; loads no weights and downloads nothing."""
    try:
        with _loading(start, local_only=True, check=_check_architecture):
            pass
        load_tokenizer(start, local_only=True)
    except InputError as error:
        if not is_absent(error):
            raise


def _check_vocabulary(start: Start, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise InputError where the tokenizer has sub-tokens that the model has no embedding of, as CANINE of all."""
    try:
        rows = model.get_input_embeddings().weight.shape[0]
    except NotImplementedError:
        raise InputError(
            f"start {start.name!r} cannot be used: {model.config.model_type} has no table of embeddings, with a row "
            "for each sub-token"
        ) from None
    if tokenizer.vocab_size > rows:  # without what was added: some have more special tokens than they use
        raise InputError(
            f"start {start.name!r} cannot be used: its tokenizer has {tokenizer.vocab_size} sub-tokens, its weights "
            f"have {rows}: they do not belong together"
        )


def load_for_further_tagging(start: Start, labels: Sequence[str], seed: int) -> PreTrainedModel:
    """A fine-tuned tagger for ``labels``: what its head knows of them is kept, the rest is drawn with ``seed``."""
    known, _, names = load_tagger(start)
    if names == tuple(labels):
        return known
    config = known.config
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
    torch.manual_seed(seed)
    tagger = AutoModelForTokenClassification.from_config(config, dtype=torch.float32)
    old = known.state_dict()
    state = tagger.state_dict()
    pairs = [(labels.index(name), i) for i, name in enumerate(names) if name in labels]
    for name, tensor in state.items():
        if tensor.shape == old[name].shape:
            tensor.copy_(old[name])
        else:  # a row for every label
            for new, before in pairs:
                tensor[new] = old[name][before]
    return tagger


def load_for_language_modelling(start: Start, seed: int) -> tuple[PreTrainedModel, bool]:
    """The start with its masked-language-modelling head, and whether its weights lack some of the head: that is drawn
    anew, with ``seed``."""
    torch.manual_seed(seed)
    with _loading(start) as files:
        return _load(AutoModelForMaskedLM, files)


@dataclass(frozen=True)
class Identity:
    """``fingerprint``: SHA-256 over the encoder's tensors alone, equal for equal weights under any name.
    ``digest``: SHA-256 over fingerprint, tokenizer and configuration: all that can change a result.
    ``vocabulary``: SHA-256 over the tokenizer: starts that agree in it encode a corpus alike.
    ``max_length``: sub-tokens the start takes at most. ``commit``: of the hub, where it came from there."""

    fingerprint: str
    digest: str
    vocabulary: str
    max_length: int
    commit: str | None = None


def identify(start: Start, local_only: bool = False) -> Identity:
    """Fingerprint and digest of a start. Loads it once; ``local_only`` raises InputError rather than download it."""
    with _loading(start, local_only, _check_architecture) as files:
        encoder = _load(AutoModelForTokenClassification, files)[0].base_model
    weights = fingerprint(encoder)
    configuration = {
        key: value
        for key, value in encoder.config.to_dict().items()
        if key not in ("_name_or_path", "transformers_version", "id2label", "label2id", "dtype")
    }
    tokenizer = load_tokenizer(start, local_only)
    _check_vocabulary(start, encoder, tokenizer)
    with _failing(start):
        architectures.check_reading(encoder, tokenizer.model_max_length)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    text = json.dumps([weights, configuration, vocabulary, tokenizer.model_max_length], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    limits = f"{tokenizer.special_tokens_map} {tokenizer.model_max_length}{python_tokenizers.rules(tokenizer)}"
    words = hashlib.sha256(f"{vocabulary} {limits}".encode()).hexdigest()
    return Identity(weights, digest, words, tokenizer.model_max_length, files.commit)


def fingerprint(encoder: PreTrainedModel) -> str:
    """SHA-256 over names, shapes and bytes of the encoder's tensors, without any pooler or head."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.base_model.state_dict().items()):
        if name.startswith("pooler.") or not tensor.is_floating_point():
            continue
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights (safetensors), configuration and tokenizer; the folder appears whole or not at all."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        with quiet():
            model.save_pretrained(fresh)
            tokenizer.save_pretrained(fresh)
        flush(fresh)
    except Exception:
        shutil.rmtree(fresh, ignore_errors=True)  # half of it would fill a full disk further
        raise
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
