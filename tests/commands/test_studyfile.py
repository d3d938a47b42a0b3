"""Study files: texts as on a command line, and every error with file and line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project_scripts import ROOT

from nertransfer.commands import run as command
from nertransfer.commands import study_file
from nertransfer.core.commandline import build, parameters
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.core.options import RECIPES
from nertransfer.studies.planning import lay_out

KNOWN = [parameter.name for parameter in parameters(StudyConfig)]
SHIPPED = sorted(path.name for path in (ROOT / "studies").glob("*.yaml"))

Refused = Callable[..., str]


def never(config: StudyConfig) -> None:
    raise AssertionError("the study was begun")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """What `commandline.run` prints of a study file that it refuses, as one line with status 2."""

    def run(text: str | bytes, *arguments: str, main: Callable[[StudyConfig], Any] = never) -> str:
        Path("study.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SystemExit) as stopped:
            command.run(StudyConfig, main, "", ["--study_file", "study.yaml", *arguments])
        assert stopped.value.code == 2
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
        return printed.err.removeprefix("error: ").removesuffix("\n")

    return run


def texts(text: str) -> dict[str, str]:
    """The parameters that a study file gives."""
    Path("study.yaml").write_text(text, encoding="utf-8")
    return study_file.read(Path("study.yaml"), KNOWN).texts


def built(text: str, *arguments: str) -> StudyConfig:
    """The configuration that reaches an entry point."""
    Path("study.yaml").write_text(text, encoding="utf-8")
    seen: list[StudyConfig] = []
    command.run(StudyConfig, seen.append, "", ["--study_file", "study.yaml", *arguments])
    return seen[0]


# --- what it means -----------------------------------------------------------------------------------


def test_values_are_taken_as_they_are_written() -> None:
    assert texts("languages: [no, on, yes, null_]\nseeds: [0x1, 007]\nlearning_rate: 5e-5\nplan: True\n") == {
        "languages": "no,on,yes,null_", "seeds": "0x1,007", "learning_rate": "5e-5", "plan": "True",
    }  # fmt: skip
    assert built("sources: no\ntargets:\n- no\n- n\n").sources == ("no",)


def test_a_list_may_be_written_in_every_way() -> None:
    for text in ("seeds: [3, 1]", "seeds: 3,1", "seeds:\n  - 3\n  - 1\n", 'seeds: ["3", 1 ]', "seeds: '3, 1'"):
        assert built(text).seeds == (3, 1)


def test_keys_may_be_written_as_on_a_command_line() -> None:
    assert texts("few-shot-languages: swa\nseed: 1-3\nKeep_Weights: true\nrecipe: {batch-size: 4}\n") == {
        "few_shot_languages": "swa", "seeds": "1-3", "keep_weights": "true", "batch_size": "4",
    }  # fmt: skip
    assert texts("slurm:\n  memory-gb: 3\n  option: [qos=a]\n") == {"slurm_memory_gb": "3", "slurm_options": "qos=a"}
    assert built("seeds: [1-3, 7]\n").seeds == (1, 2, 3, 7)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("epochz: 3\n", "epochs"), ("recipe:\n  batchsize: 3\n", "batch_size"), ("languges: hau\n", "languages"),
        ("slurm:\n  minute_s: 1\n", "slurm_minutes"), ("executor: slrum\n", "slurm"), ("plan: yes\n", "true"),
    ],
)  # fmt: skip
def test_what_is_nearly_right_is_answered_with_what_is(refused: Refused, text: str, near: str) -> None:
    assert refused(text).endswith(f"; did you mean {near}?")


def test_a_recipe_may_be_a_name_or_a_mapping_with_and_without_one() -> None:
    assert built("recipe: published").recipe == RECIPES["published"]
    mapping = built("recipe:\n  name: published\n  epochs: 3\n").recipe
    assert mapping == build(StudyConfig, {"recipe": "published", "epochs": "3"}).recipe
    assert mapping.epochs == 3 and mapping.batch_size == RECIPES["published"].batch_size
    assert built("recipe: {epochs: 3}").recipe == build(StudyConfig, {"epochs": "3"}).recipe
    assert built("recipe: {name: published}\nepochs: 3\n").recipe == mapping


def test_what_a_slurm_mapping_holds_are_the_slurm_parameters() -> None:
    text = "slurm:\n  minutes: 7\n  options: [account=abc, qos=long]\nslurm_gpus: 0\n"
    assert texts(text) == {"slurm_minutes": "7", "slurm_options": "account=abc,qos=long", "slurm_gpus": "0"}
    slurm = built(text).slurm
    assert (slurm.slurm_minutes, slurm.slurm_options, slurm.slurm_gpus) == (7, ("account=abc", "qos=long"), 0)


def test_shell_lines_are_preserved() -> None:
    lines = "module load python, cuda\n\nif true; then\n  export A='b: c'  # kept\nfi\n"
    text = "slurm:\n  setup: |\n" + "".join(f"    {line}\n" if line else "\n" for line in lines.splitlines())
    assert built(text).slurm.slurm_setup == lines


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    Path("study.yaml").write_bytes("\ufeffdata: masakhaner\r\nseeds:\r\n- 1\r\n- 2\r\n".encode())
    found = study_file.read(Path("study.yaml"), KNOWN)
    assert found.texts == {"data": "masakhaner", "seeds": "1,2"}
    assert found.place("seeds", "2") == "study.yaml:4"


def test_places_are_those_of_the_item_then_of_the_parameter_then_nowhere() -> None:
    Path("study.yaml").write_text("# a comment\nsources:\n  - hau\n  - swa\ntargets: [hau,\n  yor]\nstarts: base,own\n")
    found = study_file.read(Path("study.yaml"), KNOWN)
    assert found.place("sources") == "study.yaml:2"
    assert found.place("sources", "swa") == "study.yaml:4"
    assert found.place("sources", "yor") == "study.yaml:2"
    assert found.place("targets", "yor") == "study.yaml:6"
    assert found.place("starts", "own") == "study.yaml:7"
    assert found.place("seeds") == found.place("seeds", "1") == ""


def test_the_command_line_goes_first() -> None:
    config = built("recipe:\n  epochs: 3\n  batch_size: 4\nseeds: [5]\n", "--epochs", "9", "--seeds", "1,2")
    assert (config.recipe.epochs, config.recipe.batch_size, config.seeds) == (9, 4, (1, 2))


def test_empty_values_of_a_command_line_do_not_beat_the_file() -> None:
    """As MLflow passes what was not given."""
    empty = [text for name in KNOWN if name != "study_file" for text in (f"--{name}", "")]
    assert built("recipe: published\nseeds: [5]\n", *empty, "--epochs", " ") == build(
        StudyConfig, {"recipe": "published", "seeds": "5", "study_file": "study.yaml"}
    )


# --- what is wrong with the file ---------------------------------------------------------------------

BAD_FILES: dict[str, tuple[str, str]] = {
    "unknown key": ("data: planted\nepochz: 3\n", "study.yaml:2: unknown key 'epochz': one of plan, data, "),
    "unknown key of the recipe": (
        "recipe:\n  name: published\n  epochz: 3\n", "study.yaml:3: unknown key 'recipe.epochz': one of ",
    ),
    "unknown key of slurm": ("slurm:\n  minutes: 3\n  hours: 1\n", "study.yaml:3: unknown key 'slurm.hours': one of "),
    "key of slurm outside of it": ("minutes: 3\n", "study.yaml:1: unknown key 'minutes': one of "),
    "parameter of the command line alone": ("study_file: b.yaml\n", "study.yaml:1: unknown key 'study_file': one of "),
    "key that is a list": ("seeds: 1\n? [a, b]\n: 3\n", "study.yaml:2: a key must be the name of a parameter"),
    "mapping where none is known": ("data:\n  a: b\n", "study.yaml:1: 'data' must be a value or a list of values"),
    "list of lists": ("seeds: 1\nsources: [[hau]]\n", "study.yaml:2: 'sources' must be a value or a list of values"),
    "repeated key": ("seeds: 1\ndata: planted\nseeds: 2\n", "study.yaml:3: 'seeds' stands here twice"),
    "repeated under another form": ("seeds: 1\nseed: 2\n", "study.yaml:2: 'seed' stands here twice"),
    "repeated by the recipe": ("epochs: 1\nrecipe:\n  epochs: 2\n", "study.yaml:3: 'recipe.epochs' stands here twice"),
    "repeated after slurm": (
        "slurm: {minutes: 3}\nslurm_minutes: 3\n", "study.yaml:2: 'slurm_minutes' stands here twice",
    ),
    "two recipes": ("recipe: {name: published}\nrecipe: planted\n", "study.yaml:2: 'recipe' stands here twice"),
    "empty list": ("data: planted\nseeds: []\n", "study.yaml:2: the list 'seeds' is empty; leave the key out"),
    "no value": ("data: planted\nseeds:\nplan: true\n", "study.yaml:2: 'seeds' has no value; leave the key out"),
    "null": ("data: planted\nstudy: null\n", "study.yaml:2: 'study' has no value; leave the key out"),
    "empty text": ("study: ''\n", "study.yaml:1: 'study' has no value; leave the key out"),
    "no value in the recipe": ("recipe:\n  epochs:\n", "study.yaml:2: 'recipe.epochs' has no value"),
    "item with a comma": (
        "sources:\n  - hau\n  - swa,yor\n", "study.yaml:3: 'swa,yor' cannot be an item of 'sources': no text or a ','",
    ),
    "empty item": ("sources:\n  - hau\n  -\n", "study.yaml:3: '' cannot be an item of 'sources': no text or a ','"),
    "list": ("- data: planted\n", "study.yaml:1: a study file is a mapping such as 'data: masakhaner'"),
    "text": ("masakhaner\n", "study.yaml:1: a study file is a mapping such as 'data: masakhaner'"),
    "nothing": ("", "study.yaml:1: a study file is a mapping such as 'data: masakhaner'"),
    "comments alone": ("# data: planted\n", "study.yaml:1: a study file is a mapping such as 'data: masakhaner'"),
    "bracket that is not closed": ("data: planted\nseeds: [1, 2\nplan: true\n", "study.yaml:3: not YAML: "),
    "bad indentation": ("data: planted\n  seeds: 1\n", "study.yaml:2: not YAML: "),
    "nested too deeply": ("seeds: " + "[" * 3000, "study.yaml: not a study file: it is nested too deeply"),
    "tab": ("recipe:\n\tepochs: 3\n", "study.yaml:2: not YAML: "),
    "two documents": ("data: planted\n---\ndata: masakhaner\n", "study.yaml:2: not YAML: "),
    "anchor that is missing": ("data: planted\nseeds: *mine\n", "study.yaml:2: not YAML: "),
    "character that YAML forbids": ("data: planted\nstudy: a\x01b\n", "study.yaml"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_cannot_be_meant_is_refused_with_its_line(refused: Refused, kind: str) -> None:
    text, message = BAD_FILES[kind]
    assert refused(text).startswith(message)


def test_a_file_that_is_not_utf8_is_refused(refused: Refused) -> None:
    message = refused("data: planted\nstudy: Größe\n".encode("latin-1"))
    assert message.startswith("study.yaml:") and "not UTF-8" in message


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    for name, reason in (
        ("none.yaml", "No such file or directory"),
        ("folder", "it is a folder; did you mean data=folder?"),
    ):
        with pytest.raises(SystemExit) as stopped:
            command.run(StudyConfig, never, "", ["--study_file", name])
        assert stopped.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: study_file={name!r} cannot be read: {reason}")


# --- what is wrong with a value ----------------------------------------------------------------------

BAD_VALUES: dict[str, tuple[str, str]] = {
    "wrong type": ("data: planted\nrecipe:\n  epochs: many\n", "study.yaml:3: epochs='many' is not a whole number"),
    "list for a number": ("epochs: [1, 2]\n", "study.yaml:1: epochs='1,2' is not a whole number"),
    "wrong type of an item": ("seeds:\n- 1\n- two\n", "study.yaml:3: seeds='two' is not a whole number"),
    "not a word for a boolean": ("\nplan: yes\n", "study.yaml:2: plan='yes' is not allowed: true or false"),
    "not a choice": ("\nexecutor: pbs\n", "study.yaml:2: executor='pbs' is not allowed: one of local, slurm, script"),
    "unknown recipe": ("\nrecipe: mine\n", "study.yaml:2: recipe='mine' is not allowed: one of published, planted"),
    "unknown recipe by name": ("recipe:\n  epochs: 1\n  name: mine\n", "study.yaml:3: recipe='mine' is not allowed"),
    "out of range": ("data: planted\nepochs: 0\n", "study.yaml:2: epochs=0 is not allowed: a whole number of at least"),
    "slurm out of range": ("slurm:\n  gpus: 1\n  cpus: 0\n", "study.yaml:3: slurm_cpus=0 is not allowed: a whole "),
    "slurm option": ("slurm:\n  options:\n  - qos=a\n  - --x=y\n", "study.yaml:4: slurm_options='--x=y' is not "),
    "repeated seed": ("seeds:\n- 1\n- 2\n- 1\n", "study.yaml:4: seeds='1,2,1' is not allowed: 1 is named twice"),
    "repeated source": ("sources: hau,hau\n", "study.yaml:1: sources='hau,hau' is not allowed: hau is named twice"),
    "seed out of range": ("data: planted\nseeds:\n- 1\n- -1\n", "study.yaml:4: seeds=-1 is not allowed: a whole"),
    "adapted": ("adapted:\n- hau=swa\n- yor\n", "study.yaml:3: adapted='yor' is not allowed: language=start"),
    "code of a language": ("languages:\n- hau\n- ../swa\n", "study.yaml:3: language '../swa' is not a "),
    "code in adapted": ("seeds: 1\nadapted: [a b=swa]\n", "study.yaml:2: language 'a b' is not a usable code"),
    "name of the study": ("seeds: 1\nstudy: a/b\n", "study.yaml:2: study='a/b' is not allowed: a name without '/'"),
    "store": ("seeds: 1\ntracking_uri: mlruns\n", "study.yaml:2: tracking_uri='mlruns' is not allowed: an http(s) "),
    "contradiction": ("gradient_accumulation: 5\nbatch_size: 32\n", "study.yaml:1: gradient_accumulation=5 is not "),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_a_value_that_is_not_allowed_is_refused_with_its_line(refused: Refused, kind: str) -> None:
    text, message = BAD_VALUES[kind]
    assert refused(text).startswith(message)


def test_a_value_of_the_command_line_is_not_blamed_on_the_file(refused: Refused) -> None:
    assert refused("recipe:\n  epochs: 3\n", "--epochs", "0") == "epochs=0 is not allowed: a whole number of at least 1"
    assert refused("sources:\n- hau\n", "--sources", "hau,xyz", main=lay_out).startswith("sources=hau is not in ")


BAD_GRIDS: dict[str, tuple[str, str]] = {
    "source": ("data: masakhaner\nsources:\n- hau\n- xyz\n- yor\n", "study.yaml:4: sources=xyz is not in the data"),
    "source in a row": ("data: masakhaner\nsources: [hau,\n  xyz,\n  yor]\n", "study.yaml:3: sources=xyz is not in"),
    "target": ("data: masakhaner\ntargets:\n- bam\n", "study.yaml:3: targets=bam is not in the data: one of amh, hau"),
    "pivot": ("data: masakhaner\npivots: [swa, bam]\n", "study.yaml:2: pivots=bam is not in the data: one of amh"),
    "language": ("languages:\n- hau\n- xyz\ndata: masakhaner\n", "study.yaml:3: languages=hau,xyz: masakhaner has no"),
    "data": ("seeds: 1\ndata: nowhere\n", "study.yaml:2: data='nowhere' does not exist"),
    "start": ("data: masakhaner\nstarts:\n- base\n- nowhere\n", "study.yaml:4: start 'nowhere' is unknown: one of"),
    "adapted": ("data: masakhaner\nadapted:\n- hau=nowhere\n", "study.yaml:3: start 'hau=nowhere' is unknown: one of "),
    "own": (
        "data: masakhaner2\nstarts:\n- base\n- own\n",
        "study.yaml:4: starts=own: no start is known that was adapted to bam",
    ),
    "own of a pivot": ("data: masakhaner2\npivots: [swa]\n", "study.yaml:2: starts=own: no start is known that was"),
    "starts of the same name": ("starts:\n- base\n- base=qka\n", "study.yaml:2: two starts are called 'base'; give"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("sources: [hau, swaa]", "swa"), ("sources: hau+yoruba", "yor"), ("targets: Swahili", "swa"),
        ("languages: [hua, swa]", "hau"), ("starts: [base, hasua]", "hau"), ("starts: afro=swahili", "swa"),
    ],
)  # fmt: skip
def test_a_language_or_start_that_is_nearly_right_is_answered_with_what_is(
    refused: Refused, text: str, near: str
) -> None:
    assert refused(f"data: masakhaner\n{text}\n", main=lay_out).endswith(f"did you mean {near}?")


@pytest.mark.parametrize("kind", BAD_GRIDS)
def test_a_grid_that_cannot_be_laid_out_is_refused_with_the_line_of_the_very_item(refused: Refused, kind: str) -> None:
    text, message = BAD_GRIDS[kind]
    assert refused(text, main=lay_out).startswith(message)


def test_the_error_tells_the_parameter_and_the_item() -> None:
    with pytest.raises(InputError, match="sources=xyz") as caught:
        lay_out(build(StudyConfig, {"data": "masakhaner", "sources": "hau,xyz"}))
    assert (caught.value.parameter, caught.value.item) == ("sources", "xyz")


# --- those that are shipped --------------------------------------------------------------------------


def shipped(name: str) -> StudyConfig:
    return build(StudyConfig, study_file.read(ROOT / "studies" / name, KNOWN).texts)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_study_files_can_be_laid_out(name: str) -> None:
    found = lay_out(shipped(name))
    assert found.pairs and found.seeds and found.targets


def test_the_three_studies_are_shipped() -> None:
    assert {"masakhaner.yaml", "masakhaner2.yaml", "planted.yaml"} <= set(SHIPPED)


def test_the_published_study_is_38_configurations_5_seeds_and_10_targets() -> None:
    config = shipped("masakhaner.yaml")
    found = lay_out(config)
    assert (len(found.pairs), found.seeds, len(found.targets)) == (38, [0, 1, 2, 3, 4], 10)
    assert found.texts == {name: name for name in ("base", *found.sources)}
    assert config.recipe == RECIPES["published"]
    assert (config.slurm.slurm_minutes, config.slurm.slurm_parallel) == (60, 32)
