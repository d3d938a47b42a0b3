"""The corpora of a study, if they are at hand and those that were scored. Reads files, writes nothing."""

from dataclasses import replace

from analysis.reading.results import StudyResults
from nertransfer.core.errors import InputError
from nertransfer.core.options import DataOptions
from nertransfer.corpora import corpus
from nertransfer.corpora.corpus import Corpus


def corpora_of(data: DataOptions, found: StudyResults) -> tuple[dict[str, Corpus], str]:
    """The corpora of the study's languages, if they are those that were scored; else none, and why."""
    wanted = [name for name in found.languages if name in found.corpora]
    try:
        if not wanted:
            raise InputError("no run says which corpora its scores are of")
        if not data.data or not corpus.are_at_hand(data):
            raise InputError("not at hand")
        existing = corpus.names(data)
        there = tuple(name for name in wanted if name in existing)
        if not there:
            raise InputError("it has none of the study's languages")
        corpora = corpus.load(replace(data, languages=there))
    except InputError as error:
        reason = str(error)
    else:
        other = [name for name, one in corpora.items() if found.corpora[name] != one.digest]
        if not other:
            return {name: corpora[name] for name in found.languages if name in corpora}, ""
        reason = f"its {', '.join(other)} differ from what was scored"
    return {}, f"data={data.data!r}: {reason}" if data.data else f"the study's data: {reason}"
