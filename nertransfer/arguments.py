"""The words of a command line -> texts by parameter. Knows names and which of them are booleans, and nothing else.

People write ``--epochs 3``, ``--epochs=3`` or, as for ``mlflow run -P``, ``epochs=3``; dashes or underscores; a boolean
without its value; and one value without a name, which goes to the parameter that an entry point has for it.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nertransfer.errors import InputError
from nertransfer.near import called, did_you_mean

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
