"""Removes passwords and tokens from texts that libraries wrote, before they are printed or stored."""

import functools
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

NAMED = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING", "DATABRICKS_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN",
    "MLFLOW_FLASK_SERVER_SECRET_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MYSQL_PWD", "PGPASSWORD",
)  # fmt: skip
"""Variables of the environment that hold a secret. Addresses are looked for in all of them."""
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]{0,40}://.*", re.ASCII | re.DOTALL)
"""Parts that may be repeated have a limit: without one, a line of a million letters is looked at for minutes."""
_NEXT = re.compile(r",(?=[^,]*://)")
"""Between two addresses of a list."""
_SETTING = re.compile(
    r"[?&;#\s][\w.-]{0,80}(?:pass|pwd|token|secret|key|sig|credential|auth)\w{0,80}\s{0,9}=\s{0,9}"
    r"(\{[^}]*\}|[^&;#]*)",
    re.IGNORECASE,
)
"""A secret among the settings of an address, of ODBC, too."""
_noted: set[str] = set()


def note(texts: Iterable[str]) -> None:
    """Have the passwords in these addresses hidden from here on, wherever in a text an address begins."""
    _noted.update(found[0] for text in texts if (found := _ADDRESS.search(text)))


def hide(text: str) -> str:
    """``text`` with ``...`` in place of every secret that the environment or an address noted before holds, as it is,
    percent-encoded, decoded or as in a program's text.

    One that is short or a plain word is hidden only where a password would stand, as in ``:mlflow@`` or ``pwd=mlflow``.
    """
    values = [value for value in os.environ.values() if "://" in value]
    addresses = _noted.union(found[0] for value in values if (found := _ADDRESS.search(value)))
    named = frozenset(value.strip() for name in NAMED if (value := os.environ.get(name, "")))
    pattern = _pattern(frozenset(addresses), named)
    return pattern.sub("...", text) if pattern else text


def guard(*streams: str) -> None:
    """Hide secrets from here on in what is written to these streams of ``sys``: ``stdout``, ``stderr``."""
    for name in streams:
        if not isinstance(stream := getattr(sys, name), _Guarded):
            setattr(sys, name, _Guarded(stream))


class _Guarded:
    """A text stream without secrets."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(hide(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@functools.lru_cache(8)
def _pattern(addresses: frozenset[str], named: frozenset[str]) -> re.Pattern[str] | None:
    secrets = named.union(*(_secrets(one) for text in addresses for one in (text, *_NEXT.split(text))))
    forms = sorted({form for secret in secrets for form in _forms(secret)} - {""}, key=len, reverse=True)
    return re.compile("|".join(map(_found, forms))) if forms else None


def _secrets(address: str) -> Iterator[str]:
    """What of an address is secret; where a library may read it in another way, also parts."""
    rest = address.partition("://")[2]
    user, colon, password = rest.rpartition("@")[0].partition(":")
    if "/" not in user:
        yield from (password, password.partition("@")[0])
        yield from (part for part in re.split("[/?#@:]", password) if len(part) > 3)
        if len(user) > 7 and (not colon or password == "x-oauth-basic"):  # a token, as git takes it
            yield user
    for text in (rest, unquote_plus(rest)):
        for value in _SETTING.findall(text):
            yield from (value.strip().strip("{}"), *value.split()[:1])


def _forms(secret: str) -> set[str]:
    plain = {secret, unquote(secret), unquote_plus(secret)}
    quoted = {write(one) for one in plain for write in (functools.partial(quote, safe=""), quote_plus, quote)}
    written = {write(one)[1:-1] for one in plain for write in (repr, json.dumps)}
    return plain | quoted | written | {quote(one, safe=" +") for one in plain}


def _found(form: str) -> str:
    text = re.escape(form)
    plain = len(form) < 5 or (form.isalpha() and len(form) < 12)
    before, after = r"(?:(?<=[:='\"])|(?<=%3A)|(?<=%3D))", r"(?=[@'\"&;,)\s]|%40|%26|$)"
    return before + text + after if plain else text
