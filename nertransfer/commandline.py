"""Command line <-> typed configuration.

The parser is made from the dataclass, so names, defaults and help exist once. It follows
MLflow's conventions for project parameters: lists are comma-separated, an empty value means
"not given", booleans are the words true and false. `nertransfer.arguments` has the ways to write a parameter.
"""

import argparse
import dataclasses
import gc
import importlib.metadata
import logging
import os
import re
import select
import signal
import sys
import time
import tomllib
import typing
from collections.abc import Callable, Mapping, Sequence

from nertransfer import arguments, console, environment, interrupts, processes, project_run
from nertransfer.config import LONGEST_NAME, LONGEST_PATH, RECIPES, DataOptions, Recipe, Text, default_recipe
from nertransfer.errors import InputError
from nertransfer.folders import PROJECT
from nertransfer.near import did_you_mean

MAIN_SECONDS = 10.0
"""What goes wrong in several processes of a launcher at once is told by the main one within so long."""
LONGEST_RANGE = 1000
"""Whole numbers that a range such as ``1-3`` stands for, at most."""
_MEANT = {"true": ("yes", "on", "1"), "false": ("no", "off", "0")}
"""Words that are not allowed for a boolean, and what they mean."""
_RANGE = re.compile(r"(\d+)-(\d+)")
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
            found.append(Parameter(field.name, default, _help(field.metadata["help"], annotation), annotation))
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


def _help(text: str, annotation: object) -> str:
    """The help of a parameter with the values it may have, where these are listed."""
    if typing.get_origin(annotation) is typing.Literal:
        return f"{text}; one of {', '.join(typing.get_args(annotation))}"
    return text


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
            changed = {f.name: values[f.name] for f in dataclasses.fields(Recipe) if f.name in values}
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


def given(config: type, words: Sequence[str]) -> arguments.Typed:
    """What the words of a command line give an entry point; raises InputError as `arguments.read` does."""
    booleans = {p.name: p.annotation is bool for p in parameters(config)}
    return arguments.read(words, booleans, getattr(config, "POSITIONAL", ""))


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
    return [text for name, value in flat(config).items() if value for text in (f"--{name}", value)]


def run(
    config: type[T],
    main: Callable[[T], None],
    description: str,
    argv: Sequence[str] | None = None,
    shared: bool = False,
) -> None:
    """Parse, build, call ``main``; bad input ends with one line and status 2, a training that diverges with one
    and 1, an interrupt or SIGTERM with 130. ``shared``: several processes of a launcher may share the work.

    Where nobody reads on what it prints, as behind ``| head``, it ends without a word, with 141 as a shell has it.
    """
    # a cluster's polite kill ends a run like Ctrl-C: marked as killed, resumable
    signal.signal(signal.SIGINT, interrupts.handle)  # a second Ctrl-C ends the cleaning up as well
    for name in ("SIGTERM", "SIGUSR2"):  # the latter is how submitit announces a time limit
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupts.handle_once)
    console.prepare()
    file = None
    try:
        environment.clean()  # before a library that reads it is imported, and before a process is started
        project_run.enter()
        if processes.launched() > 1:
            processes.end_with_parent()
        typed = given(config, sys.argv[1:] if argv is None else argv)
        if typed.asked:
            print(f"nertransfer {version()}" if typed.asked == arguments.VERSION else help_text(config, description))
            raise SystemExit(0)
        texts, known = typed.texts, [p.name for p in parameters(config)]
        if "study_file" in texts:
            from nertransfer import studyfile  # needs a YAML library, which writing MLproject does not

            file = studyfile.read(studyfile.find(texts["study_file"]), known)
        from_file = file.texts if file is not None else {}
        if "study" in known:
            texts = project_run.with_study(texts, from_file)
        if file is not None:
            file.lines = {key: line for key, line in file.lines.items() if key[0] not in texts}
        texts = from_file | texts
        if not shared and processes.launched() > 1:
            raise InputError(
                "accelerate launch and torchrun are not allowed here: start it with python, and where cells are to be "
                "shared by processes, with num_processes, a parameter of study and train"
            )
        built = build(config, texts)
        for p in parameters(config):
            if p.unless_given and p.name not in texts and processes.is_main():
                logger.info(p.unless_given)
        if hasattr(built, "run"):  # it computes something
            environment.tell()
        with project_run.noted(built):
            main(built)
        sys.stdout.flush()
        gc.freeze()  # the exit does not look for garbage among what is there: saves a second after a large report
    except InputError as error:
        place = file.place(error.parameter, error.item) if file is not None and error.parameter else ""
        _tell(f"error: {place}{': ' if place else ''}{error}")
        raise SystemExit(2) from None
    except FloatingPointError as error:  # a training that diverged; the message says what to do
        _tell(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        if processes.is_main():
            print("interrupted; run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        if not _nobody_reads(sys.stdout):
            raise  # of another pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still writes at the exit
        raise SystemExit(128 + signal.SIGPIPE) from None


def _tell(line: str) -> None:
    """Print what went wrong; where several processes share the work, mostly in all of them, once.

    The main one speaks at once, and then its launcher ends the others. One of those that is still there after
    `MAIN_SECONDS` speaks, too: what went wrong went wrong with it alone.
    """
    if not processes.is_main():
        try:
            time.sleep(MAIN_SECONDS)
        except KeyboardInterrupt:
            return
    print(line, file=sys.stderr)


def _nobody_reads(stream: typing.TextIO) -> bool:
    """Whether a stream goes into a pipe whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (AttributeError, OSError):  # no poll on this system, or no file behind the stream
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
