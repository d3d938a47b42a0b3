"""Which model is meant: a language's registered one, or an address. Unknown names are answered with what there is."""

from collections.abc import Sequence

from nertransfer import schema
from nertransfer.config import ModelOptions
from nertransfer.errors import InputError
from nertransfer.near import did_you_mean
from nertransfer.store import MlflowClient, all_models

_PREFIX = schema.model_name("")
_ALIAS = schema.start_alias("")


def address(which: ModelOptions, client: MlflowClient) -> str:
    """``which.model``, or else the address of the language's registered model: of ``start``, or the champion.

    Raises InputError, naming what there is, when there is none.
    """
    if which.model:
        return which.model
    languages = [name.removeprefix(_PREFIX) for name in names(client)]
    if not which.language:
        raise InputError(f"neither language nor model is given; {_list('registered languages', languages)}", "language")
    if which.language not in languages:
        raise InputError(
            f"language={which.language!r} has no registered model; {_list('registered languages', languages)}"
            f"{did_you_mean(which.language, languages)}",
            "language",
        )
    name = schema.model_name(which.language)
    aliases = client.get_registered_model(name).aliases
    alias = schema.start_alias(which.start) if which.start else schema.CHAMPION
    if alias not in aliases:
        known = sorted(alias.removeprefix(_ALIAS) for alias in aliases if alias.startswith(_ALIAS))
        near = did_you_mean(which.start, known) if which.start else ""
        wanted = f"start={which.start!r} is" if which.start else f"a {schema.CHAMPION} is"
        listed = _list("registered starts", known)
        raise InputError(f"{wanted} not registered for {which.language}; {listed}{near}", "start")
    return f"models:/{name}@{alias}"


def names(client: MlflowClient) -> list[str]:
    """The registered models that are called as ours are, sorted; others may share the store."""
    return [name for name in all_models(client) if name.startswith(_PREFIX)]


def _list(title: str, found: Sequence[str]) -> str:
    return f"{title}: {', '.join(found) or 'none yet'}"
