"""What people type on a command line: every way to write a parameter, and what is said of a wrong name."""

import typing
from pathlib import Path

import pytest
from project_scripts import MAKE

from nertransfer.commands import run
from nertransfer.core import commandline, config, options
from nertransfer.core.commandline import HELP, VERSION, build, given, parameters
from nertransfer.core.errors import InputError
from nertransfer.core.text import called, did_you_mean

STUDY, TRAIN, PREDICT = config.StudyConfig, config.TrainConfig, config.PredictConfig
CONFIGURATIONS = tuple(dict.fromkeys(configuration for _, configuration in MAKE.ENTRY_POINTS.values()))

TYPED: list[tuple[type, str, dict[str, str]]] = [
    (STUDY, "--study-file a.yaml", {"study_file": "a.yaml"}),
    (STUDY, "--study-file=a.yaml", {"study_file": "a.yaml"}),
    (STUDY, "study-file=a.yaml", {"study_file": "a.yaml"}),
    (STUDY, "--Study_File a.yaml", {"study_file": "a.yaml"}),
    (STUDY, "a.yaml", {"study_file": "a.yaml"}),
    (STUDY, "a.yaml --plan", {"study_file": "a.yaml", "plan": "true"}),
    (STUDY, "--plan a.yaml", {"study_file": "a.yaml", "plan": "true"}),
    (STUDY, "--plan true a.yaml", {"study_file": "a.yaml", "plan": "true"}),
    (STUDY, "--plan --seeds 1-3", {"plan": "true", "seeds": "1-3"}),
    (STUDY, "--plan seeds=1", {"plan": "true", "seeds": "1"}),
    (STUDY, "--plan False --seeds 1", {"plan": "False", "seeds": "1"}),
    (STUDY, "plan=true data=mine", {"plan": "true", "data": "mine"}),
    (STUDY, "-P plan=true -P data=mine", {"plan": "true", "data": "mine"}),
    (STUDY, "--data mine --seed 1,2", {"data": "mine", "seeds": "1,2"}),
    (STUDY, "--few-shot-language swa", {"few_shot_languages": "swa"}),
    (STUDY, "--slurm-option account=abc", {"slurm_options": "account=abc"}),
    (STUDY, "--starts mine=folder", {"starts": "mine=folder"}),
    (STUDY, "-seeds 1", {"seeds": "1"}),
    (STUDY, "--seeds 1 --seeds 2", {"seeds": "2"}),
    (TRAIN, "--source hau --epoch 3", {"source": "hau", "epochs": "3"}),
    (TRAIN, "source=hau --targets=hau,swa", {"source": "hau", "targets": "hau,swa"}),
    (TRAIN, "--source hau --seeds 7", {"source": "hau", "seed": "7"}),
    (TRAIN, "--compile --source hau", {"compile": "true", "source": "hau"}),
    (TRAIN, "--checkpoint_minutes -1 --source hau", {"checkpoint_minutes": "-1", "source": "hau"}),
    (TRAIN, "--learning-rate -1e-5", {"learning_rate": "-1e-5"}),
    (PREDICT, "news.txt", {"input": "news.txt"}),
    (PREDICT, "- --language hau", {"input": "-", "language": "hau"}),
    (PREDICT, "language=hau news.txt", {"language": "hau", "input": "news.txt"}),
    (config.DataConfig, "mydata", {"data": "mydata"}),
    (config.EvaluateConfig, "models:/ner-hau@champion", {"model": "models:/ner-hau@champion"}),
    (config.RankConfig, "zul --text zulu.txt", {"target": "zul", "text": "zulu.txt"}),
    (config.AnalyseConfig, "mystudy", {"study": "mystudy"}),
    (config.RollbackConfig, "hau --version 3", {"language": "hau", "version": "3"}),
]  # fmt: skip


@pytest.mark.parametrize(("configuration", "line", "expected"), TYPED, ids=[line for _, line, _ in TYPED])
def test_a_parameter_may_be_written_in_every_way(configuration: type, line: str, expected: dict[str, str]) -> None:
    assert given(configuration, line.split()).texts == expected


def test_a_value_without_a_name_may_be_a_text() -> None:
    for text in ("Aisha ta tafi Lagos", "- in Kano", "x = 3", "2+2=4", "a\nb=c"):
        assert given(PREDICT, [text]).texts == {"input": text}


WRONG: list[tuple[type, str, str]] = [
    (STUDY, "--epochz 3", "unknown parameter --epochz; did you mean --epochs? --help lists the parameters"),
    (STUDY, "--epoc 3", "unknown parameter --epoc; did you mean --epochs? --help lists the parameters"),
    (STUDY, "--work 3", "unknown parameter --work; did you mean --workers? --help lists the parameters"),
    (STUDY, "--study-fil a.yaml", "unknown parameter --study-fil; did you mean --study_file?"),
    (STUDY, "-plam", "unknown parameter -plam; did you mean --plan?"),
    (STUDY, "sseeds=3", "unknown parameter sseeds; did you mean seeds?"),
    (STUDY, "--qqq 3", "unknown parameter --qqq; --help lists the parameters"),
    (STUDY, "a.yaml b.yaml", "'b.yaml' is one value too many: study_file is 'a.yaml'"),
    (STUDY, "--seeds --plan", "seeds has no value: write seeds=<value>"),
    (STUDY, "--seeds", "seeds has no value: write seeds=<value>"),
    (STUDY, "a.yaml --study-file b.yaml", "study_file is given twice: 'a.yaml' and 'b.yaml'"),
    (STUDY, "--study-file b.yaml a.yaml", "study_file is given twice: 'a.yaml' and 'b.yaml'"),
    (TRAIN, "hau", "'hau' needs a parameter: write <parameter>=hau; --help lists the parameters"),
    (TRAIN, "x=3", "unknown parameter x; --help lists the parameters"),
    (PREDICT, "Aisha ta tafi", "'ta' is one value too many: input is 'Aisha'; put a text with spaces into quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("configuration", "line", "message"), WRONG, ids=[line for _, line, _ in WRONG])
def test_a_wrong_name_is_answered_with_the_one_that_is_near(configuration: type, line: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        given(configuration, line.split())
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_no_name_is_taken_for_another_parameter(configuration: type) -> None:
    names = [p.name for p in parameters(configuration)]
    for name in names:
        assert called(name, names) == name
        for cut in range(1, len(name) - 1):
            short = name[:cut]
            assert called(short, names) in (None, short, f"{short}s"), "an abbreviation is nobody's name"


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_value_without_a_name_has_a_parameter_that_exists(configuration: type) -> None:
    positional = getattr(configuration, "POSITIONAL", "")
    names = {p.name: p for p in parameters(configuration)}
    assert not positional or names[positional].annotation in (str, options.Text)
    others = [p.name for p in names.values() if p.text is None and p.name != positional]
    assert not positional or not others, f"a value could be meant for {others}"


@pytest.mark.parametrize(("word", "asked"), [("-h", HELP), ("--help", HELP), ("--version", VERSION)])
def test_help_and_version_are_asked_for_wherever_they_stand(word: str, asked: str) -> None:
    assert given(TRAIN, ["--source", "hau", word, "--nonsense"]).asked == asked


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.run(TRAIN, lambda _: None, "", ["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("nertransfer 0.")


# --- values ------------------------------------------------------------------------------------------


def built(configuration: type, **texts: str) -> typing.Any:
    return build(configuration, texts)


def test_whole_numbers_may_be_ranges() -> None:
    assert built(STUDY, seeds="1-3").seeds == (1, 2, 3)
    assert built(STUDY, seeds="0, 2-4,9").seeds == (0, 2, 3, 4, 9)
    assert built(STUDY, seeds="5-5").seeds == (5,)
    assert built(STUDY, few_shot_languages="swa", few_shot_sentences="1-2,10").few_shot_sentences == (1, 2, 10)


def test_choices_may_be_written_in_any_case() -> None:
    assert built(STUDY, precision="BF16", device="CPU").recipe.precision == "bf16"
    assert built(config.ExportConfig, language="hau", variant="onnx_int8").variant == "onnx-int8"
    assert built(STUDY, recipe="Published").recipe == options.RECIPES["published"]


NEAR: list[tuple[type, dict[str, str], str]] = [
    (STUDY, {"seeds": "3-1"}, "seeds='3-1' is not allowed: a range goes up, such as 1-3"),
    (STUDY, {"seeds": "0-1000000"}, "seeds='0-1000000' is not allowed: a range goes up"),
    (STUDY, {"seeds": "1-3,2"}, "seeds='1,2,3,2' is not allowed: 2 is named twice"),
    (STUDY, {"executor": "slrum"}, "one of local, slurm, script; did you mean slurm?"),
    (STUDY, {"recipe": "publish"}, "one of published, planted; did you mean published?"),
    (STUDY, {"plan": "yes"}, "plan='yes' is not allowed: true or false; did you mean true?"),
    (STUDY, {"plan": "off"}, "plan='off' is not allowed: true or false; did you mean false?"),
    (STUDY, {"plan": "ture"}, "plan='ture' is not allowed: true or false; did you mean true?"),
    (config.RankConfig, {"target": "zul", "ranker": "word-overlp"}, "did you mean word_overlap?"),
]  # fmt: skip


@pytest.mark.parametrize(("configuration", "texts", "message"), NEAR, ids=[message for *_, message in NEAR])
def test_a_wrong_value_is_answered_with_the_one_that_is_near(
    configuration: type, texts: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError) as raised:
        build(configuration, texts)
    assert message in str(raised.value)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_missing_parameter_says_what_it_is_for_and_gives_an_example(configuration: type) -> None:
    needed = [p for p in parameters(configuration) if p.text is None]
    for parameter in needed[:1]:
        with pytest.raises(InputError, match=f"parameter {parameter.name} is missing: ") as raised:
            build(configuration, {})
        said = str(raised.value)
        example = said.rpartition("; for example ")[2]
        assert parameter.help in said and given(configuration, [example]).texts.keys() == {parameter.name}


def test_near_names() -> None:
    assert did_you_mean("swahili", ("hau", "swa")) == "; did you mean swa?"
    assert did_you_mean("kinyarwanda", ("hau", "kin")) == "; did you mean kin?"
    assert did_you_mean("Swa", ("hau", "swa")) == "; did you mean swa?"
    assert did_you_mean("xyz", ("hau", "swa")) == did_you_mean("sw", ()) == ""


# --- the help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_help_fits_a_terminal_and_says_how_parameters_are_written(
    configuration: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = commandline.help_text(configuration, "What it does.")
    assert max(map(len, text.splitlines())) <= 80
    usage = text.partition("\n\n")[0]
    positional = getattr(configuration, "POSITIONAL", "")
    assert usage.count("\n") <= 1 and (f"[{positional}]" in usage or not positional)
    assert "--name=value" in text


def test_a_folder_is_not_taken_for_a_study_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mydata").mkdir()
    for word in ("mydata", "masakhaner"):
        with pytest.raises(SystemExit):
            run.run(STUDY, lambda _: None, "", [word])
        assert f"did you mean data={word}?" in capsys.readouterr().err


def test_every_default_is_text_that_is_read_back() -> None:
    """What the help shows can be typed."""
    for configuration in CONFIGURATIONS:
        for p in parameters(configuration):
            if p.text:
                assert given(configuration, [f"{p.name}={p.text}"]).texts == {p.name: p.text}
