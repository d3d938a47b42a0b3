"""Command line <-> typed configuration.

The parser is made from the dataclass, so names, defaults and help exist once. It follows MLflow's conventions for
project parameters: lists are comma-separated, an empty value means "not given", booleans are the words true and false.
"""

import argparse
import dataclasses
import importlib.metadata
import logging
import re
import tomllib
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nertransfer.core.errors import InputError
from nertransfer.core.files import PROJECT
from nertransfer.core.options import LONGEST_NAME, LONGEST_PATH, RECIPES, DataOptions, Recipe, Text, default_recipe
from nertransfer.core.text import called, did_you_mean

HELP, VERSION = "--help", "--version"
_ASKED = {"-h": HELP, HELP: HELP, VERSION: VERSION}
_OPTION = re.compile(r"(--?)([A-Za-z][\w-]*)(?:=(.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z][\w-]*)=(.*)", re.DOTALL)
_BOOLEANS = ("true", "false", "yes", "no", "on", "off", "1", "0", "")
"""What may follow a boolean as its value; not all are allowed, but none of them is another word of the command."""
_LISTED = "--help lists the parameters"


@dataclass
class Typed:
    """``texts`` by parameter; what is given twice has the last value, and an empty value is none. ``asked``: `HELP` or
    `VERSION` where it is asked for."""

    texts: dict[str, str] = dataclasses.field(default_factory=dict)
    asked: str = ""


def read(words: Sequence[str], parameters: Mapping[str, bool], positional: str = "") -> Typed:
    """What the words give. ``parameters``: whether each is a boolean, by name. ``positional``: the parameter of a value
    without a name, if there is one.

    Raises InputError on a name that is none of the parameters, on a name without a value, and on a second value without
    a name.
    """
    found, left, nameless, named = Typed(), list(words), "", ""
    while left:
        word = left.pop(0)
        if word in _ASKED and word.removeprefix("--") not in parameters:
            found.asked = _ASKED[word]
            return found
        if word == "-P" and left and _ASSIGNMENT.fullmatch(left[0]):
            continue  # as for mlflow run
        if option := _OPTION.fullmatch(word):
            name = _known(option[2], word.partition("=")[0], parameters)
            text = option[3] if option[3] is not None else _value(name, left, parameters, positional)
        elif (pair := _ASSIGNMENT.fullmatch(word)) and _is_name(pair[1], parameters, positional):
            name, text = _known(pair[1], pair[1], parameters), pair[2]
        elif not word.strip():
            continue
        elif not positional:
            raise InputError(f"{word!r} needs a parameter: write <parameter>={word}; {_LISTED}")
        elif nameless:
            raise InputError(
                f"{word!r} is one value too many: {positional} is {nameless!r}; put a text with spaces into quotes",
                positional,
            )
        else:
            name, text = positional, word
            nameless = word
        if text.strip():
            found.texts[name] = text
            named = text if name == positional and word is not nameless else named
    if nameless and named and nameless != named:
        raise InputError(f"{positional} is given twice: {nameless!r} and {named!r}", positional)
    return found


def _known(typed: str, shown: str, parameters: Mapping[str, bool]) -> str:
    name = called(typed, parameters)
    if name is None:
        dashes = "--" if shown.startswith("-") else ""
        raise InputError(f"unknown parameter {shown}{did_you_mean(typed, parameters, dashes) or ';'} {_LISTED}")
    return name


def _is_name(typed: str, parameters: Mapping[str, bool], positional: str) -> bool:
    """Whether what stands before ``=`` is meant for a parameter, and not part of a value."""
    return not positional or called(typed, parameters) is not None or bool(did_you_mean(typed, parameters))


def _value(name: str, left: list[str], parameters: Mapping[str, bool], positional: str) -> str:
    """The value of a parameter, taken from the words that are left; ``true`` of a boolean that stands alone."""
    following = left[0] if left else None
    if following is not None and _is_option(following, parameters):
        following = None
    if parameters[name]:
        pair = _ASSIGNMENT.fullmatch(following or "")
        other = following is not None and (bool(positional) or pair) and following.lower() not in _BOOLEANS
        return "true" if following is None or other else left.pop(0)
    if following is None:
        raise InputError(f"{name} has no value: write {name}=<value>; {_LISTED}", name)
    return left.pop(0)


def _is_option(word: str, parameters: Mapping[str, bool]) -> bool:
    """Whether a word names a parameter; one that only begins with a dash, such as ``-1e-5``, is a value."""
    option = _OPTION.fullmatch(word)
    return option is not None and (option[1] == "--" or called(option[2], parameters) is not None)


LONGEST_RANGE = 1000
"""Whole numbers that a range such as ``1-3`` stands for, at most."""
_MEANT = {"true": ("yes", "on", "1"), "false": ("no", "off", "0")}
"""Words that are not allowed for a boolean, and what they mean."""
_RANGE = re.compile(r"(\d{1,18})-(\d{1,18})")
T = typing.TypeVar("T")

logger = logging.getLogger("nertransfer")

RECIPE_HELP = (
    f"named recipe ({', '.join(RECIPES)}) that gives the parameters below that are not given; "
    "empty: planted for data=planted, else published"
)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One command-line parameter; ``text`` is its default as it stands on a command line, and ``unless_given`` what is
    said where that is taken."""

    name: str
    text: str | None
    help: str
    annotation: object
    unless_given: str = ""


def to_text(value: object) -> str:
    """A value as it is written on the command line and in MLproject."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def parameters(config: type) -> list[Parameter]:
    """The flat list of the parameters of a configuration, nested groups included."""
    found: list[Parameter] = []
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        annotation = hints[field.name]
        if annotation is Recipe:
            found.append(Parameter("recipe", "", RECIPE_HELP, str))
            found += [dataclasses.replace(p, text="", help=_recipe_help(p)) for p in parameters(Recipe)]
        elif dataclasses.is_dataclass(annotation):
            found += _of_group(field, parameters(typing.cast(type, annotation)))
        else:
            default = None if field.default is dataclasses.MISSING else to_text(field.default)
            found.append(Parameter(field.name, default, _help(field, annotation), annotation))
    return found


def _of_group(field: dataclasses.Field, inner: Sequence[Parameter]) -> list[Parameter]:
    """The parameters of a group as one configuration has them, which may have defaults and help of its own."""
    if field.default_factory is dataclasses.MISSING:
        return list(inner)
    default = field.default_factory()
    helps, said = field.metadata.get("help", {}), field.metadata.get("unless_given", {})
    return [
        dataclasses.replace(
            p, text=to_text(getattr(default, p.name)), help=helps.get(p.name, p.help), unless_given=said.get(p.name, "")
        )
        for p in inner
    ]


def _help(field: dataclasses.Field, annotation: object) -> str:
    """The help of a parameter with the values it may have, where these are listed or have limits."""
    allowed = field.metadata.get("allowed", "").removeprefix("of ")
    if typing.get_origin(annotation) is typing.Literal:
        allowed = f"one of {', '.join(typing.get_args(annotation))}"
    return f"{field.metadata['help']}; {allowed}" if allowed else field.metadata["help"]


def _recipe_help(parameter: Parameter) -> str:
    values = ", ".join(f"{name} {to_text(getattr(r, parameter.name))}" for name, r in RECIPES.items())
    return f"{parameter.help} (empty: the recipe's: {values})"


def _convert(parameter: Parameter, text: str) -> object:
    """``text`` as the parameter's type; raises InputError that names both."""
    annotation = parameter.annotation
    if typing.get_origin(annotation) is tuple:
        one = dataclasses.replace(parameter, annotation=typing.get_args(annotation)[0])
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if one.annotation is int:
            return tuple(number for part in parts for number in _whole_numbers(one, part))
        return tuple(_convert(one, part) for part in parts)
    if typing.get_origin(annotation) is typing.Literal:
        return choice(parameter.name, text, typing.get_args(annotation))
    if annotation is bool:
        if text.lower() not in ("true", "false"):
            meant = next((word for word, others in _MEANT.items() if text.lower() in others), text)
            near = did_you_mean(meant, ("true", "false"))
            raise InputError(f"{parameter.name}={text!r} is not allowed: true or false{near}", parameter.name)
        return text.lower() == "true"
    if annotation in (str, Text):
        _check_text(parameter.name, text, named=annotation is str)
    try:
        return typing.cast(Callable[[str], object], annotation)(text)
    except ValueError:
        kind = "a whole number" if annotation is int else "a number"
        raise InputError(f"{parameter.name}={text!r} is not {kind}", parameter.name, text) from None


def choice(name: str, text: str, allowed: Sequence[str]) -> str:
    """The one of the values that ``text`` is, in any case; raises InputError that lists them."""
    for value in allowed:
        if text.lower().replace("-", "_") == value.lower().replace("-", "_"):
            return value
    near = did_you_mean(text, allowed)
    raise InputError(f"{name}={text!r} is not allowed: one of {', '.join(allowed)}{near}", name, text)


def _whole_numbers(parameter: Parameter, text: str) -> list[int]:
    """The numbers that an item of a list stands for: itself, or those of a range such as ``1-3``, which is in it."""
    ends = _RANGE.fullmatch(text)
    if ends is None:
        return [typing.cast(int, _convert(parameter, text))]
    first, last = int(ends[1]), int(ends[2])
    if not first <= last < first + LONGEST_RANGE:
        raise InputError(
            f"{parameter.name}={text!r} is not allowed: a range goes up, such as 1-3, and has at most {LONGEST_RANGE} "
            "numbers",
            parameter.name, text,
        )  # fmt: skip
    return list(range(first, last + 1))


def _check_text(name: str, text: str, named: bool) -> None:
    """Raise InputError for what can be neither tracked nor, if it is ``named``, the name of a file."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{name}={text!r} is not allowed: text in UTF-8, without a zero byte", name, text)
    data = text.encode()
    if named and (len(data) > LONGEST_PATH or max(map(len, data.split(b"/"))) > LONGEST_NAME):
        raise InputError(
            f"{name}='{text[:40]}...' is not allowed: a name has at most {LONGEST_NAME} bytes, a path {LONGEST_PATH}",
            name, text,
        )  # fmt: skip


def build(config: type[T], texts: Mapping[str, str]) -> T:
    """The configuration from texts by parameter name; empty and absent take the default."""
    by_name = {p.name: p for p in parameters(config)}
    unknown = sorted(set(texts) - set(by_name))
    if unknown:
        near = did_you_mean(unknown[0], by_name)
        raise InputError(f"unknown parameter {', '.join(unknown)}: one of {', '.join(by_name)}{near}")
    values = {name: _convert(by_name[name], text) for name, text in texts.items() if text.strip()}
    return typing.cast(T, _construct(config, values))


def _construct(config: type, values: dict[str, object]) -> object:
    hints = typing.get_type_hints(config)
    found: dict[str, object] = {}
    for field in dataclasses.fields(config):
        annotation = hints[field.name]
        if annotation is Recipe:
            name = str(values.get("recipe") or default_recipe(typing.cast(DataOptions, found["data"]).data))
            name = choice("recipe", name, list(RECIPES))
            changed: dict[str, typing.Any] = {
                f.name: values[f.name] for f in dataclasses.fields(Recipe) if f.name in values
            }
            found[field.name] = dataclasses.replace(RECIPES[name], **changed)
        elif dataclasses.is_dataclass(annotation):
            group = typing.cast(type, annotation)
            own = {one.name: values[one.name] for one in dataclasses.fields(group) if one.name in values}
            if field.default_factory is dataclasses.MISSING:
                found[field.name] = _construct(group, own)
            else:
                found[field.name] = dataclasses.replace(typing.cast(typing.Any, field.default_factory()), **own)
        elif field.name in values:
            found[field.name] = values[field.name]
        elif field.default is dataclasses.MISSING:
            raise InputError(f"parameter {field.name} is missing: {_purpose(field)}", field.name)
    return config(**found)


def _purpose(field: dataclasses.Field) -> str:
    """What a parameter is for, with an example."""
    return f"{field.metadata['help']}; for example {field.name}={field.metadata['example']}"


def flat(config: object) -> dict[str, str]:
    """Every resolved parameter of a configuration as text, by name."""
    found: dict[str, str] = {}
    for field in dataclasses.fields(typing.cast(typing.Any, config)):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found |= flat(value)
        else:
            found[field.name] = to_text(value)
    return found


def given(config: type, words: Sequence[str]) -> Typed:
    """What the words of a command line give an entry point; raises InputError as `read` does."""
    booleans = {p.name: p.annotation is bool for p in parameters(config)}
    return read(words, booleans, getattr(config, "POSITIONAL", ""))


def help_text(config: type, description: str) -> str:
    """What ``--help`` prints: the description, how parameters are written, and every one with its default."""
    positional = getattr(config, "POSITIONAL", "")
    value = f" [{positional}]" if positional else ""
    made = argparse.ArgumentParser(
        usage=f"%(prog)s{value} [--<parameter> <value> ...]", description=description, epilog=WRITTEN, add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    group = made.add_argument_group("parameters")
    for p in parameters(config):
        default = "required" if p.text is None else f"default: {p.text}" if p.text else "default: empty"
        group.add_argument(f"--{p.name}", metavar="VALUE", help=f"{p.help} [{default}]".replace("%", "%%"))
    return made.format_help()


WRITTEN = """\
--name value, --name=value and name=value are the same, and so are dashes and
underscores in a name; a boolean may stand alone, as --plan. Lists are comma-
separated; whole numbers may be a range, as 1-3. An empty value is the default."""


def version() -> str:
    """The version of this checkout, or of the installed package."""
    project = PROJECT / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return importlib.metadata.version("nertransfer")


def command(config: object) -> list[str]:
    """The arguments that give an entry point this very configuration; empty values are left out."""
    words: list[str] = []
    for name, value in flat(config).items():
        if value:  # one with a dash in front would be taken for another parameter
            words += [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]
    return words
