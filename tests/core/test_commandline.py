"""Texts to configurations and back; everything that is wrong stops with one line."""

import contextlib
import dataclasses
import math
import os
import re
import signal
import subprocess
import sys
import typing

import pytest
from hypothesis import given as given_values
from hypothesis import settings
from hypothesis import strategies as st
from project_scripts import MAKE, REQUIRED, ROOT

from nertransfer.commands import run
from nertransfer.core import commandline, config, options, processes
from nertransfer.core.commandline import build, flat, given, parameters
from nertransfer.core.errors import InputError

CONFIGURATIONS = tuple(dict.fromkeys(configuration for _, configuration in MAKE.ENTRY_POINTS.values()))


def build_with(configuration: type, **given: str) -> typing.Any:
    """The configuration with ``given`` and a value for what has no default."""
    needed = {p.name: REQUIRED[p.name] for p in parameters(configuration) if p.text is None}
    return build(configuration, needed | given)


# --- values ------------------------------------------------------------------------------------------


def test_no_arguments_give_the_defaults() -> None:
    built = build(config.StudyConfig, {})
    assert built == config.StudyConfig(recipe=options.RECIPES["planted"])
    assert build(config.AnalyseConfig, {}) == config.AnalyseConfig()


def test_only_a_study_takes_the_planted_corpora_unasked() -> None:
    for configuration in CONFIGURATIONS:
        default = next((p.text for p in parameters(configuration) if p.name == "data"), "")
        assert default == ("planted" if configuration is config.StudyConfig else None if default is None else "")


@pytest.mark.parametrize(("words", "said"), [([], True), (["--data", ""], True), (["--data", "planted"], False)])
def test_a_study_says_first_that_it_takes_the_planted_corpora(
    words: list[str], said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="nertransfer"):
        run.run(config.StudyConfig, lambda _: None, "", words)
    assert [record.message.startswith("no data given, ") for record in caplog.records] == [True] * said


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1,2,3", (1, 2, 3)), (" 1 , 2 ", (1, 2)), ("7", (7,)), ("1,,2,", (1, 2)), ("", (0, 1, 2)), ("  ", (0, 1, 2))],
)
def test_lists_are_comma_separated(text: str, expected: tuple[int, ...]) -> None:
    assert build_with(config.StudyConfig, seeds=text).seeds == expected


def test_empty_values_mean_not_given() -> None:
    for configuration in CONFIGURATIONS:
        empty = {p.name: "" for p in parameters(configuration) if p.text is not None}
        assert build_with(configuration, **empty) == build_with(configuration)


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("True", True), ("false", False), ("FALSE", False)])
def test_booleans_are_words(text: str, expected: bool) -> None:
    assert build_with(config.TrainConfig, dev_each_epoch=text).run.dev_each_epoch is expected


@pytest.mark.parametrize("text", ["2e-5", "2e-05", "0.00002", "2E-5"])
def test_numbers_may_be_written_in_any_way(text: str) -> None:
    assert build_with(config.TrainConfig, learning_rate=text).recipe.learning_rate == 2e-5


def test_choices() -> None:
    assert build_with(config.StudyConfig, selection_split="test").selection_split == "test"
    assert build_with(config.TrainConfig, precision="bf16").recipe.precision == "bf16"


@pytest.mark.parametrize(
    "value", [0, 3, -1, 0.1, 5e-5, 1e-3, 1 / 3, True, False, "", "base", ("a", "b"), (0, 1), ("one",), ()]
)
def test_text_of_a_value_is_read_back(value: object) -> None:
    annotation = tuple[type(value[0]) if value else str, ...] if isinstance(value, tuple) else type(value)
    parameter = commandline.Parameter("p", "", "", annotation)
    assert commandline._convert(parameter, commandline.to_text(value)) == value


# --- recipes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "planted"),
        ({"data": "planted"}, "planted"),
        ({"data": "masakhaner"}, "published"),
        ({"data": "some/folder"}, "published"),
        ({"data": "masakhaner", "recipe": "planted"}, "planted"),
        ({"recipe": "published"}, "published"),
    ],
)
@pytest.mark.parametrize("configuration", [config.StudyConfig, config.TrainConfig])
def test_recipe_by_name_or_by_data(configuration: type, given: dict[str, str], expected: str) -> None:
    assert build_with(configuration, **given).recipe == options.RECIPES[expected]


def test_a_given_parameter_overrides_the_recipe_only_there() -> None:
    built = build_with(config.StudyConfig, recipe="published", epochs="3", precision="bf16")
    assert built.recipe == dataclasses.replace(options.RECIPES["published"], epochs=3, precision="bf16")
    built = build_with(config.StudyConfig, max_length="64")
    assert built.recipe == dataclasses.replace(options.RECIPES["planted"], max_length=64)


def test_the_published_recipe_is_the_default_recipe() -> None:
    assert options.RECIPES["published"] == options.Recipe()
    assert set(options.RECIPES) == {"published", "planted"}


# --- bad input ---------------------------------------------------------------------------------------

STUDY, TRAIN, EVALUATE, ADAPT = config.StudyConfig, config.TrainConfig, config.EvaluateConfig, config.AdaptConfig
EXPORT = config.ExportConfig

BAD: list[tuple[type, dict[str, str], str]] = [
    # what is no value of the parameter's type
    (STUDY, {"epochs": "three"}, "epochs='three' is not a whole number"),
    (STUDY, {"epochs": "3.0"}, "epochs='3.0' is not a whole number"),
    (STUDY, {"learning_rate": "fast"}, "learning_rate='fast' is not a number"),
    (STUDY, {"learning_rate": "5,0"}, "learning_rate='5,0' is not a number"),
    (STUDY, {"seeds": "1,x"}, "seeds='x' is not a whole number"),
    (STUDY, {"seeds": "1 2"}, "seeds='1 2' is not a whole number"),
    (STUDY, {"allow_empty_words": "yes"}, "allow_empty_words='yes' is not allowed: true or false"),
    (STUDY, {"dev_each_epoch": "1"}, "dev_each_epoch='1' is not allowed: true or false"),
    (STUDY, {"selection_split": "train"}, "selection_split='train' is not allowed: one of dev, test"),
    (STUDY, {"precision": "tf32"}, "precision='tf32' is not allowed: one of fp32, bf16, fp16"),
    (STUDY, {"epoch_choice": "first"}, "epoch_choice='first' is not allowed: one of last, best"),
    (STUDY, {"device": "gpu"}, "device='gpu' is not allowed: one of auto, cpu"),
    (STUDY, {"recipe": "mine"}, "recipe='mine' is not allowed: one of published, planted"),
    (STUDY, {"epoch": "3"}, "unknown parameter epoch: one of study_file, plan"),
    # Recipe
    (STUDY, {"epochs": "0"}, "epochs=0 is not allowed: a whole number of at least 1"),
    (TRAIN, {"batch_size": "0"}, "batch_size=0 is not allowed: a whole number of at least 1"),
    (TRAIN, {"max_length": "7"}, "max_length=7 is not allowed: a whole number of at least 8"),
    (TRAIN, {"learning_rate": "0"}, "learning_rate=0.0 is not allowed: a number between 0 and 1"),
    (TRAIN, {"learning_rate": "1"}, "learning_rate=1.0 is not allowed: a number between 0 and 1"),
    (TRAIN, {"learning_rate": "nan"}, "learning_rate=nan is not allowed: a number between 0 and 1"),
    (TRAIN, {"warmup_ratio": "1"}, "warmup_ratio=1.0 is not allowed: a number from 0 to below 1"),
    (TRAIN, {"warmup_ratio": "-0.1"}, "warmup_ratio=-0.1 is not allowed: a number from 0 to below 1"),
    (TRAIN, {"weight_decay": "-1"}, "weight_decay=-1.0 is not allowed: a number from 0 to below 1"),
    (TRAIN, {"max_grad_norm": "0"}, "max_grad_norm=0.0 is not allowed: a number above 0"),
    (TRAIN, {"max_grad_norm": "nan"}, "max_grad_norm=nan is not allowed: a number above 0"),
    # DataOptions
    (STUDY, {"languages": "swa,ki swahili"}, "language 'ki swahili' is not a usable code"),
    (config.DataConfig, {"languages": "../swa"}, "language '../swa' is not a usable code"),
    (STUDY, {"languages": "swa,hau,swa"}, "languages='swa,hau,swa' is not allowed: swa is named twice"),
    # TrackingOptions
    (STUDY, {"study": "a/b"}, "study='a/b' is not allowed: a name without '/'"),
    (STUDY, {"study": "ñ" * 126}, "spaces around it, of at most 250 bytes"),
    (config.RegisterConfig, {"study": " a"}, "study=' a' is not allowed: a name without '/'"),
    (STUDY, {"tracking_uri": "./mlruns"}, "tracking_uri='./mlruns' is not allowed: an http(s) address or a database"),
    (STUDY, {"tracking_uri": "mlruns"}, "tracking_uri='mlruns' is not allowed"),
    (STUDY, {"tracking_uri": "../mlruns"}, "tracking_uri='../mlruns' is not allowed"),
    (STUDY, {"tracking_uri": "mlflow.db"}, "tracking_uri='mlflow.db' is not allowed"),
    (STUDY, {"tracking_uri": "file:mlruns"}, "tracking_uri='file:mlruns' is not allowed"),
    (STUDY, {"tracking_uri": "file:///mlruns"}, "tracking_uri='file:///mlruns' is not allowed"),
    # RunOptions
    (STUDY, {"gradient_accumulation": "0"}, "gradient_accumulation=0 is not allowed: a whole number of at least 1"),
    (STUDY, {"checkpoint_minutes": "nan"}, "checkpoint_minutes=nan is not allowed: a number"),
    (EVALUATE, {"evaluation_tokens": "511"}, "evaluation_tokens=511 is not allowed: a whole number of at least 512"),
    # contradictions between parameters
    (TRAIN, {"compile": "true", "device": "cpu"}, "compile=True is not allowed: false with device=cpu or"),
    (TRAIN, {"compile": "true", "precision": "fp16"}, "compile=True is not allowed: false with precision=fp16 or"),
    (TRAIN, {"compile": "true", "num_processes": "2"}, "compile=True is not allowed: false with precision=fp16 or"),
    (
        STUDY,
        {"batch_size": "32", "gradient_accumulation": "5"},
        "gradient_accumulation=5 is not allowed: a divisor of batch_size=32",
    ),
    (TRAIN, {"batch_size": "3", "gradient_accumulation": "2"}, "gradient_accumulation=2 is not allowed: a divisor"),
    (STUDY, {"precision": "fp16", "device": "cpu"}, "precision='fp16' is not allowed: fp32 or bf16 with device=cpu"),
    (TRAIN, {"precision": "fp16", "device": "cpu"}, "precision='fp16' is not allowed: fp32 or bf16 with device=cpu"),
    # StudyConfig
    (STUDY, {"seeds": ","}, "seeds='' is not allowed: at least one"),
    (STUDY, {"seeds": "1,-1"}, "seeds=-1 is not allowed: a whole number from 0 to 2147483647"),
    (STUDY, {"seeds": "2147483648"}, "seeds=2147483648 is not allowed: a whole number from 0 to 2147483647"),
    (STUDY, {"seeds": "1,01"}, "seeds='1,1' is not allowed: 1 is named twice"),
    (STUDY, {"starts": ","}, "starts='' is not allowed: at least one"),
    (STUDY, {"starts": "base,base"}, "starts='base,base' is not allowed: base is named twice"),
    (STUDY, {"sources": "swa,swa"}, "sources='swa,swa' is not allowed: swa is named twice"),
    (STUDY, {"targets": "hau,hau"}, "targets='hau,hau' is not allowed: hau is named twice"),
    # TrainConfig
    (TRAIN, {"seed": "-1"}, "seed=-1 is not allowed: a whole number from 0 to 2147483647"),
    (TRAIN, {"targets": "hau,hau"}, "targets='hau,hau' is not allowed: hau is named twice"),
    (TRAIN, {"num_processes": "0"}, "num_processes=0 is not allowed: a whole number of at least 1"),
    # EvaluateConfig
    (EVALUATE, {"splits": "train"}, "splits='train' is not allowed: some of dev, test"),
    (EVALUATE, {"splits": ","}, "splits='' is not allowed: some of dev, test"),
    (EVALUATE, {"splits": "dev,dev"}, "splits='dev,dev' is not allowed: dev is named twice"),
    (EVALUATE, {"targets": "hau,hau"}, "targets='hau,hau' is not allowed: hau is named twice"),
    (EVALUATE, {"max_length": "7"}, "max_length=7 is not allowed: a whole number of at least 8, or 0"),
    # AdaptConfig
    (ADAPT, {"language": "a/b"}, "language 'a/b' is not a usable code"),
    (ADAPT, {"epochs": "0"}, "epochs=0 is not allowed: a whole number of at least 1"),
    (ADAPT, {"batch_size": "-2"}, "batch_size=-2 is not allowed: a whole number of at least 1"),
    (ADAPT, {"max_length": "7"}, "max_length=7 is not allowed: a whole number of at least 8"),
    (ADAPT, {"learning_rate": "2"}, "learning_rate=2.0 is not allowed: a number between 0 and 1"),
    (ADAPT, {"masking": "0"}, "masking=0.0 is not allowed: a number between 0 and 1"),
    (ADAPT, {"masking": "1"}, "masking=1.0 is not allowed: a number between 0 and 1"),
    # EmbedConfig
    (config.EmbedConfig, {"layers": ","}, "layers='' is not allowed: at least one"),
    (config.EmbedConfig, {"layers": "1,x"}, "layers='x' is not a whole number"),
    (config.EmbedConfig, {"layers": "1,1"}, "layers='1,1' is not allowed: 1 is named twice"),
    (config.EmbedConfig, {"layers": "1,0"}, "layers=0 is not allowed: a whole number of at least 1"),
    (config.EmbedConfig, {"stored_words": "-1"}, "stored_words=-1 is not allowed: a whole number of at least 0"),
    (config.EmbedConfig, {"split": "all"}, "split='all' is not allowed: one of train, dev, test"),
    # RankConfig
    (config.RankConfig, {"target": "a/b"}, "language 'a/b' is not a usable code"),
    (config.RankConfig, {"ranker": "oracle"}, "ranker='oracle' is not allowed: one of best, average, train_size"),
    # ExportConfig, RollbackConfig
    (EXPORT, {"language": "hau", "model": "runs:/a"}, "language='hau' is not allowed: not beside model='runs:/a'"),
    (EXPORT, {"model": "runs:/a", "start": "swa"}, "start='swa' is not allowed: not beside model='runs:/a'"),
    (EXPORT, {"model": "some/folder"}, "model='some/folder' is not allowed: models:/<name>@<alias>"),
    (EXPORT, {"language": "../hau"}, "language '../hau' is not a usable code"),
    (EXPORT, {"language": "hau", "push_to": "name"}, "push_to='name' is not allowed: owner/name on the hub"),
    (EXPORT, {"variant": "tflite"}, "variant='tflite' is not allowed: one of torch, onnx, onnx-int8"),
    (config.RollbackConfig, {"version": "-1"}, "version=-1 is not allowed: a whole number of at least 0"),
    (ADAPT, {"seed": "-3"}, "seed=-3 is not allowed: a whole number from 0 to 2147483647"),
    (TRAIN, {"data": "a\0b"}, "data='a\\x00b' is not allowed: text in UTF-8, without a zero byte"),
    (TRAIN, {"start": "\udcff"}, "start='\\udcff' is not allowed: text in UTF-8"),
    (TRAIN, {"data": f"x/{'é' * 128}/y"}, f"data='x/{'é' * 38}...' is not allowed: a name has at most 255 bytes"),
    (STUDY, {"starts": "base," + "x" * 256}, f"starts='{'x' * 40}...' is not allowed: a name has at most 255 bytes"),
    (TRAIN, {"work_dir": "x/" * 2048}, f"work_dir='{'x/' * 20}...' is not allowed: a name has at most 255 bytes"),
    (TRAIN, {"study": ".."}, "study='..' is not allowed: a name without '/', control characters"),
    (TRAIN, {"study": "a\nb"}, "study='a\\nb' is not allowed: a name without '/', control characters"),
    (TRAIN, {"study": "nertransfer registry"}, "study='nertransfer registry' is not allowed: a name"),
]


@pytest.mark.parametrize(("configuration", "given", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_values_name_parameter_and_what_is_allowed(
    configuration: type, given: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        build_with(configuration, **given)
    assert "\n" not in str(raised.value)


NUMBERS = [
    pytest.param(configuration, parameter, id=f"{configuration.__name__}.{parameter.name}")
    for configuration in vars(config).values()
    if isinstance(configuration, type) and dataclasses.is_dataclass(configuration)
    for parameter in dataclasses.fields(configuration)
    if parameter.type in (int, float, tuple[int, ...])
]


@pytest.mark.parametrize(("configuration", "parameter"), NUMBERS)
def test_limits_are_taken_and_what_is_just_outside_is_refused(
    configuration: type, parameter: dataclasses.Field
) -> None:
    def refused(number: float) -> str:
        try:
            build_with(configuration, **{parameter.name: str(number)})
        except InputError as error:
            return str(error)
        return ""

    kind = float if parameter.type is float else int
    words = parameter.metadata["allowed"]
    allowed = f" is not allowed: {'a number' if kind is float else 'a whole number'} {words}".rstrip()
    assert kind is int or refused(math.nan) == f"{parameter.name}=nan{allowed}"
    assert words.removeprefix("of ") in help_of(configuration, parameter.name)
    for name, limit in parameter.metadata["limits"].items():
        sides = (-math.inf, math.inf)
        less, more = (limit - 1, limit + 1) if kind is int else (math.nextafter(limit, side) for side in sides)
        outside, inside = {
            "above": (limit, more), "at_least": (less, limit), "below": (limit, less), "at_most": (more, limit),
        }[name]  # fmt: skip
        assert refused(outside) == f"{parameter.name}={kind(outside)!r}{allowed}"
        assert allowed not in refused(inside)  # another parameter's value may be in the way


def help_of(configuration: type, name: str) -> str:
    return next(p.help for p in parameters(configuration) if p.name == name)


def test_the_default_is_allowed_outside_the_limits() -> None:
    assert build_with(EVALUATE, max_length="0").max_length == 0
    assert help_of(EVALUATE, "max_length").endswith("; at least 8, or 0")


def test_data_must_be_named() -> None:
    """Not reachable from the command line, where empty means the default."""
    with pytest.raises(InputError, match="data=' ' is not allowed: a folder or one of planted, masakhaner"):
        options.DataOptions(data=" ")


@pytest.mark.parametrize(("configuration", "name"), [(TRAIN, "source"), (EVALUATE, "model"), (ADAPT, "language")])
@pytest.mark.parametrize("given", [{}, {"data": "planted"}])
def test_required_parameters(configuration: type, name: str, given: dict[str, str]) -> None:
    for extra in ({}, {name: ""}, {name: "  "}):
        with pytest.raises(InputError, match=f"parameter {name} is missing: "):
            build(configuration, given | extra)


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///mlflow.db", "http://localhost:5000", "https://x.org", "postgresql+psycopg2://u@h/d", "databricks"],
)
def test_stores_that_are_allowed(uri: str) -> None:
    assert build_with(config.StudyConfig, tracking_uri=uri).tracking.tracking_uri == uri


def test_name_of_the_data() -> None:
    assert options.DataOptions(data="masakhaner2").name == "masakhaner2"
    assert options.DataOptions(data="some/where/corpora/").name == "corpora"


# --- there and back ----------------------------------------------------------------------------------

CODES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
STUDIES = NAMES.filter(lambda name: name not in (".", ".."))
STARTS = st.one_of(NAMES, st.from_regex(r"[a-z]{1,5}=[a-z]{1,5}/[a-z0-9-]{1,9}", fullmatch=True))


def distinct(values: st.SearchStrategy[typing.Any], least: int = 0) -> st.SearchStrategy[tuple[typing.Any, ...]]:
    return st.lists(values, min_size=least, max_size=4, unique=True).map(tuple)


def between(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, exclude_max=True, allow_subnormal=False)


@st.composite
def studies(draw: st.DrawFn) -> config.StudyConfig:
    accumulation = draw(st.integers(1, 8))
    device = draw(st.sampled_from(["auto", "cpu"]))
    precision = draw(st.sampled_from(["fp32", "bf16"] if device == "cpu" else ["fp32", "bf16", "fp16"]))
    may_compile = device == "auto" and accumulation == 1 and precision != "fp16"
    return config.StudyConfig(
        data=options.DataOptions(draw(NAMES), draw(distinct(CODES)), draw(st.booleans()), draw(NAMES)),
        starts=draw(distinct(STARTS, 1)),
        sources=draw(distinct(CODES)),
        targets=draw(distinct(CODES)),
        seeds=draw(distinct(st.integers(0, 2**31 - 1), 1)),
        recipe=options.Recipe(
            epochs=draw(st.integers(1, 1000)),
            batch_size=accumulation * draw(st.integers(1, 64)),
            max_length=draw(st.integers(8, 512)),
            learning_rate=draw(between(1e-12, 1)),
            warmup_ratio=draw(between(0, 1)),
            weight_decay=draw(between(0, 1)),
            max_grad_norm=draw(between(1e-9, 1e9)),
            precision=precision,
            epoch_choice=draw(st.sampled_from(["last", "best"])),
        ),
        run=options.RunOptions(
            device=device,
            gradient_accumulation=accumulation,
            checkpoint_minutes=draw(between(-1, 1e6)),
            evaluation_tokens=draw(st.integers(512, 10**6)),
            dev_each_epoch=draw(st.booleans()),
            compile=may_compile and draw(st.booleans()),
        ),
        tracking=options.TrackingOptions(
            study=draw(st.one_of(st.just(""), STUDIES)), tracking_uri=draw(st.sampled_from(["", "sqlite:///m.db"]))
        ),
        selection_split=draw(st.sampled_from(["dev", "test"])),
        output=draw(NAMES),
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given_values(studies())
def test_study_to_text_and_back(study: config.StudyConfig) -> None:
    texts = flat(study)
    assert build(config.StudyConfig, texts) == study
    for words in ([f"--{name}={text}" for name, text in texts.items()], commandline.command(study)):
        assert build(config.StudyConfig, given(config.StudyConfig, words).texts) == study


def test_a_value_with_dashes_in_front_stays_a_value() -> None:
    study = build(config.StudyConfig, {"output": "--A", "study": "-P"})
    assert build(config.StudyConfig, given(config.StudyConfig, commandline.command(study)).texts) == study


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_flat_has_every_parameter_resolved(configuration: type) -> None:
    built = build_with(configuration)
    texts = flat(built)
    assert set(texts) == {p.name for p in parameters(configuration)} - {"recipe"}
    assert build(configuration, texts) == built


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_parameters_are_flat_and_named_once(configuration: type) -> None:
    names = [p.name for p in parameters(configuration)]
    assert len(names) == len(set(names))


# --- the program -------------------------------------------------------------------------------------


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_help_lists_every_parameter_with_its_default(
    configuration: type, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100000")  # argparse breaks lines, also inside words, at the terminal's width
    with pytest.raises(SystemExit) as stopped:
        run.run(configuration, lambda _: None, "What it does.\n\n    python it.py", ["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "What it does.\n\n    python it.py" in text
    for p in parameters(configuration):
        (line,) = re.findall(rf"^ +--{p.name} VALUE\s+(.*)$", text, re.MULTILINE)
        default = "required" if p.text is None else f"default: {p.text or 'empty'}"
        assert line == f"{p.help} [{default}]"
    assert ("fp32" in text) == any(p.name == "precision" for p in parameters(configuration))


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_help_of_a_choice_names_the_values_that_are_allowed(configuration: type) -> None:
    for p in parameters(configuration):
        if typing.get_origin(p.annotation) is typing.Literal:
            assert re.search(rf"; one of {', '.join(typing.get_args(p.annotation))}(?: \(empty: |$)", p.help), p.name


def test_run_calls_main_with_the_configuration() -> None:
    seen: list[config.TrainConfig] = []
    words = ["--source", "hau", "--epochs", "2", "--targets", "", "--data", "planted"]
    run.run(config.TrainConfig, seen.append, "", words)
    recipe = dataclasses.replace(options.RECIPES["planted"], epochs=2)
    assert seen == [config.TrainConfig(source="hau", recipe=recipe, data=options.DataOptions("planted"))]


def test_run_accepts_negative_numbers() -> None:
    seen: list[config.TrainConfig] = []
    words = ["--source", "hau", "--data", "mine", "--checkpoint_minutes", "-1"]
    run.run(config.TrainConfig, seen.append, "", words)
    assert math.isclose(seen[0].run.checkpoint_minutes, -1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "parameter source is missing: language whose train split is fine-tuned on, "
            "several as hau+swa, or none: only few_shot_sentences; for example source=hau",
        ),
        (["--source", "hau", "--data", "a", "--epochs", "0"], "epochs=0 is not allowed: a whole number of at least 1"),
        (["--epochz", "3"], "unknown parameter --epochz; did you mean --epochs? --help lists the parameters"),
        (["hau"], "'hau' needs a parameter: write <parameter>=hau; --help lists the parameters"),
        (["--source"], "source has no value: write source=<value>; --help lists the parameters"),
    ],
)
def test_run_ends_bad_input_with_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: object) -> None:
        raise AssertionError("main was called")

    with pytest.raises(SystemExit) as stopped:
        run.run(config.TrainConfig, main, "", arguments)
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"error: {message}\n")


def test_lines_of_a_shell_are_no_name_that_can_be_too_long() -> None:
    lines = "module load " + "x" * 300
    assert build(config.StudyConfig, {"slurm_setup": lines}).slurm.slurm_setup == lines


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("swa/train.txt:3: no tag"), 2),
        (FloatingPointError("the loss is not finite: lower learning_rate"), 1),
    ],
)
def test_run_ends_with_one_line_also_for_what_is_found_later(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: object) -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run.run(config.DataConfig, main, "", ["--data", "mine"])
    assert stopped.value.code == status
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize("launched", [{"WORLD_SIZE": "2", "LOCAL_RANK": "0"}, {"WORLD_SIZE": "2"}, {"LOCAL_RANK": "0"}])
def test_only_train_runs_in_several_processes_of_a_launcher(
    launched: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WORLD_SIZE", "LOCAL_RANK", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processes, "end_with_parent", lambda: None)
    seen: list[object] = []
    run.run(config.TrainConfig, seen.append, "", ["--source", "hau", "--data", "mine"], shared=True)
    with pytest.raises(SystemExit) if len(launched) == 2 else contextlib.nullcontext():
        run.run(config.StudyConfig, seen.append, "", [])
    assert [type(one).__name__ for one in seen] == ["TrainConfig", *["StudyConfig"] * (len(launched) == 1)]
    assert ("num_processes" in capsys.readouterr().err) == (len(launched) == 2)


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("lines", [3, 100_000])
def test_run_ends_quietly_where_nobody_reads_on(lines: int, buffered: bool) -> None:
    program = (
        "import sys; from nertransfer.commands import run; from nertransfer.core import config\n"
        f"run.run(config.DataConfig, lambda _: [print('a line', n) for n in range({lines})], '', ['data=mine'])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "" if buffered else "1"}
    running = subprocess.Popen(
        [sys.executable, "-c", f"input(); {program}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert running.stdin and running.stdout and running.stderr
    running.stdout.close()
    running.stdin.write("go on\n")
    running.stdin.close()
    assert running.stderr.read() == ""
    assert running.wait(60) == 128 + signal.SIGPIPE


def test_another_broken_pipe_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: object) -> None:
        raise BrokenPipeError("of a worker")

    with pytest.raises(SystemExit) as stopped:
        run.run(config.DataConfig, main, "", ["--data", "mine"])
    assert stopped.value.code == 1 and "failed: BrokenPipeError: of a worker" in capsys.readouterr().err


def test_run_ends_an_interrupt_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        run.run(config.DataConfig, main, "", ["--data", "mine"])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "interrupted; run the same command again to continue\n"


@pytest.mark.parametrize("name", ["slurm_setup", "slurm_options", "tracking_uri"])
def test_help_of_what_may_hold_a_secret_says_where_it_belongs(name: str) -> None:
    (text,) = [p.help for p in parameters(config.StudyConfig) if p.name == name]
    assert "mlflow run stores what -P gives" in text and ("study file" in text or "MLFLOW_TRACKING_URI" in text)
