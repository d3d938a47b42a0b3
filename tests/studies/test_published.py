"""Published result folders: what is read from them, and that everything else is named."""

import itertools
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_folders import target_folder
from tagged_sentences import published_results

from nertransfer.core.errors import InputError
from nertransfer.scoring.scores import Score
from nertransfer.studies.published import files as published_files
from nertransfer.studies.published.files import BaselineName, CellName, Predictions, Reported, Unfit

CELL = "hau_v10_start_base__hau__1_50"
TARGET = f"swa_zero_shot_{CELL}_swa_50"
NOT_A_CELL = "not <source>_v10_start_<start>__<source>__<seed>_<epochs>"
NOT_A_TARGET = "not <target>_zero_shot_<fine-tuning>_<target>_<epochs>"
LANGUAGES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,31}", fullmatch=True)
CELLS = st.builds(CellName, LANGUAGES, LANGUAGES, st.integers(0, 999_999_999), st.integers(1, 999_999))


# --- names -----------------------------------------------------------------------------------------


@given(cell=CELLS, target=LANGUAGES)
def test_names_are_read_as_they_are_written(cell: CellName, target: str) -> None:
    assert published_files.parse_cell_name(cell.folder) == cell
    assert published_files.parse_target_name(target_folder(cell, target)) == (target, cell)
    assert published_files.parse_cell_name(target_folder(cell, target)) is None
    assert published_files.parse_target_name(cell.folder) is None


@settings(max_examples=400)
@given(
    text=st.sampled_from([CELL, TARGET]),
    start=st.integers(0, 60),
    length=st.integers(0, 3),
    between=st.text(st.one_of(st.sampled_from("_0159-ahswub\n ٣"), st.characters(codec="utf-8")), max_size=3),
)
def test_a_changed_name_is_another_name_or_none(text: str, start: int, length: int, between: str) -> None:
    changed = text[:start] + between + text[start + length :]
    cell, target = published_files.parse_cell_name(changed), published_files.parse_target_name(changed)
    assert cell is None or cell.folder == changed
    assert target is None or target_folder(target[1], target[0]) == changed


@given(text=st.text())
def test_any_text_is_no_name(text: str) -> None:
    assert published_files.parse_cell_name(text) is None and published_files.parse_target_name(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", CELL + "\n", " " + CELL, CELL + "/", "../" + CELL, CELL + ".zip", CELL.upper(),
        "hau_v10_start_base__hau__01_50", "hau_v10_start_base__hau__1_050", "hau_v10_start_base__hau__1_0",
        "hau_v10_start_base__hau__-1_50", "hau_v10_start_base__hau__1_5e1", "hau_v10_start_base__hau__1",
        "hau_v10_start_base__hau__٣_50", "hau_v10_start_base__hau__1_５０",
        "hau_v10_start_base__wol__1_50", "hau_v10_start___hau__1_50", "hau_v10_start_my_base__hau__1_50",
        "häu_v10_start_base__häu__1_50", "hau_v11_start_base__hau__1_50", "hau_v10_start_base__hau__1234567890_50",
        "h" * 33 + "_v10_start_base__" + "h" * 33 + "__1_50",
    ],
)  # fmt: skip
def test_what_only_resembles_a_fine_tuning_is_none(text: str) -> None:
    assert published_files.parse_cell_name(text) is None
    assert published_files.parse_target_name(f"swa_zero_shot_{text}_swa_50") is None


@pytest.mark.parametrize(
    "text",
    [
        f"swa_zero_shot_{CELL}_wol_50", f"swa_zero_shot_{CELL}_swa_49", f"swa_zero_shot_{CELL}_swa_050",
        f"swa_zero_shot_{CELL}_swa", f"_zero_shot_{CELL}__50", f"swa_zero_shot_{CELL}_swa_50\n",
        f"swa_zero_shot_{TARGET}_swa_50", f"s_wa_zero_shot_{CELL}_s_wa_50",
    ],
)  # fmt: skip
def test_what_only_resembles_a_target_is_none(text: str) -> None:
    assert published_files.parse_target_name(text) is None


def test_a_target_name_says_which_model_was_scored() -> None:
    assert published_files.parse_target_name(TARGET) == ("swa", CellName("hau", "base", 1, 50))
    # every part but the numbers may look like another one
    odd = CellName("v10", "start", 0, 1)
    assert published_files.parse_target_name("v10_zero_shot_v10_v10_start_start__v10__0_1_v10_1") == ("v10", odd)


# --- result files ----------------------------------------------------------------------------------

# test_results.txt of hau_v10_start_base__hau__1_50, https://github.com/Michael-Beukman/NERTransfer
REPORT = """\
f1 = 0.8993630573248408
loss = 0.17303488879758294
precision = 0.8773819386909694
recall = 0.9224738675958188
report =               precision    recall  f1-score   support

        DATE       0.81      0.87      0.84       164
         LOC       0.94      0.95      0.94       512
         ORG       0.67      0.83      0.74       132
         PER       0.92      0.95      0.93       340

   micro avg       0.88      0.92      0.90      1148
   macro avg       0.83      0.90      0.86      1148
weighted avg       0.88      0.92      0.90      1148

"""
LINES = REPORT.split("\n")
READ = Reported(
    f1=0.8993630573248408,
    precision=0.8773819386909694,
    recall=0.9224738675958188,
    loss=0.17303488879758294,
    categories={
        "DATE": Score(0.81, 0.87, 0.84, 164),
        "LOC": Score(0.94, 0.95, 0.94, 512),
        "ORG": Score(0.67, 0.83, 0.74, 132),
        "PER": Score(0.92, 0.95, 0.93, 340),
    },
    decimals=2,
)


def test_a_result_file_is_read_to_the_last_digit(shared_data: Path) -> None:
    assert published_files.parse_results(REPORT, "here") == READ
    folder = shared_data / "published_sample" / published_files.MODELS / CELL
    assert (folder / "test_results.txt").read_text() == REPORT


def test_every_result_file_of_the_sample_says_what_a_search_finds(shared_data: Path) -> None:
    files = sorted((shared_data / "published_sample").rglob("*_results.txt"))
    assert len(files) == 250
    for path in files:
        text = path.read_text(encoding="utf-8")
        found = published_files.parse_results(text, path)
        head = dict(re.findall(r"^(\w+) = ([0-9.e-]+)$", text, re.M))
        assert {name: repr(getattr(found, name)) for name in head} == head and len(head) == 4
        rows = re.findall(r"^ *([A-Z]+) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+)$", text, re.M)
        shown = [
            (name, f"{c.precision:.2f}", f"{c.recall:.2f}", f"{c.f1:.2f}", str(c.support))
            for name, c in found.categories.items()
        ]
        assert shown == rows and len(rows) == 4 and found.decimals == 2


def test_line_ends_and_empty_lines_do_not_matter() -> None:
    assert published_files.parse_results(REPORT.replace("\n", "\r\n"), "here") == READ
    assert published_files.parse_results("\n \n" + REPORT.replace("\n", "\n\n") + "\t\n", "here") == READ
    assert published_files.parse_results(REPORT.strip(), "here") == READ


def test_what_is_not_a_number_is_read_and_leaves_the_precision() -> None:
    text = REPORT.replace("loss = 0.17303488879758294", "loss = nan").replace("f1 = 0.8993630573248408", "f1 = nan")
    text = text.replace("0.92      0.95      0.93       340", " nan       nan       nan         0")
    found = published_files.parse_results(text, "here")
    per = found.categories["PER"]
    assert all(value != value for value in (found.f1, found.loss, per.precision, per.recall, per.f1))
    assert per.support == 0 and found.precision == READ.precision
    assert found.decimals == 2


def test_the_printed_precision_is_that_of_the_most_exact_value() -> None:
    text = REPORT.replace("0.81      0.87      0.84", "0.8112    0.87      0.8432")
    found = published_files.parse_results(text, "here")
    assert found.decimals == 4 and found.categories["DATE"].f1 == 0.8432
    empty = "\n".join(line for line in LINES if not re.match(" +[A-Z]+ ", line))
    assert published_files.parse_results(empty, "here").categories == {}
    nothing = re.sub(r"( +[A-Z]+ ).*", r"\1 nan nan nan 0", REPORT)
    assert published_files.parse_results(nothing, "here").decimals == 2


def test_a_small_number_may_have_an_exponent() -> None:
    text = REPORT.replace("f1 = 0.8993630573248408", "f1 = 9.5e-05")
    assert published_files.parse_results(text, "here").f1 == 9.5e-05


@pytest.mark.parametrize("number", [i for i, line in enumerate(LINES, start=1) if line])
def test_no_line_may_stand_twice(number: int) -> None:
    text = "\n".join([*LINES[:number], LINES[number - 1], *LINES[number:]])
    with pytest.raises(InputError, match=rf"^some/results\.txt:{number + 1}: .* does not belong in a result file"):
        published_files.parse_results(text, "some/results.txt")


@pytest.mark.parametrize("number", [1, 5, 6, 9, 12, 15, len(LINES)])
@pytest.mark.parametrize(
    "line",
    [
        "garbage", "accuracy = 0.5", "epoch: 50", "PER 0.1 0.2 0.3", "PER 0.1 0.2 0.3 4 5", "PER -0.1 0.2 0.3 4",
        "PER 0.1 0.2 0.3 4.0", "PER inf 0.2 0.3 4", "PER 10% 0.2 0.3 4", "micro avg 0.1 0.2 0.3", "\ufefff1 = 0.5",
    ],
)  # fmt: skip
def test_a_stray_line_is_named_wherever_it_stands(line: str, number: int) -> None:
    text = "\n".join([*LINES[: number - 1], line, *LINES[number - 1 :]])
    with pytest.raises(InputError) as caught:
        published_files.parse_results(text, "some/results.txt")
    assert str(caught.value) == f"some/results.txt:{number}: {line!r} does not belong in a result file"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("f1 = 0.5", 6),  # values stand before the report
        ("MISC 0.1 0.2 0.3 4", 2),  # categories stand in it
        ("MISC 0.1 0.2 0.3 4", 13),  # and before its averages
        ("MISC 0.1 0.2 0.3 4", len(LINES)),
        ("micro avg 0.1 0.2 0.3 4", 5),
    ],
)
def test_a_line_belongs_in_its_place(line: str, number: int) -> None:
    text = "\n".join([*LINES[: number - 1], line, *LINES[number - 1 :]])
    with pytest.raises(InputError, match=rf"^here:{number}: '{line}' does not belong in a result file$"):
        published_files.parse_results(text, "here")


def test_a_value_behind_the_report_does_not_count() -> None:
    text = "\n".join([LINES[0], *LINES[2:-1], LINES[1]])
    with pytest.raises(InputError, match=rf"^here:{len(LINES) - 1}: 'loss = .*' does not belong in a result file$"):
        published_files.parse_results(text, "here")


@pytest.mark.parametrize("value", ["high", "-0.5", "inf", "0,5", "0.5.5", ".5", "5%", "0.5 0.6", "", "٣"])
def test_a_value_that_is_no_number_is_named(value: str) -> None:
    text = REPORT.replace("f1 = 0.8993630573248408", f"f1 = {value}")
    with pytest.raises(InputError, match=r"^here:1: 'f1 =.*' does not belong in a result file$"):
        published_files.parse_results(text, "here")


@pytest.mark.parametrize("name", ["ALL", "<script>", "PE/R", "a,b", "../up", "PÉR", "samples avg", "avg avg", "'"])
def test_a_category_must_be_able_to_name_one(name: str) -> None:
    with pytest.raises(InputError) as caught:
        published_files.parse_results(REPORT.replace("LOC", name), "here")
    assert str(caught.value) == f"here:8: {name!r} cannot name a category"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "f1, loss, precision, recall"),
        ("\n".join(LINES[4:]), "f1, loss, precision, recall"),
        ("\n".join([LINES[0], *LINES[2:]]), "loss"),
        ("\n".join(LINES[:4]), "report"),
    ],
)
def test_what_is_missing_is_named(text: str, missing: str) -> None:
    with pytest.raises(InputError) as caught:
        published_files.parse_results(text, "here")
    assert str(caught.value) == f"here: no {missing}; a result file has f1, loss, precision, recall, report"


# --- prediction files ------------------------------------------------------------------------------


def sentences_of(found: Predictions) -> list[list[tuple[str, str]]]:
    firsts = [0, *found.sentence_ends]
    assert len(found.words) == len(found.tags) == firsts[-1]
    pairs = list(zip(found.words, found.tags, strict=True))
    return [pairs[first:end] for first, end in zip(firsts, found.sentence_ends, strict=False)]


def columns_of(path: Path) -> tuple[list[str], list[str], list[int]]:
    """First and second column of a whole file and the ends of its sentences; deliberately not the project's reader."""
    text = path.read_text(encoding="utf-8").strip("\n")
    columns = text.replace("\n\n", "\n").replace("\n", " ").split(" ")
    lengths = [sentence.count("\n") + 1 for sentence in text.split("\n\n")]
    return columns[::2], columns[1::2], list(itertools.accumulate(lengths))


def test_every_prediction_file_of_the_sample_has_the_words_of_the_corpus(shared_data: Path) -> None:
    gold = {
        language: columns_of(shared_data / "masakhaner" / language / "test.txt") for language in ("hau", "swa", "wol")
    }
    results = published_results(shared_data)
    assert len(results) == 200
    for folder, language in results:
        path = folder / "test_predictions.txt"
        found = published_files.read_predictions(path)
        assert (found.words, found.tags, found.sentence_ends) == columns_of(path), folder.name
        assert (found.words, found.sentence_ends) == gold[language][::2], folder.name


def read(text: str, folder: Path) -> list[list[tuple[str, str]]]:
    path = folder / "predictions.txt"
    path.write_bytes(text.encode())
    return sentences_of(published_files.read_predictions(path))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("\n\r\n\n", []),
        ("a O\nb B-PER\n\nc O\n\n", [[("a", "O"), ("b", "B-PER")], [("c", "O")]]),
        ("\n\na O\n\n\n\nb O", [[("a", "O")], [("b", "O")]]),
        ("a O\r\n\r\nb O\r\n", [[("a", "O")], [("b", "O")]]),
        ("a\tO\nb O\n", [[("a", "O"), ("b", "O")]]),
        (" O\n\tI-LOC\n", [[("", "O"), ("", "I-LOC")]]),
        ("a\u00a0b O\n\u0085 O\nc\u2028d\u2029e O\n", [[("a\u00a0b", "O"), ("\u0085", "O"), ("c\u2028d\u2029e", "O")]]),
        ("\u3000 O\n\x0b\x0c\x1c O\na\rb O\n", [[("\u3000", "O"), ("\x0b\x0c\x1c", "O"), ("a\rb", "O")]]),
        ("O O\n-DOCSTART- O\n", [[("O", "O"), ("-DOCSTART-", "O")]]),
    ],
)
def test_words_are_read_as_they_stand(text: str, sentences: list[list[tuple[str, str]]], tmp_path: Path) -> None:
    assert read(text, tmp_path) == sentences


WORDS = st.text(st.characters(codec="utf-8", exclude_characters=" \t\n\r"), max_size=4)
SENTENCE = st.lists(st.tuples(WORDS, st.sampled_from(["O", "B-PER", "I-PER", "B-a.b_c-d"])), min_size=1, max_size=4)


@settings(max_examples=150, deadline=None)
@given(sentences=st.lists(SENTENCE, max_size=4), data=st.data())
def test_any_words_come_back(sentences: list[list[tuple[str, str]]], data: st.DataObject) -> None:
    end, separator = data.draw(st.sampled_from(["\n", "\r\n"])), data.draw(st.sampled_from([" ", "\t"]))
    blocks = [end.join(word + separator + tag for word, tag in sentence) for sentence in sentences]
    gaps = [end * data.draw(st.integers(2, 4)) for _ in blocks[1:]]
    text = "".join(part for pair in zip(["", *gaps], blocks, strict=False) for part in pair)
    with tempfile.TemporaryDirectory() as folder:
        assert read(text + end * data.draw(st.integers(0, 3)), Path(folder)) == sentences


@pytest.mark.parametrize(
    "line",
    [
        "word", "word ", "word O O", "word  O", "a b\tO", "a\tb O", "a\tb\tO", "word\tO ", " ", "\t", "  ", "  O",
        "word\u00a0O", "word\u2028O", "word\u0085O",
    ],
)  # fmt: skip
def test_a_line_without_exactly_one_separator_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(f"a O\n\n{line}\nb O\n", tmp_path)
    wanted = f"{tmp_path / 'predictions.txt'}:3: {line!r} is not a word, one space and a tag"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("tag", ["o", "B-", "E-PER", "PER", "B-ALL", "I-a/b", "B-PÉR", "O\u00a0", "O\r", "0.93"])
def test_a_tag_that_is_not_iob2_is_named(tag: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(f"a O\nb B-PER\n\nc {tag}\r\n", tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'predictions.txt'}:4: tag {tag!r} is not O, B-<category>")


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    (tmp_path / "predictions.txt").write_bytes("a O\nb\xff O\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"predictions\.txt:2: not UTF-8"):
        published_files.read_predictions(tmp_path / "predictions.txt")


def test_a_report_that_was_cut_off_and_scores_in_percent_are_refused(shared_data: Path) -> None:
    path = shared_data / "published_sample" / published_files.MODELS / CELL / "test_results.txt"
    text = path.read_text()
    for end in ("         PER", "   micro avg", "   macro avg"):
        with pytest.raises(InputError, match="was the file cut off"):
            published_files.parse_results(text[: text.index(end)], "results.txt")
    percent = text.replace("f1 = 0.", "f1 = 89.")
    with pytest.raises(InputError, match=r"results\.txt:1: 89\.\d+ is not a fraction of 1"):
        published_files.parse_results(percent, "results.txt")
    for column in ("0.92 ", "0.95 ", "0.93 "):
        row = next(line for line in LINES if " PER " in line)
        with pytest.raises(InputError, match=r"^results\.txt:10: 95 is not a fraction of 1"):
            published_files.parse_results(REPORT.replace(row, row.replace(column, "95 ")), "results.txt")
    older = "\n".join(line for line in LINES if not line.startswith("weighted avg"))
    assert published_files.parse_results(older, "results.txt") == READ


# --- where a fine-tuning began ---------------------------------------------------------------------


def test_the_start_of_a_fine_tuning_is_what_its_configuration_says(shared_data: Path, tmp_path: Path) -> None:
    assert (
        published_files.read_start(shared_data / "published_sample" / published_files.MODELS / CELL)
        == "xlm-roberta-base"
    )
    assert published_files.read_start(tmp_path) == ""
    for text in ("", "{", "[]", "{}", '{"_name_or_path": null}', '{"_name_or_path": ["a"]}', "\xff"):
        (tmp_path / "config.json").write_text(text, encoding="latin-1")
        assert published_files.read_start(tmp_path) == "", text


# --- folders ---------------------------------------------------------------------------------------


def make(folder: Path, *files: str) -> Path:
    """A folder with these files; a name that ends in ``/`` is a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_text("")
    return folder


def test_the_sample_is_listed_whole(shared_data: Path) -> None:
    root = shared_data / "published_sample"
    models = published_files.find_models(root)
    assert models == root / "src" / "runs" / "v10" / "models"
    found = published_files.scan(models)
    pairs = [("base", "hau"), ("hau", "hau"), ("swa", "hau"), ("base", "swa"), ("hau", "swa"), ("swa", "swa"),
             ("wol", "swa"), ("base", "wol"), ("swa", "wol"), ("wol", "wol")]  # fmt: skip
    cells = [CellName(source, start, seed, 50) for start, source in pairs for seed in range(5)]
    assert list(found.cells) == cells
    assert found.unfit == []
    assert set(found.targets) == {(cell, target) for cell in cells for target in ("hau", "swa", "wol")}
    assert [path.name for path in found.targets.values()] == sorted(path.name for path in (models / "v20").iterdir())
    for cell, path in found.cells.items():
        assert path == models / f"{cell.source}_v10_start_{cell.start}__{cell.source}__{cell.seed}_50"
    for (cell, target), path in found.targets.items():
        assert path.name.startswith(f"{target}_zero_shot_{cell.folder}_{target}_")


def test_models_are_found_from_the_checkout_or_from_their_own_folder(tmp_path: Path) -> None:
    models = make(tmp_path / "src" / "runs" / "v10" / "models")
    assert published_files.find_models(tmp_path) is None  # nothing in it
    make(models / "v20" / TARGET, *published_files.TARGET_FILES)
    assert published_files.find_models(tmp_path) is None
    make(models, "hau_v10_start_base__hau__2_50")  # a file
    assert published_files.find_models(tmp_path) is None
    make(models / CELL)
    assert published_files.find_models(tmp_path) == published_files.find_models(models) == models
    assert published_files.find_models(models / "v20") is None
    assert published_files.find_models(models / CELL) is None
    assert published_files.find_models(tmp_path / "absent") is None
    make(tmp_path, "file")
    assert published_files.find_models(tmp_path / "file") is None


def test_nothing_found_says_what_was_looked_for(tmp_path: Path) -> None:
    there, absent = published_files.nothing_found(tmp_path), published_files.nothing_found(tmp_path / "absent")
    assert str(there).startswith(f"results={str(tmp_path)!r} has neither: ")
    assert str(absent).startswith(f"results={str(tmp_path / 'absent')!r} is not a folder: ")
    for error in (there, absent):
        assert error.parameter == "results"
        for part in (
            "<source>_v10_start_<start>__<source>__<seed>_<epochs>", "src/runs/v10/models",
            "<language>_<model>/test_result<number>.txt", "MasakhaNER2.0/baseline_models_results",
        ):  # fmt: skip
            assert part in str(error)


def test_everything_unfit_is_listed_with_its_reason(tmp_path: Path) -> None:
    whole, part = published_files.CELL_FILES, published_files.TARGET_FILES
    cell, longer, shorter = CellName("hau", "base", 1, 50), CellName("wol", "swa", 0, 50), CellName("wol", "swa", 0, 8)
    make(tmp_path, "Icon", ".DS_Store", "hau_v10_start_base__hau__2_50")  # the last is a file
    make(tmp_path / cell.folder, *whole, "config.json", ".DS_Store", "checkpoint/")
    for name in (longer, shorter):
        make(tmp_path / name.folder, *whole)
        make(tmp_path / "v20" / target_folder(name, "swa"), *part)
    make(tmp_path / "swa_v10_start_base__swa__1_50", "test_results.txt", "config.json", "eval_results.txt/")
    make(tmp_path / "notes")
    make(tmp_path / "v20", "Icon", target_folder(cell, "amh"))
    make(tmp_path / "v20" / TARGET, *part, "eval_results.txt")
    make(tmp_path / "v20" / target_folder(cell, "hau"), "test_results.txt")
    make(tmp_path / "v20" / target_folder(CellName("hau", "base", 9, 50), "hau"), *part)
    make(tmp_path / "v20" / target_folder(CellName("swa", "base", 1, 50), "hau"), *part)
    make(tmp_path / "v20" / CELL, *whole)
    found = published_files.scan(tmp_path)
    assert found.cells == {cell: tmp_path / CELL, longer: tmp_path / longer.folder}
    assert found.targets == {
        (cell, "swa"): tmp_path / "v20" / TARGET,
        (longer, "swa"): tmp_path / "v20" / target_folder(longer, "swa"),
    }
    assert sorted(found.unfit, key=lambda one: one.path) == sorted(
        [
            Unfit(".DS_Store", NOT_A_CELL),
            Unfit("Icon", NOT_A_CELL),
            Unfit("hau_v10_start_base__hau__2_50", NOT_A_CELL),
            Unfit("notes", NOT_A_CELL),
            Unfit(f"{CELL}/.DS_Store", "not a result file"),
            Unfit(f"{CELL}/checkpoint", "not a result file"),
            Unfit("swa_v10_start_base__swa__1_50", "no eval_results.txt, test_predictions.txt"),
            Unfit("wol_v10_start_swa__wol__0_8", "the same fine-tuning is there with 50 epochs"),
            Unfit("v20/Icon", NOT_A_TARGET),
            Unfit(f"v20/amh_zero_shot_{CELL}_amh_50", NOT_A_TARGET),  # a file
            Unfit(f"v20/{CELL}", NOT_A_TARGET),
            Unfit(f"v20/{TARGET}/eval_results.txt", "not a result file"),
            Unfit(f"v20/hau_zero_shot_{CELL}_hau_50", "no test_predictions.txt"),
            Unfit(
                "v20/hau_zero_shot_hau_v10_start_base__hau__9_50_hau_50",
                "there is no complete fine-tuning hau_v10_start_base__hau__9_50",
            ),
            Unfit(
                "v20/hau_zero_shot_swa_v10_start_base__swa__1_50_hau_50",
                "there is no complete fine-tuning swa_v10_start_base__swa__1_50",
            ),
            Unfit(
                "v20/swa_zero_shot_wol_v10_start_swa__wol__0_8_swa_8", "the same fine-tuning is there with 50 epochs"
            ),
        ],
        key=lambda one: one.path,
    )


def test_a_shorter_fine_tuning_counts_where_the_longer_one_is_incomplete(tmp_path: Path) -> None:
    make(tmp_path / "hau_v10_start_base__hau__1_50", "test_results.txt")
    make(tmp_path / "hau_v10_start_base__hau__1_8", *published_files.CELL_FILES)
    found = published_files.scan(tmp_path)
    assert list(found.cells) == [CellName("hau", "base", 1, 8)]
    assert [one.path for one in found.unfit] == ["hau_v10_start_base__hau__1_50"]


NAMES = [CELL, "hau_v10_start_base__hau__1_8", "hau_v10_start_swa__hau__0_50", "v20", "Icon", "hau_v10_start_", TARGET]
CELL_PARTS = [target_folder(CellName("hau", s, n, e), t) for s, n, e in
              (("base", 1, 50), ("base", 1, 8), ("swa", 0, 50), ("wol", 3, 50)) for t in ("hau", "swa")]  # fmt: skip
FILES = st.sets(st.sampled_from([*published_files.CELL_FILES, "config.json", ".DS_Store", "optimizer.pt"]))
MOST = st.one_of(st.just({*published_files.CELL_FILES, "config.json"}), FILES)
ENTRY = st.one_of(st.none(), MOST)
"""What lies under a name: a file, or a folder with these files."""


@settings(max_examples=80, deadline=None)
@given(
    tree=st.dictionaries(st.sampled_from(NAMES), ENTRY, max_size=6),
    below=st.dictionaries(st.sampled_from([*CELL_PARTS, "Icon", CELL]), ENTRY, max_size=6),
)
def test_nothing_is_passed_over_in_silence(tree: dict[str, set[str] | None], below: dict[str, set[str] | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        if "v20" not in tree:
            tree |= {f"v20/{name}": files for name, files in below.items()}
        for name, files in tree.items():
            if files is None:
                make((models / name).parent, Path(name).name)
            else:
                make(models / name, *files)
        found = published_files.scan(models)
        kept = {str(path.relative_to(models)) for path in [*found.cells.values(), *found.targets.values()]}
        whole = {str(path.relative_to(models)): published_files.CELL_FILES for path in found.cells.values()}
        whole |= {str(path.relative_to(models)): published_files.TARGET_FILES for path in found.targets.values()}
        entries = {name for name in tree if name != "v20"} | ({"v20"} if tree.get("v20", set()) is None else set())
        if isinstance(tree.get("v20"), set):
            entries |= {f"v20/{name}" for name in tree["v20"] or ()}
        unfit = [one.path for one in found.unfit]
        assert len(unfit) == len(set(unfit)) and not kept & set(unfit)
        assert entries <= kept | set(unfit)
        # of the folders that are used, every file is read, a configuration, or listed
        for name, needed in whole.items():
            assert {*needed} <= {path.name for path in (models / name).iterdir()}
            others = {path.name for path in (models / name).iterdir()} - {*needed, "config.json"}
            assert {f"{name}/{other}" for other in others} <= set(unfit)
        assert all((models / path).exists() for path in unfit)
        places = [(cell.source, cell.start, cell.seed) for cell in found.cells]
        assert len(places) == len(set(places)) and {cell for cell, _ in found.targets} <= set(found.cells)


# --- MasakhaNER 2.0's baselines --------------------------------------------------------------------


def test_baselines_are_found_and_listed_by_replicate(tmp_path: Path) -> None:
    # names as in https://github.com/masakhane-io/masakhane-ner, MasakhaNER2.0/baseline_models_results
    folder = make(tmp_path / "MasakhaNER2.0" / "baseline_models_results", "README.md", "nothing_file")
    assert published_files.find_baselines(tmp_path) is None
    files = ["test_result1.txt", "test_predictions1.txt", "test_result10.txt", "test_predictions10.txt"]
    make(folder / "bam_afriberta", *files, "test_result2.txt", "eval_results.txt", "config.json")
    make(folder / "zul_xlmr-large_v2.0", "test_results3.txt", "test_prediction3.txt", "test_result.txt")
    make(folder / "swa_empty", "test_predictions1.txt")
    make(folder / "swa_folder", "test_result1.txt/")
    make(folder / "plain")
    make(folder / "_model", "test_result1.txt")
    for root in (tmp_path, tmp_path / "MasakhaNER2.0", folder):
        assert published_files.find_baselines(root) == folder
    assert published_files.find_baselines(folder / "bam_afriberta") is None
    found, unfit = published_files.scan_baselines(folder)
    assert found == {
        BaselineName("bam", "afriberta", 1): folder / "bam_afriberta" / "test_result1.txt",
        BaselineName("bam", "afriberta", 2): folder / "bam_afriberta" / "test_result2.txt",
        BaselineName("bam", "afriberta", 10): folder / "bam_afriberta" / "test_result10.txt",
        BaselineName("zul", "xlmr-large_v2.0", 3): folder / "zul_xlmr-large_v2.0" / "test_results3.txt",
    }
    assert sorted(unfit, key=lambda one: one.path) == [
        Unfit("README.md", "not <language>_<model>"),
        Unfit("_model", "not <language>_<model>"),
        Unfit("bam_afriberta/eval_results.txt", "not test_result<number>.txt"),
        Unfit("nothing_file", "not <language>_<model>"),
        Unfit("plain", "not <language>_<model>"),
        Unfit("swa_empty", "no test_result<number>.txt"),
        Unfit("swa_folder", "no test_result<number>.txt"),
        Unfit("swa_folder/test_result1.txt", "not test_result<number>.txt"),
        Unfit("zul_xlmr-large_v2.0/test_result.txt", "not test_result<number>.txt"),
    ]


def test_two_files_of_one_replicate_are_not_mixed_up(tmp_path: Path) -> None:
    make(tmp_path / "bam_mbert", "test_result1.txt", "test_results1.txt", "test_result01.txt")
    found, unfit = published_files.scan_baselines(tmp_path)
    assert found == {BaselineName("bam", "mbert", 1): tmp_path / "bam_mbert" / "test_result01.txt"}
    assert unfit == [
        Unfit(f"bam_mbert/{name}", "the same replicate as test_result01.txt")
        for name in ("test_result1.txt", "test_results1.txt")
    ]
