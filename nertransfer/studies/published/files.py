"""Published result folders, read strictly: names and small files -> plain values. Whatever does not fit is listed.

Two layouts. NERTransfer (Beukman, https://github.com/Michael-Beukman/NERTransfer): one folder for every fine-tuning,
and under ``v20`` one for every model and target. MasakhaNER 2.0 (Adelani et al. 2022,
https://github.com/masakhane-io/masakhane-ner): one folder for every language and model, a result file for every
replicate.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nertransfer.core.errors import InputError
from nertransfer.core.files import decode, entries, read
from nertransfer.core.grid import OWN
from nertransfer.corpora.labels import category_of
from nertransfer.scoring.scores import Score

ORDER = ("wol", "pcm", "yor", "hau", "ibo", "luo", "lug", "kin", "swa", "amh")
"""The languages in the order of NERTransfer's tables; Amharic is not in them and stands last."""
STARTS, PIVOTS = ("base", "swa", OWN), ("swa",)
"""NERTransfer's design: every source from base, swa and its own start; on swa, every language's start."""

MODELS = Path("src/runs/v10/models")
BASELINES = Path("MasakhaNER2.0/baseline_models_results")
ZERO_SHOT = "v20"

_LANGUAGE = r"[A-Za-z][A-Za-z0-9-]{0,31}"  # no underscore: it separates the parts of a folder's name
_CELL = re.compile(
    rf"(?P<source>{_LANGUAGE})_v10_start_(?P<start>{_LANGUAGE})__(?P<again>{_LANGUAGE})__(?P<seed>[0-9]{{1,9}})_(?P<epochs>[1-9][0-9]{{0,5}})",
    re.ASCII,
)
_TARGET = re.compile(
    rf"(?P<target>{_LANGUAGE})_zero_shot_(?P<cell>.+)_(?P<again>{_LANGUAGE})_(?P<epochs>[1-9][0-9]{{0,5}})", re.ASCII
)
_BASELINE = re.compile(rf"(?P<language>{_LANGUAGE})_(?P<model>[A-Za-z0-9][A-Za-z0-9_.-]{{0,63}})", re.ASCII)
_REPLICATE = re.compile(r"test_results?(?P<number>[0-9]{1,9})\.txt", re.ASCII)


@dataclass(frozen=True, order=True)
class CellName:
    """One fine-tuning by its folder's name."""

    source: str
    start: str
    seed: int
    epochs: int

    @property
    def folder(self) -> str:
        """The folder's name."""
        return f"{self.source}_v10_start_{self.start}__{self.source}__{self.seed}_{self.epochs}"


def parse_cell_name(text: str) -> CellName | None:
    """The fine-tuning that a folder's name stands for; None where the whole name does not fit."""
    found = _CELL.fullmatch(text)
    if found is None or found["source"] != found["again"] or found["seed"] != str(int(found["seed"])):
        return None
    return CellName(found["source"], found["start"], int(found["seed"]), int(found["epochs"]))


def parse_target_name(text: str) -> tuple[str, CellName] | None:
    """Target and fine-tuning of a folder under ``v20``; None where the whole name does not fit."""
    found = _TARGET.fullmatch(text)
    cell = parse_cell_name(found["cell"]) if found else None
    if found is None or cell is None or found["target"] != found["again"] or int(found["epochs"]) != cell.epochs:
        return None
    return found["target"], cell


# --- result files ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reported:
    """A result file. Fractions; ``loss`` in nats; ``decimals`` is the printed precision of the categories."""

    f1: float
    precision: float
    recall: float
    loss: float
    categories: Mapping[str, Score]
    decimals: int


_HEAD = ("f1", "loss", "precision", "recall")
_NUMBER = r"(?:nan|[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)"
_VALUE = re.compile(rf"([a-z0-9]+) = ({_NUMBER})")
_TITLE = re.compile(r"report =\s+precision\s+recall\s+f1-score\s+support\s*")
_ROW = re.compile(rf"\s*(\S+(?: avg)?)\s+({_NUMBER})\s+({_NUMBER})\s+({_NUMBER})\s+([0-9]{{1,15}})\s*")
_AVERAGES = ("micro avg", "macro avg", "weighted avg")


def parse_results(text: str, path: Path | str) -> Reported:
    """Read a result file: four values at full precision, then seqeval's report of the categories.

    Raises InputError, naming file and line, on anything that does not fit.
    """
    values: dict[str, float] = {}
    categories: dict[str, Score] = {}
    averages: list[str] = []
    decimals: list[int] = []
    titled, number = False, 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if not titled and _TITLE.fullmatch(line):
            titled = True
            continue
        value = None if titled else _VALUE.fullmatch(line.strip())
        row = _ROW.fullmatch(line) if titled else None
        if value and value[1] in _HEAD and value[1] not in values:
            values[value[1]] = float(value[2]) if value[1] == "loss" else _fraction(value[2], path, number)
        elif row and row[1] in _AVERAGES and row[1] not in averages:
            averages.append(row[1])
        elif row and row[1] not in categories and not averages:
            _check_category(row[1], path, number)
            precision, recall, f1 = (_fraction(part, path, number) for part in row.group(2, 3, 4))
            categories[row[1]] = Score(precision, recall, f1, int(row[5]))
            decimals += [len(part.partition(".")[2]) for part in (row[2], row[3], row[4]) if "." in part]
        else:
            raise InputError(f"{path}:{number}: {line.strip()[:80]!r} does not belong in a result file")
    missing = [name for name in _HEAD if name not in values]
    if missing or not titled:
        raise InputError(
            f"{path}: no {', '.join(missing) or 'report'}; a result file has f1, loss, precision, recall, report"
        )
    if cut := [name for name in _AVERAGES[:2] if name not in averages]:  # older reports have no third
        raise InputError(f"{path}:{number}: the report ends without {', '.join(cut)}; was the file cut off?")
    return Reported(
        values["f1"], values["precision"], values["recall"], values["loss"], categories, max(decimals, default=2)
    )


def _fraction(text: str, path: Path | str, number: int) -> float:
    value = float(text)
    if value > 1:
        raise InputError(f"{path}:{number}: {text} is not a fraction of 1; scores are not in percent here")
    return value


def _check_category(name: str, path: Path | str, number: int) -> None:
    try:
        category_of(f"B-{name}")
    except InputError:
        raise InputError(f"{path}:{number}: {name!r} cannot name a category") from None


def read_text(path: Path) -> str:
    """The file's text; raises InputError where it cannot be read or is not UTF-8."""
    return decode(read(path), path)


@dataclass(frozen=True)
class Predictions:
    """A prediction file: words and tags of the whole split; ``sentence_ends``: words up to the end of each sentence."""

    words: list[str]
    tags: list[str]
    sentence_ends: list[int]


def read_predictions(path: Path) -> Predictions:
    """Read ``word tag`` lines; an empty line ends a sentence, several end one.

    Only a space or a tab separates: other Unicode spaces occur inside words. A word may be empty (the line then begins
    with its separator). Raises InputError, naming file and line, on a line without exactly one separator and on a tag
    that is not IOB2.
    """
    text = read_text(path)
    words: list[str] = []
    tags: list[str] = []
    ends: list[int] = []
    known: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line:
            if words and (not ends or ends[-1] != len(words)):
                ends.append(len(words))
            continue
        word, separator, tag = line.partition(" ")
        if not separator:
            word, separator, tag = line.partition("\t")
        if not separator or not tag or "\t" in word or " " in tag or "\t" in tag:
            raise InputError(f"{path}:{number}: {line[:80]!r} is not a word, one space and a tag")
        if tag not in known:
            _check_tag(tag, path, number)
            known.add(tag)
        words.append(word)
        tags.append(tag)
    if words and (not ends or ends[-1] != len(words)):
        ends.append(len(words))
    return Predictions(words, tags, ends)


def _check_tag(tag: str, path: Path, number: int) -> None:
    try:
        category_of(tag)
    except InputError as error:
        raise InputError(f"{path}:{number}: {error}") from None


CONFIG_FILE = "config.json"


def read_start(folder: Path) -> str:
    """What ``config.json`` says the fine-tuning began from; nothing where it does not say."""
    try:
        found = json.loads(read(folder / CONFIG_FILE))
    except (RecursionError, ValueError):  # not there, or not JSON
        return ""
    name = found.get("_name_or_path") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""


# --- folders -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unfit:
    """A file or folder that was not understood: its path below the root, and why."""

    path: str
    reason: str


@dataclass
class Listing:
    """Folders by fine-tuning, and by fine-tuning and target; ``unfit`` is everything else that is there."""

    cells: dict[CellName, Path] = field(default_factory=dict)
    targets: dict[tuple[CellName, str], Path] = field(default_factory=dict)
    unfit: list[Unfit] = field(default_factory=list)


CELL_FILES = ("eval_results.txt", "test_results.txt", "test_predictions.txt")
TARGET_FILES = ("test_results.txt", "test_predictions.txt")
_BESIDE = frozenset(
    {
        CONFIG_FILE, "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json", "sentencepiece.bpe.model",
        "training_args.bin", "pytorch_model.bin", "model.safetensors",
    }
)  # fmt: skip
"""Files of a model that may lie beside the results."""


def find_models(root: Path) -> Path | None:
    """The folder of NERTransfer's models: ``root`` itself or below it; None where it is not there."""
    for folder in (root / MODELS, root):
        if folder.is_dir() and any(parse_cell_name(path.name) and path.is_dir() for path in entries(folder, "results")):
            return folder
    return None


def find_baselines(root: Path) -> Path | None:
    """The folder of MasakhaNER 2.0's baselines: ``root`` itself or below it; None where it is not there."""
    for folder in (root / BASELINES, root / BASELINES.name, root):
        if folder.is_dir() and any(map(_is_baseline, entries(folder, "results"))):
            return folder
    return None


def nothing_found(root: Path) -> InputError:
    """The error that says what was looked for."""
    there = "is not a folder" if not root.is_dir() else "has neither"
    return InputError(
        f"results={str(root)!r} {there}: fine-tunings <source>_v10_start_<start>__<source>__<seed>_<epochs> in it "
        f"or in {MODELS}, or baselines <language>_<model>/test_result<number>.txt in it or in {BASELINES}", "results",
    )  # fmt: skip


def scan(models: Path) -> Listing:
    """Everything below NERTransfer's folder of models, in the order of names."""
    found = Listing()
    for path in entries(models):
        if path.name == ZERO_SHOT and path.is_dir():
            continue
        cell = parse_cell_name(path.name) if path.is_dir() else None
        if cell is None:
            found.unfit.append(Unfit(path.name, "not <source>_v10_start_<start>__<source>__<seed>_<epochs>"))
        elif _is_complete(path, path.name, CELL_FILES, found):
            found.cells[cell] = path
    zero_shot = models / ZERO_SHOT
    for path in entries(zero_shot) if zero_shot.is_dir() else []:
        name = f"{ZERO_SHOT}/{path.name}"
        parsed = parse_target_name(path.name) if path.is_dir() else None
        if parsed is None:
            found.unfit.append(Unfit(name, "not <target>_zero_shot_<fine-tuning>_<target>_<epochs>"))
        elif parsed[1] not in found.cells:
            found.unfit.append(Unfit(name, f"there is no complete fine-tuning {parsed[1].folder}"))
        elif _is_complete(path, name, TARGET_FILES, found):
            found.targets[parsed[1], parsed[0]] = path
    _drop_other_epochs(found)
    return found


def _is_complete(path: Path, name: str, needed: tuple[str, ...], found: Listing) -> bool:
    there = {entry.name: entry for entry in entries(path)}
    missing = [file for file in needed if file not in there or not there[file].is_file()]
    if missing:
        found.unfit.append(Unfit(name, f"no {', '.join(missing)}"))
        return False
    others = sorted(set(there) - set(needed) - _BESIDE)
    found.unfit += [Unfit(f"{name}/{other}", "not a result file") for other in others]
    return True


def _drop_other_epochs(found: Listing) -> None:
    """Two fine-tunings that differ in their epochs alone are one cell: the longer one counts, the other is listed."""
    places: dict[tuple[str, str, int], list[CellName]] = {}
    for cell in found.cells:
        places.setdefault((cell.source, cell.start, cell.seed), []).append(cell)
    for cells in places.values():
        kept = max(cells, key=lambda cell: cell.epochs)
        for cell in cells:
            if cell == kept:
                continue
            reason = f"the same fine-tuning is there with {kept.epochs} epochs"
            found.unfit.append(Unfit(found.cells.pop(cell).name, reason))
            for key in [key for key in found.targets if key[0] == cell]:
                found.unfit.append(Unfit(f"{ZERO_SHOT}/{found.targets.pop(key).name}", reason))


@dataclass(frozen=True, order=True)
class BaselineName:
    """One replicate of a model that was fine-tuned and scored on one language."""

    language: str
    model: str
    number: int


def scan_baselines(folder: Path) -> tuple[dict[BaselineName, Path], list[Unfit]]:
    """The result files of MasakhaNER 2.0's baselines, in the order of names, and what did not fit."""
    found: dict[BaselineName, Path] = {}
    unfit: list[Unfit] = []
    for path in entries(folder):
        name = _BASELINE.fullmatch(path.name) if path.is_dir() else None
        if name is None:
            unfit.append(Unfit(path.name, "not <language>_<model>"))
            continue
        numbers = 0
        for file in entries(path):
            replicate = _REPLICATE.fullmatch(file.name)
            if replicate and file.is_file():
                baseline = BaselineName(name["language"], name["model"], int(replicate["number"]))
                numbers += 1
                if baseline in found:
                    reason = f"the same replicate as {found[baseline].name}"
                    unfit.append(Unfit(f"{path.name}/{file.name}", reason))
                else:
                    found[baseline] = file
            elif not re.fullmatch(r"test_predictions?[0-9]*\.txt", file.name) and file.name not in _BESIDE:
                unfit.append(Unfit(f"{path.name}/{file.name}", "not test_result<number>.txt"))
        if not numbers:
            unfit.append(Unfit(path.name, "no test_result<number>.txt"))
    return found, unfit


def _is_baseline(path: Path) -> bool:
    return bool(
        path.is_dir()
        and _BASELINE.fullmatch(path.name)
        and any(_REPLICATE.fullmatch(file.name) for file in entries(path))
    )
