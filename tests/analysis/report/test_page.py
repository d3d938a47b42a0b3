"""The page of a study: read by a parser, and shown by a browser."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlencode

import numpy as np
import pandas as pd
import pytest
from browser import looked_at
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from analysis.audit.finding import Finding, Severity
from analysis.report import plots
from analysis.report.html import page
from analysis.report.html.page_data import Column, Listing, Matrix, Page, Picture, Section, Tile
from analysis.statistics import tables
from analysis.transfer import matrices

LANGUAGES = ["hau", "ibo", "swa", "wol"]
CATEGORIES = ["ALL", "PER"]
HOSTILE = [
    "<script>hacked=1</script>",
    '"><img src=x onerror=hacked=1>',
    "</script><script>hacked=1//<!--",
    "&amp;\\\u2028'\u202egnirts",
]
RUN_URL = "https://tracking.example/#/experiments/7/runs/"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


# --- a study that is made up ---------------------------------------------------------------------------


def statistics(rows: Sequence[str], targets: Sequence[str], shift: float) -> dict[str, dict[str, pd.DataFrame]]:
    """Distinct numbers, two of them halfway between two decimals; one place is missing, one has fewer seeds."""
    found = {}
    for c, category in enumerate(CATEGORIES):
        mean = np.array(
            [
                [40 + shift + 7 * i - 3 * j + 0.37 * i * j + 5 * c + (30 if i == j else 0) for j in range(len(targets))]
                for i in range(len(rows))
            ]
        )
        mean[0, 1], mean[1, 0] = 62.25, 62.75
        sd = 0.5 + 0.13 * mean % 3
        n = np.full(mean.shape, 3.0)
        n[1, 2] = 2
        mean[2, 3] = sd[2, 3] = np.nan
        n[2, 3] = 0
        frames = {"mean": mean, "sd": sd, "n": n, "low": mean - 1.5, "high": mean + 1.25}
        found[category] = {name: pd.DataFrame(x, index=rows, columns=targets) for name, x in frames.items()}
    return found


def files(name: str) -> dict[str, dict[str, str]]:
    """A file for everything that the page shows of a matrix."""
    whats = ("mean", "zero-shot", "sd", "difference")
    return {category: {what: f"t/{category}/{name} 1-{what}.csv" for what in whats} for category in CATEGORIES}


def matrix(name: str, languages: Sequence[str], shift: float) -> Matrix:
    """A matrix of one start."""
    own = {x: [x] for x in languages}
    configurations = {x: f"{name}-{x}" for x in languages}
    numbers = statistics(languages, languages, shift)
    return Matrix(name, f"start {name}", "source", languages, languages, own, configurations, numbers, files(name))


def made_up(names: Sequence[str] = LANGUAGES, study: str = "study") -> Page:
    """A page of four languages, a start of the reference, one of another name, and every start on one source."""
    other, pivot = names[2], names[1]
    starts = ["base", *names]
    numbers = statistics(starts, names, 9)
    for category, frames in numbers.items():  # base-<pivot> is one configuration in both matrices
        base = statistics(names, names, 0)[category]
        for name, frame in frames.items():
            frame.loc["base"] = base[name].loc[pivot]
    every = Matrix(
        f"source-{pivot}", f"every start, fine-tuned on {pivot}", "start", starts, names, {x: [pivot] for x in starts},
        {x: f"{x}-{pivot}" for x in starts}, numbers, files("pivot"),
    )  # fmt: skip
    shown = [matrix("base", names, 0), matrix(other, names, 2.5), every]
    configurations = dict.fromkeys(name for m in shown for name in m.configurations.values())
    pairs = pd.DataFrame(
        [
            (a, b, 90 - 3.07 * i, 0.0004 * i, i - 8.5)
            for i, (a, b) in enumerate(itertools.product(names, LANGUAGES * 2))
        ],
        columns=["source", "target", "f1", "p", "gap"],
    ).assign(share=0.123, runs=lambda t: "base-" + t["source"], n=1234)
    pairs.loc[4, ["f1", "p", "gap"]] = np.nan
    columns = [
        Column("source", "source"),
        Column("target", study),
        Column("f1", "F1", "percent", help=f"higher is better {names[0]}"),
        Column("gap", "gap", "points"),
        Column("p", "p", "p"),
        Column("share", "share", "share"),
        Column("n", "entities", "count"),
        Column("runs", "runs", "runs"),
    ]
    sections = [
        Section(
            "pairs", f"Pairs of {study}", [f"One {study}."],
            [Listing("pairs", "All pairs", pairs, columns, "pairs of all.csv", note=study),
             Listing("few", "Few", pairs.head(3), columns[:3], "few.csv")],
            [Picture("figures/a b", f"What {study} shows")],
        )
    ]  # fmt: skip
    rows = pd.DataFrame({"source": [names[i % 4] for i in range(20)], "f1": [50.1234] * 20, "seed": range(20)})
    findings = [
        Finding(Severity.NOTE, "", "a note", "to know"),
        Finding(Severity.CARE, "tags", f"care {study}", f"with {names[1]}", rows),
        Finding(Severity.WRONG, "missing", "it is wrong", "1 cell", rows.head(2)),
    ]
    return Page(
        study, f"{study} in short", findings, [f"{names[0]} is best."], [Tile("81.9", f"in {study}", "81.6 to 82.2")],
        shown, "base", sections, [(study, f"the meaning of {study}")],
        {name: [(seed, f"{i:02d}{seed}f") for seed in (0, 1, 2)] for i, name in enumerate(configurations)},
        RUN_URL, f"https://tracking.example/{study}", {"figures/a b": plots.encoded(Figure(figsize=(2, 1)))[0]},
        ["results.csv", "answers.csv", "t/ALL/base 1-mean.csv"], {names[0]: f"Language of {study}", "ibo": "Igbo"},
        Section("answer", "The answer", [f"What next: {study}."], [
            Listing("answers", "Best start and source", pairs.head(4), columns[:3], "answers.csv"),
        ]),
    )  # fmt: skip


# --- read by a parser ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Node:
    """An element with its attributes, its elements in order and all text inside."""

    tag: str
    attributes: dict[str, str]
    parts: list["Node | str"] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def walk(self) -> list["Node"]:
        below = [node for part in self.parts if isinstance(part, Node) for node in part.walk()]
        return [self, *below]

    def all(self, tag: str, **attributes: str) -> list["Node"]:
        return [n for n in self.walk() if n.tag == tag and attributes.items() <= n.attributes.items()]

    def of_class(self, name: str) -> list["Node"]:
        return [n for n in self.walk() if name in n.attributes.get("class", "").split()]

    def by_id(self, name: str) -> "Node":
        (found,) = [n for n in self.walk() if n.attributes.get("id") == name]
        return found

    def table(self) -> list[list[str]]:
        """The texts of the cells, row by row."""
        return [[" ".join(c.text.split()) for c in row.all("th") + row.all("td")] for row in self.all("tr")]


class Tree(HTMLParser):
    """The elements of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].parts.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self._open[-1].parts.append(data)


def parsed(made: Page) -> Node:
    return Tree(page.render(made)).root


@pytest.fixture(scope="module")
def study() -> Page:
    return made_up()


@pytest.fixture(scope="module")
def document(study: Page) -> Node:
    return parsed(study)


def test_nothing_is_fetched_and_every_link_leads_somewhere(document: Node) -> None:
    fetching = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping", "manifest"}
    addresses = [value for node in document.walk() for name, value in node.attributes.items() if name in fetching]
    assert len(addresses) == 1 and addresses[0].startswith("data:image/png;base64,")
    assert not {n.tag for n in document.walk()} & {"link", "iframe", "object", "embed", "base", "form"}
    styles = " ".join(node.text for node in document.all("style"))
    styles += " ".join(node.attributes.get("style", "") for node in document.walk())
    assert "url(" not in styles and "@import" not in styles
    (policy,) = document.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:;")
    identities = [node.attributes["id"] for node in document.walk() if "id" in node.attributes]
    assert len(identities) == len(set(identities))
    links = [node.attributes["href"] for node in document.all("a")]
    beside = {
        "t/ALL/base%201-mean.csv", "pairs%20of%20all.csv", "few.csv", "figures/a%20b.pdf", "figures/a%20b.png",
        "answers.csv", "results.csv", "audit/missing.csv", "audit/tags.csv",
    }  # fmt: skip
    for link in links:
        assert link in beside or link.startswith(RUN_URL) or (link[0] == "#" and link[1:] in identities), link
    assert beside <= set(links)


def test_hostile_names_never_become_elements(document: Node) -> None:
    hostile = parsed(made_up(HOSTILE, HOSTILE[0] + HOSTILE[1] + HOSTILE[2]))

    def form(root: Node) -> list[tuple]:
        return [(node.tag, *(sorted(node.attributes))) for node in root.walk()]

    assert form(hostile) == form(document)
    assert hostile.all("h1")[0].text == HOSTILE[0] + HOSTILE[1] + HOSTILE[2]
    heads = hostile.by_id("matrix").all("thead")[0].all("th")
    assert [th.text for th in heads[1:]] == [*HOSTILE, "zero-shot", "in-language"]


def test_data_of_the_script_are_those_of_the_study(study: Page, document: Node) -> None:
    data = json.loads(document.by_id("data").text)
    assert [m["name"] for m in data["matrices"]] == ["base", "swa", "source-ibo"]
    found = dict(data["matrices"][1]["statistics"])["PER"]
    frames = study.matrices[1].statistics["PER"]
    for name in ("mean", "sd", "low", "high", "n"):
        expected = [[None if math.isnan(x) else x for x in row] for row in frames[name].to_numpy().tolist()]
        assert found[name] == expected
    assert dict(map(tuple, data["runs"]))["base-hau"] == [[0, "000f"], [1, "001f"], [2, "002f"]]


@settings(max_examples=40)
@given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.none(), st.lists))
def test_embedded_json_comes_back_and_cannot_leave_its_element(value: object) -> None:
    text = str(page.embedded({"value": value, "hostile": HOSTILE}))
    assert json.loads(text) == {"value": value, "hostile": HOSTILE}
    assert text.isascii() and not set("<>&") & set(text)


def test_numbers_that_are_not_finite_are_not_embedded() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        page.embedded(math.nan)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (62.25, "percent", "62.2"),
        (-3.14159, "points", "−3.1"),
        (2, "points", "+2.0"),
        (-0.01, "points", "0.0"),
        (0.123456, "number", "0.123"),
        (-0.0012345, "number", "−0.00123"),
        (12.345, "number", "12.3"),
        (9.996, "number", "10.0"),
        (123456.7, "number", "123,457"),
        (0, "number", "0"),
        (7.0, "number", "7"),
        (-math.inf, "number", "−inf"),
        (0.00001234, "number", "1.23 × 10^−5"),
        (0.0004, "p", "< 0.001"),
        (0.001, "p", "0.001"),
        (0.0123, "p", "0.012"),
        (1.0, "p", "1.000"),
        (1234.0, "count", "1,234"),
        (0.1234, "share", "12.3 %"),
        (math.nan, "percent", "n/a"),
        (None, "text", "n/a"),
        (pd.NA, "count", "n/a"),
        ("nan", "text", "nan"),
    ],
)
def test_values_as_they_are_shown(value: object, kind: str, text: str) -> None:
    assert page.shown(value, kind) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1.0, 1.49, math.nan, 8.3], ["1.00", "1.49", "n/a", "8.30"]),
        ([1.0, 2.0, 1234.0], ["1", "2", "1,234"]),
        ([0.5, 120.25, -0.001], ["0", "120", "0"]),
        ([1.0, -0.9621, 0.04], ["1.00", "−0.96", "0.04"]),
        ([0.9996, 0.5], ["1.00", "0.50"]),
        ([0.00002, 0.0], ["2.00 × 10^−5", "0"]),
        ([2.5, math.inf], ["2.50", "inf"]),
        ([math.nan, None], ["n/a", "n/a"]),
    ],
)
def test_numbers_of_a_column_have_as_many_decimals(values: list[float], told: list[str]) -> None:
    listing = Listing("l", "l", pd.DataFrame({"x": values}), [Column("x", "x", "number")], "x.csv")
    assert [entry.text for (entry,) in page.listing_rows(listing, {})] == told


def test_every_number_of_a_listing_is_on_the_page(study: Page, document: Node) -> None:
    for listing in study.sections[0].listings:
        box = document.by_id(f"listing-{listing.key}")
        (table,) = box.all("table")
        head, *rows = table.table()
        assert head == [column.label for column in listing.columns]
        assert len(rows) == len(listing.frame)
        for row, record in zip(rows, listing.frame.to_dict("records"), strict=True):
            expected = [
                page.shown(
                    record[c.name], c.kind, page.decimals_of(listing.frame[c.name]) if c.kind == "number" else None
                )
                if c.kind != "runs"
                else "0 1 2"
                for c in listing.columns
            ]
            assert row == expected
        assert [th.attributes.get("title") for th in table.all("thead")[0].all("th")][2] == "higher is better hau"
        assert "F1 higher is better hau" in box.of_class("legend")[0].text
    links = [a.attributes["href"] for a in document.by_id("listing-pairs").all("tbody")[0].all("a")]
    assert links[:3] == [f"{RUN_URL}000f", f"{RUN_URL}001f", f"{RUN_URL}002f"]


def test_without_pages_of_runs_there_are_no_links(study: Page) -> None:
    for url in ("", "javascript:alert(1)//"):
        plain = parsed(dataclasses.replace(study, run_url=url))
        assert not [a for a in plain.all("a") if "000f" in a.attributes["href"]]
        assert "000f" in plain.by_id("provenance").text


def test_findings_stand_worst_first_with_their_rows(document: Node) -> None:
    findings = document.of_class("finding")
    assert [f.of_class("badge")[0].text for f in findings] == ["wrong", "care", "note"]
    wrong, care, note = findings
    assert wrong.all("b")[0].text == "it is wrong." and "audit/missing.csv" in [
        a.attributes["href"] for a in wrong.all("a")
    ]
    assert care.all("details")[0].all("summary")[0].text == "20 rows"
    assert care.table()[:2] == [["source", "f1", "seed"], ["hau", "50.1", "0"]] and len(care.table()) == 13
    assert not note.all("details")


def test_many_findings_fold_the_notes_and_none_is_said_in_words(study: Page) -> None:
    many = parsed(dataclasses.replace(study, findings=[*study.findings] * 3)).by_id("audit")
    (folded,) = [d for d in many.all("details") if d.all("summary")[0].text == "3 notes"]
    assert [f.of_class("badge")[0].text for f in folded.of_class("finding")] == ["note"] * 3
    assert [f.of_class("badge")[0].text for f in many.of_class("finding")] == [
        *["wrong"] * 3,
        *["care"] * 3,
        *["note"] * 3,
    ]
    none = parsed(dataclasses.replace(study, findings=[])).by_id("audit")
    assert "Nothing found" in none.text and none.of_class("good") and not none.of_class("finding")


def test_the_page_begins_with_the_answer_and_then_the_cautions(study: Page, document: Node) -> None:
    parts = [node.attributes["id"] for node in document.all("section")]
    assert parts[:4] == ["answer", "summary", "audit", "matrices"]
    first = document.by_id("answer")
    assert first.table()[0] == ["source", "study", "F1"] and "What next: study." in first.text
    links = [a.attributes["href"] for a in document.all("nav")[0].all("a")]
    assert links[1:4] == ["#answer", "#summary", "#audit"]
    without = parsed(dataclasses.replace(study, answer=None))
    assert without.all("section")[0].attributes["id"] == "summary"


def test_a_listing_without_rows_says_so(study: Page) -> None:
    empty = dataclasses.replace(study.sections[0].listings[0], frame=study.sections[0].listings[0].frame.head(0))
    section = dataclasses.replace(study.sections[0], listings=[empty])
    table = parsed(dataclasses.replace(study, sections=[section])).by_id("listing-pairs").table()
    assert table[1:] == [["no rows"]]


def test_pictures_have_words_their_size_and_their_files(document: Node) -> None:
    (image,) = document.all("img")
    assert image.attributes["alt"] == "What study shows"
    assert (int(image.attributes["width"]), int(image.attributes["height"])) == (2 * plots.PNG_DPI, plots.PNG_DPI)
    with pytest.raises(ValueError, match="PNG"):
        page.image(b"<svg onload='alert(1)'></svg>")


def test_without_scripts_the_first_matrix_stands_with_its_averages(study: Page, document: Node) -> None:
    assert document.by_id("matrix").table() == expected_view(study, "base", "ALL", "mean", notes=False)


def test_a_page_without_matrices_and_sections(study: Page) -> None:
    bare = parsed(dataclasses.replace(study, matrices=[], sections=[], runs={}, tiles=[], summary=[], files=[]))
    assert not bare.all("table", id="matrix") and bare.all("h1")[0].text == "study"


# --- differences and colours -----------------------------------------------------------------------------


def test_differences_are_to_the_same_source_and_target(study: Page) -> None:
    base, other, pivot = study.matrices
    a, b = (m.statistics["PER"]["mean"] for m in (other, base))
    found = page.difference(other, base, "PER")
    assert found is not None
    pd.testing.assert_frame_equal(found, a - b)
    found = page.difference(pivot, base, "ALL")
    assert found is not None and found.loc["base"].isna().all()  # the reference itself
    for start in LANGUAGES:
        row = pivot.statistics["ALL"]["mean"].loc[start] - base.statistics["ALL"]["mean"].loc["ibo"]
        np.testing.assert_array_equal(found.loc[start], row)


@pytest.mark.parametrize("pivot", ["hau", "hau+swa"])
def test_a_pivot_that_is_no_target_is_compared_with_itself_from_the_reference(pivot: str) -> None:
    """The starts have names of sources; the reference on those has other scores."""

    def of(name: str, row_name: str, f1: dict[str, float], configurations: dict[str, str]) -> Matrix:
        means = pd.DataFrame({"swa": f1})
        return Matrix(name, name, row_name, list(f1), ["swa"], {}, configurations, {"ALL": {"mean": means}}, "f.csv")

    base = of("base", "source", {pivot: 40.0, "swa": 90.0}, {pivot: f"base-{pivot}", "swa": "base-swa"})
    starts = {"base": f"base-{pivot}", "swa": f"swa-{pivot}"}
    found = page.difference(of(f"source-{pivot}", "start", {"base": 40.0, "swa": 50.0}, starts), base, "ALL")
    assert found is not None
    assert found["swa"].to_dict() == pytest.approx({"base": math.nan, "swa": 10.0}, nan_ok=True)


def test_no_difference_where_nothing_is_shared(study: Page) -> None:
    base, other, _ = study.matrices
    assert page.difference(base, base, "ALL") is None
    assert page.difference(other, None, "ALL") is None
    assert page.difference(other, base, "ORG") is None
    apart = matrix("apart", ["x", "y", "z", "q"], 0)
    assert page.difference(apart, base, "ALL") is None
    order = matrix("order", [*LANGUAGES[::-1]], 0)
    found = page.difference(order, base, "ALL")
    expected = order.statistics["ALL"]["mean"] - base.statistics["ALL"]["mean"]
    assert found is not None
    pd.testing.assert_frame_equal(found, expected.loc[LANGUAGES[::-1], LANGUAGES[::-1]])


def test_one_scale_for_all_views_of_a_statistic(study: Page) -> None:
    found = page.scales(study)
    means = [frames["mean"] for m in study.matrices for frames in m.statistics.values()]
    assert (found["mean"].low, found["mean"].high) == matrices.limits(means)
    assert found["difference"].low == -found["difference"].high < 0
    outlier = [dataclasses.replace(m, statistics=_with_outlier(m)) for m in study.matrices]
    wide = page.scales(dataclasses.replace(study, matrices=outlier))
    assert found["sd"].high <= wide["sd"].high < 50 and wide["sd"].clipped and wide["sd"].low == 0


def _with_outlier(m: Matrix) -> Mapping[str, Mapping[str, pd.DataFrame]]:
    if m.name != "base":
        return m.statistics
    sd = m.statistics["ALL"]["sd"].copy()
    sd.iloc[0, 0] = 60
    return {**m.statistics, "ALL": {**m.statistics["ALL"], "sd": sd}}


@given(st.floats(-200, 200), st.floats(-200, 200))
def test_colours_follow_the_numbers(x: float, y: float) -> None:
    scale = page.Scale(-10, 10)
    low, high = sorted((x, y))
    assert 0 <= page.step(low, scale) <= page.step(high, scale) < page.STEPS
    assert page.step(0, scale) == page.STEPS // 2  # no difference has the colour in the middle


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", page.PALETTES)
def test_numbers_can_be_read_on_every_colour_and_scales_differ_in_lightness(name: str, theme: str) -> None:
    colours = page.colours(getattr(page.PALETTES[name], theme))
    light = [page.luminance(colour) for colour in colours]
    for colour, y in zip(colours, light, strict=True):
        text = {"#000": 0.0, "#fff": 1.0}[page.ink(colour)]
        assert (max(y, text) + 0.05) / (min(y, text) + 0.05) >= 4.5  # WCAG 2.2, level AA
    half = page.STEPS // 2
    ways = [light[: half + 1], light[: half - 1 : -1]] if name == "difference" else [light]
    for way in ways:  # without hue, as in grey print: always darker, or always lighter
        changes = np.diff(way)
        assert (changes > 0).all() or (changes < 0).all()


# --- shown by a browser ----------------------------------------------------------------------------------


Visit = Callable[..., tuple[Node, dict]]


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profile")


@pytest.fixture
def visit(tmp_path: Path, profile: Path) -> Visit:
    """Show a page; returns its document once its script has run, and what ``script`` returned, an object."""

    def show(
        made: Page, script: str = "return {}", view: str = "", width: int = 1200, sandboxed: bool = False
    ) -> tuple[Node, dict]:
        shown, told = looked_at(page.render(made), tmp_path, profile, script, view, width, sandboxed)
        return Tree(shown).root, told

    return show


def expected_view(
    made: Page, name: str, category: str, show: str, zero_shot: bool = False, notes: bool = True
) -> list[list[str]]:
    """The texts of the matrix in its own order: computed from the frames, not as the page does."""
    m = next(m for m in made.matrices if m.name == name)
    frames = m.statistics[category]
    numbers, left_out = frames["mean" if show == "mean" else "sd"].copy(), pd.DataFrame(
        False, index=list(m.rows), columns=list(m.targets)
    )  # fmt: skip
    if show == "difference":
        base = made.matrices[0].statistics[category]["mean"]
        for row in m.rows:
            numbers.loc[row] = frames["mean"].loc[row] - base.loc[m.own[row][0]]
            left_out.loc[row] = m.configurations[row] in made.matrices[0].configurations.values()
    if zero_shot:
        for row in m.rows:
            left_out.loc[row, m.own[row]] = True

    def text(value: float, dense: bool = False) -> str:
        return tables.number(value, 0 if dense else 1, show == "difference")

    def mean_of(values: list[float]) -> str:
        return text(sum(values) / len(values)) if values else "·"

    def place(row: str, target: str) -> str:
        if left_out.loc[row, target]:
            return "·"
        n, half = frames["n"].loc[row, target], math.nan  # half of the interval of the mean
        if "low" in frames:
            half = (frames["high"].loc[row, target] - frames["low"].loc[row, target]) / 2
        spread = "" if math.isnan(half) else f"± {tables.number(half)}"
        note = (
            " ".join([text for text in (spread, "n=2" * bool(n == 2)) if text])
            if notes and show == "mean" and n
            else ""
        )
        return text(numbers.loc[row, target]) + note

    def shown(pairs: list[tuple[str, str]], own: bool = False) -> str:
        chosen = [pair for pair in pairs if (pair[1] in m.own[pair[0]]) == own]
        return mean_of([float(numbers.loc[pair]) for pair in chosen if not left_out.loc[pair]])

    kinds = {"zero-shot": False} if zero_shot else {"zero-shot": False, "in-language": True}
    lines = [
        [row, *(place(row, target) for target in m.targets),
         *(shown([(row, t) for t in m.targets], own) for own in kinds.values())]
        for row in m.rows
    ]  # fmt: skip
    last = [
        "zero-shot",
        *(shown([(r, t) for r in m.rows]) for t in m.targets),
        *(shown([*itertools.product(m.rows, m.targets)], own) for own in kinds.values()),
    ]
    return [[f"{m.row_name} → target", *m.targets, *kinds], *lines, last]


TABLE = """const table = () => [...document.querySelectorAll("#matrix tr")].map((row) =>
  [...row.cells].map((cell) => cell.textContent.trim()));
const press = (name, value) => document.querySelector(`[data-switch=${name}] [value="${value}"]`).click();
const address = () => decodeURIComponent(location.hash.slice(1));
"""


def test_every_view_shows_the_numbers_of_its_frame(study: Page, visit: Visit) -> None:
    views = [
        (name, category, show, zero_shot)
        for name in ("base", "swa", "source-ibo")
        for category in CATEGORIES
        for show in ("mean", "sd", "difference")
        for zero_shot in (False, True)
        if (name, show) != ("base", "difference")
    ]
    _, told = visit(
        study,
        TABLE
        + f"""return {{ tables: {json.dumps(views)}.map(([matrix, category, show, zeroShot]) => {{
          press("matrix", matrix); press("category", category); press("show", show);
          const box = document.getElementById("zero-shot");
          if (box.checked !== zeroShot) box.click();
          return [address(), table()];
        }}) }};""",
    )
    for view, (address, found) in zip(views, told["tables"], strict=True):
        assert found == expected_view(study, *view), view
        name, category, show, zero_shot = view
        places = "&places=zero-shot" if zero_shot else ""
        assert address == f"matrix={name}&category={category}&show={show}{places}"


def test_a_target_without_the_category_is_left_out_of_it_and_of_its_averages(study: Page, visit: Visit) -> None:
    base, *others = study.matrices
    gone, kept = base.targets[0], base.targets[1:]
    frames = {name: frame[kept] for name, frame in base.statistics["PER"].items()}
    made = dataclasses.replace(
        study, matrices=[dataclasses.replace(base, statistics={**base.statistics, "PER": frames}), *others]
    )
    _, told = visit(
        made, TABLE + """press("category", "PER"); const found = table();
        document.querySelector("#matrix tbody tr td").click();
        return { found, panel: document.getElementById("place").textContent };""",
    )  # fmt: skip
    own = {row: [t for t in base.own[row] if t != gone] for row in base.rows}
    rest = dataclasses.replace(base, targets=kept, own=own)
    expected = expected_view(dataclasses.replace(study, matrices=[rest]), "base", "PER", "mean")
    assert told["found"] == [[row[0], gone if i == 0 else "·", *row[1:]] for i, row in enumerate(expected)]
    assert "no entity of this category" in told["panel"]


def test_a_linked_view_is_restored(study: Page, visit: Visit) -> None:
    root, told = visit(
        study,
        """return { top: document.getElementById("matrices").getBoundingClientRect().top, y: scrollY };""",
        "matrix=swa&category=PER&show=difference&places=zero-shot&rows=ibo&columns=zero-shot:ascending",
    )
    assert told["y"] > 0 and abs(told["top"]) < 100  # a link to a view leads to it
    pressed = [b.attributes["value"] for b in root.all("button", **{"aria-pressed": "true"})]
    assert pressed == ["swa", "PER", "difference"]
    found = root.by_id("matrix").table()
    plain = {row[0]: dict(zip(LANGUAGES, row[1:], strict=False)) for row in expected_view(
        study, "swa", "PER", "difference", True)[1:]}  # fmt: skip

    def size(text: str) -> float:
        return float(text.replace("−", "-")) if text not in ("n/a", "·") else math.inf

    rows, columns = [line[0] for line in found[1:]], found[0][1:]
    assert rows == [
        *sorted(LANGUAGES, key=lambda x: -size(plain[x]["ibo"]) if size(plain[x]["ibo"]) < 1e9 else 1e9),
        "zero-shot",
    ]
    assert columns == [*sorted(LANGUAGES, key=lambda x: size(plain["zero-shot"][x])), "zero-shot"]
    assert {line[0]: dict(zip(columns, line[1:], strict=True)) for line in found[1:-1]} == {
        row: {**plain[row], "zero-shot": expected[-1]}
        for row, expected in ((e[0], e) for e in expected_view(study, "swa", "PER", "difference", True)[1:-1])
    }
    assert root.by_id("matrix-file").attributes["href"] == "t/PER/swa%201-difference.csv"


def test_the_file_is_that_of_the_matrix_that_is_shown(study: Page, visit: Visit) -> None:
    _, told = visit(
        study,
        TABLE
        + """const link = () => document.getElementById("matrix-file").getAttribute("href");
        const found = [link()];
        document.getElementById("zero-shot").click(); found.push(link());
        press("show", "sd"); found.push(link());
        press("category", "PER"); found.push(link());
        return { found };""",
    )
    shown = ("ALL/base%201-mean", "ALL/base%201-zero-shot", "ALL/base%201-sd", "PER/base%201-sd")
    assert told["found"] == [f"t/{name}.csv" for name in shown]


def test_in_a_frame_without_an_address_as_viewers_of_artifacts_use(study: Page, visit: Visit) -> None:
    _, told = visit(study, TABLE + """press("show", "sd"); return { table: table() };""", sandboxed=True)
    assert told["table"] == expected_view(study, "base", "ALL", "sd")


def test_views_that_do_not_exist_fall_back(study: Page, visit: Visit) -> None:
    root, told = visit(
        study,
        """return { hidden: document.querySelector("[value=difference]").hidden };""",
        urlencode({"matrix": "base", "category": "<b>", "show": "difference", "rows": "constructor"}),
    )
    assert root.by_id("matrix").table() == expected_view(study, "base", "ALL", "mean")
    assert told["hidden"]  # the reference has no difference to itself


def test_heads_sort_and_the_order_comes_back(study: Page, visit: Visit) -> None:
    _, told = visit(
        study,
        TABLE
        + """
        const head = (name, of) =>
          [...document.querySelectorAll(`#matrix ${of} .sort`)].find((button) => button.textContent === name);
        const restore = document.getElementById("restore");
        const before = [table(), restore.hidden];
        head("wol", "thead").click();
        const sorted = document.querySelector("#matrix thead [aria-sort]").ariaSort;
        const down = [table().map((row) => row[0]), sorted, address()];
        head("wol", "thead").focus();
        document.activeElement.click();
        const up = [table().map((row) => row[0]), address(), document.activeElement.textContent];
        head("hau", "tbody").click();
        const both = table();
        restore.click();
        return { before, down, up, both, after: [table(), restore.hidden, address()] };""",
    )
    mean = study.matrices[0].statistics["ALL"]["mean"]
    by = mean["wol"].sort_values(ascending=False, na_position="last")
    assert told["down"][0][1:-1] == list(by.index) and told["down"][1] == "descending"
    assert told["down"][2].endswith("rows=wol")
    assert told["up"][0][1:-1] == list(mean["wol"].sort_values(na_position="last").index)  # n/a last both ways
    assert told["up"][1].endswith("rows=wol:ascending") and told["up"][2] == "wol"  # the keyboard stays where it is
    assert told["both"][0][1:-2] == list(mean.loc["hau"].sort_values(ascending=False).index)
    assert told["before"] == [expected_view(study, "base", "ALL", "mean"), True]
    assert told["after"][:2] == told["before"] and "rows" not in told["after"][2]


def test_a_place_tells_its_numbers_by_keyboard_pointer_and_tap(study: Page, visit: Visit) -> None:
    _, told = visit(
        study,
        TABLE
        + """
        const panel = document.getElementById("place");
        const text = () => panel.textContent.replace(/\\s+/g, " ");
        const key = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        const at = (r, c) => document.querySelectorAll("#matrix tbody tr")[r].cells[c];
        const pointer = { bubbles: true, pointerType: "mouse" };
        const point = (cell) => cell.dispatchEvent(new PointerEvent("pointerover", pointer));
        press("matrix", "swa");
        const stops = document.querySelectorAll("#matrix [tabindex='0']").length;
        document.querySelector("#matrix [tabindex='0']").focus();
        key("ArrowRight"); key("ArrowDown");
        const keyboard = text();
        point(at(0, 2));
        const pointed = text();
        at(0, 2).click();
        point(at(3, 1));
        const held = text();
        const links = [...panel.querySelectorAll("a")].map((a) => a.href);
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
        point(at(2, 4));
        return { stops, keyboard, pointed, held, links, missing: text() };""",
    )
    assert told["stops"] == 1  # the tab key passes the matrix in one step
    frames = study.matrices[1].statistics["ALL"]
    assert told["keyboard"].startswith("ibo → ibo")
    mean, sd = (tables.number(frames[name].loc["hau", "ibo"]) for name in ("mean", "sd"))
    for text in (told["pointed"], told["held"]):
        assert text.startswith("hau → iboLanguage of study → Igbozero-shot")
        assert f"F1{mean}" in text and f"sd over seeds{sd}" in text and "±" not in text  # which is an interval's half
        assert "3 seeds" in text and "runs ofswa-hau" in text
        assert f"95 % interval{tables.number(60.75)} to {tables.number(63.5)}" in text
        assert "minus base0.0 points" in text
    runs = study.runs["swa-hau"]
    assert told["links"] == [RUN_URL + run for _, run in runs]
    assert told["missing"].startswith("swa → wol") and "F1n/a" in told["missing"] and "0 seeds" in told["missing"]


def test_a_start_that_was_adapted_to_the_target_is_marked(study: Page, visit: Visit) -> None:
    pivot = dataclasses.replace(study.matrices[2], adapted={"hau": ["hau"]})
    _, told = visit(
        dataclasses.replace(study, matrices=[pivot]),
        """const marked = [...document.querySelectorAll("#matrix td.adapted")];
        marked[0].click();
        return { n: marked.length, row: marked[0].parentNode.cells[0].textContent, column: marked[0].cellIndex,
          panel: document.getElementById("place").textContent };""",
    )
    assert (told["n"], told["row"], told["column"]) == (1, "hau", 1)
    assert "zero-shot, start adapted to the target" in told["panel"]


@pytest.mark.parametrize(("width", "last"), [(1280, "how sure"), (390, "F1")])
def test_the_answer_is_seen_without_scrolling_sideways(study: Page, visit: Visit, width: int, last: str) -> None:
    rows = pd.DataFrame([("wol", "afroxlmr", "swa", 63.8, 61.0, 66.7, 19.6, 20.0, "sure (> 99 %)")] * 9)
    kinds = {"target": "text", "best start": "text", "source": "text", "F1": "percent", "95 % from": "percent",
             "to": "percent", "ahead by": "points", "over default": "points", "how sure": "text"}  # fmt: skip
    columns = [Column(i, label, kind) for i, (label, kind) in enumerate(kinds.items())]  # type: ignore[arg-type]
    answer = Section("answer", "The answer", [], [Listing("answers", "Best", rows, columns, "answers.csv")])
    _, told = visit(
        dataclasses.replace(study, answer=answer),
        """const heads = [...document.querySelectorAll("#listing-answers th[scope=col]")];
        const seen = heads.filter((th) => th.getBoundingClientRect().right <= innerWidth);
        return { seen: seen.map((th) => th.textContent) };""",
        width=width,
    )
    assert told["seen"][: list(kinds).index(last) + 1] == list(kinds)[: list(kinds).index(last) + 1]


def test_listings_sort_filter_and_show_all(study: Page, visit: Visit) -> None:
    _, told = visit(
        study,
        """
        const box = document.getElementById("listing-pairs");
        const rows = () => [...box.querySelectorAll("tbody tr")].filter((row) => row.getClientRects().length);
        const column = (i) => rows().map((row) => row.cells[i].textContent);
        const heads = [...box.querySelectorAll("th .sort")];
        const first = rows().length;
        heads[2].click();
        const down = [column(2), heads[2].parentNode.ariaSort];
        heads[2].click();
        const up = [column(2), heads[2].parentNode.ariaSort];
        const more = [...box.querySelectorAll(".tools button")].at(-1);
        more.click();
        const all = column(2);
        heads[2].click();
        const original = [column(2), heads[2].parentNode.ariaSort];
        const filter = box.querySelector("input");
        filter.value = "HAU wol";
        filter.dispatchEvent(new Event("input"));
        const filtered = rows().map((row) => row.textContent);
        return { first, down, up, all, original, filtered, status: box.querySelector("[role=status]").textContent,
          few: document.querySelectorAll("#listing-few input").length };""",
    )
    listing = study.sections[0].listings[0]
    values = listing.frame["f1"]
    assert len(values) == 32 and told["first"] == 25 and told["few"] == 0
    down = [tables.number(x) for x in values.sort_values(ascending=False, na_position="last")]
    up = [tables.number(x) for x in values.sort_values(na_position="last")]
    assert told["down"] == [down[:25], "descending"] and told["up"] == [up[:25], "ascending"]
    assert told["all"] == up and up[-1] == "n/a"
    assert told["original"] == [[tables.number(x) for x in values], None]
    pairs = listing.frame
    matching = pairs.apply(lambda row: {"hau", "wol"} <= {row["source"], row["target"]}, axis=1)
    assert len(told["filtered"]) == matching.sum() and told["status"].startswith(
        f"{matching.sum()} of {matching.sum()}"
    )


def test_hostile_names_are_inert_in_the_browser(visit: Visit) -> None:
    made = made_up(HOSTILE, HOSTILE[0] + HOSTILE[1] + HOSTILE[2])
    several = [dataclasses.replace(made.matrices[0], name=f"{HOSTILE[1]}{i}", title=HOSTILE[2]) for i in range(8)]
    root, told = visit(
        dataclasses.replace(made, matrices=[*made.matrices, *several], run_url=""),
        TABLE
        + """
        document.querySelectorAll("#matrix tbody td")[1].click();
        return { hacked: typeof hacked, images: document.images.length, scripts: document.scripts.length,
          heads: table()[0], place: document.querySelector("#place b").textContent };""",
        urlencode({"matrix": HOSTILE[2], "category": "PER"}),
    )
    assert told["hacked"] == "undefined" and told["images"] == 1
    assert told["scripts"] == 4  # three of the page, one of this test
    assert told["heads"][1:-2] == HOSTILE
    assert told["place"] == f"{HOSTILE[0]} → {HOSTILE[1]}"
    switch = [node for node in root.all("select") if node.attributes["data-switch"] == "matrix"]
    assert len(switch) == 1 and len(switch[0].all("option")) == 11  # too many for buttons


def many(count: int) -> Page:
    names = [f"x{i:02d}" for i in range(count)]
    return dataclasses.replace(made_up(), matrices=[matrix("base", names, 0)], reference="base")


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_the_screen(width: int, visit: Visit) -> None:
    long = [f"a-rather-long-name-of-a-language-{x}" for x in LANGUAGES]
    narrow = dataclasses.replace(
        made_up(long, "study" * 30), matrices=[matrix("base", [f"x{i:02d}" for i in range(40)], 0)]
    )
    _, told = visit(
        narrow,
        """for (const d of document.querySelectorAll("details")) d.open = true;
        document.querySelectorAll("#matrix tbody td")[1].click();
        const scroll = document.getElementById("matrix-scroll");
        scroll.scrollTo(10000, 10000);
        const heads = document.querySelectorAll("#matrix thead th:last-child, #matrix tbody tr:last-child th");
        const [box, head, side] = [scroll, ...heads].map((node) => node.getBoundingClientRect());
        return { wide: document.documentElement.scrollWidth, screen: innerWidth,
          stuck: [head.top - box.top, side.left - box.left],
          tall: document.querySelector("#matrix td").getBoundingClientRect().height };""",
        width=width,
    )
    assert told["screen"] == width and told["wide"] <= width
    assert all(abs(gap) < 3 for gap in told["stuck"])  # heads stay in sight
    assert told["tall"] < 30


def test_many_languages_have_no_decimals(visit: Visit) -> None:
    made = many(15)
    root, _ = visit(made)
    mean = made.matrices[0].statistics["ALL"]["mean"]
    mean = matrices.with_margins(mean, np.eye(len(mean), dtype=bool))
    found = root.by_id("matrix").table()
    assert [row[1:] for row in found[1:]] == [[tables.number(x, 0) for x in row] for row in mean.to_numpy()]
    assert parsed(made).by_id("matrix").table()[1:] == found[1:]  # also where no script runs
    assert any("." in text for row in parsed(many(14)).by_id("matrix").table()[1:] for text in row)


def test_print_shows_everything(study: Page, visit: Visit) -> None:
    _, told = visit(
        study,
        """dispatchEvent(new Event("beforeprint"));
        const open = [...document.querySelectorAll("details")].every((d) => d.open);
        dispatchEvent(new Event("afterprint"));
        const closed = [...document.querySelectorAll("details")].every((d) => !d.open);
        const print = [...document.styleSheets[0].cssRules].filter((rule) => rule.conditionText === "print");
        const style = document.createElement("style");
        style.textContent = print.flatMap((rule) => [...rule.cssRules]).map((rule) => rule.cssText).join("\\n");
        document.head.append(style);
        const rows = [...document.querySelectorAll("#listing-pairs tbody tr")];
        return { open, closed, rows: rows.filter((row) => row.getClientRects().length).length,
          nav: document.querySelector("nav").getClientRects().length };""",
    )
    assert told == {"open": True, "closed": True, "rows": 32, "nav": 0}


def test_the_data_address_of_a_picture_is_its_png(study: Page) -> None:
    image = page.image(study.images["figures/a b"])
    assert unquote(image.address).startswith("data:image/png;base64,iVBORw0KGgo")
