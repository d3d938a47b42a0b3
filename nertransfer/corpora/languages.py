"""The languages of MasakhaNER 1.0 and 2.0 and of the corpora beside it.

Families and regions of African languages follow Adelani et al. (2021, table 1) and Adelani et al. (2022, table 1).
Lineages are simplified from Glottolog, below the stocks that those tables name (so Mande and Atlantic-Congo are both
Niger-Congo here); places are one rough point for a language, in whole or half degrees.
A language that is not listed here is welcome everywhere; it just has no family.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    code: str
    name: str
    family: str
    region: str
    script: str = "Latin"
    lineage: tuple[str, ...] = ()
    """Groups that it belongs to, from the widest to the narrowest; empty: as far as ``family`` says."""
    place: tuple[float, float] | None = None
    """Latitude (north) and longitude (east), in degrees."""


_LATIN = "Latin"
_VOLTA_CONGO = ("Niger-Congo", "Atlantic-Congo", "Volta-Congo")
_KWA = (*_VOLTA_CONGO, "Kwa")
_BENUE_CONGO = (*_VOLTA_CONGO, "Benue-Congo")
_BANTOID = (*_BENUE_CONGO, "Bantoid")
_BANTU = (*_BANTOID, "Bantu")
_TABLE = (
    Language(
        "amh",
        "Amharic",
        "Afro-Asiatic / Ethio-Semitic",
        "East Africa",
        "Ethiopic",
        ("Afro-Asiatic", "Semitic", "Ethio-Semitic", "South Ethio-Semitic"),
        (11.5, 39.5),
    ),
    Language(
        "bam",
        "Bambara",
        "Niger-Congo / Mande",
        "West Africa",
        _LATIN,
        ("Niger-Congo", "Mande", "Western Mande", "Manding"),
        (12.0, -7.0),
    ),
    Language(
        "bbj",
        "Ghomala",
        "Niger-Congo / Grassfields",
        "Central Africa",
        _LATIN,
        (*_BANTOID, "Grassfields", "Bamileke"),
        (5.5, 10.5),
    ),
    Language("ewe", "Ewe", "Niger-Congo / Kwa", "West Africa", _LATIN, (*_KWA, "Gbe", "Ewe"), (6.5, 0.5)),
    Language("fon", "Fon", "Niger-Congo / Volta-Niger", "West Africa", _LATIN, (*_KWA, "Gbe", "Fon"), (7.0, 2.0)),
    Language(
        "hau",
        "Hausa",
        "Afro-Asiatic / Chadic",
        "West Africa",
        _LATIN,
        ("Afro-Asiatic", "Chadic", "West Chadic", "Hausa-Gwandara"),
        (11.0, 9.0),
    ),
    Language("ibo", "Igbo", "Niger-Congo / Volta-Niger", "West Africa", _LATIN, (*_BENUE_CONGO, "Igboid"), (6.0, 7.0)),
    Language(
        "kin",
        "Kinyarwanda",
        "Niger-Congo / Bantu",
        "East Africa",
        _LATIN,
        (*_BANTU, "Great Lakes Bantu", "Western Lakes Bantu"),
        (-2.0, 30.0),
    ),
    Language(
        "lug",
        "Luganda",
        "Niger-Congo / Bantu",
        "East Africa",
        _LATIN,
        (*_BANTU, "Great Lakes Bantu", "West Nyanza"),
        (1.0, 32.0),
    ),
    Language(
        "luo",
        "Luo",
        "Nilo-Saharan",
        "East Africa",
        _LATIN,
        ("Nilo-Saharan", "Nilotic", "Western Nilotic", "Luo-Burun"),
        (-0.5, 34.5),
    ),
    Language(
        "mos", "Mossi", "Niger-Congo / Gur", "West Africa", _LATIN, (*_VOLTA_CONGO, "Gur", "Oti-Volta"), (12.5, -1.5)
    ),
    Language("nya", "Chichewa", "Niger-Congo / Bantu", "South-East Africa", _LATIN, (*_BANTU, "Nyasa"), (-14.5, 34.0)),
    Language(
        "pcm",
        "Nigerian-Pidgin",
        "English creole",
        "West Africa",
        _LATIN,
        ("Indo-European", "Germanic", "English creole"),
        (6.5, 5.0),
    ),
    Language("sna", "chiShona", "Niger-Congo / Bantu", "Southern Africa", _LATIN, (*_BANTU, "Shona"), (-18.5, 31.0)),
    Language(
        "swa",
        "Kiswahili",
        "Niger-Congo / Bantu",
        "East and Central Africa",
        _LATIN,
        (*_BANTU, "Northeast Coast Bantu", "Sabaki"),
        (-6.5, 39.0),
    ),
    Language(
        "tsn",
        "Setswana",
        "Niger-Congo / Bantu",
        "Southern Africa",
        _LATIN,
        (*_BANTU, "Southern Bantu", "Sotho-Tswana"),
        (-24.5, 25.5),
    ),
    Language("twi", "Akan/Twi", "Niger-Congo / Kwa", "West Africa", _LATIN, (*_KWA, "Potou-Tano", "Akan"), (6.5, -1.5)),
    Language(
        "wol",
        "Wolof",
        "Niger-Congo / Senegambia",
        "West Africa",
        _LATIN,
        ("Niger-Congo", "Atlantic-Congo", "Atlantic", "Wolofic"),
        (15.0, -16.0),
    ),
    Language(
        "xho",
        "isiXhosa",
        "Niger-Congo / Bantu",
        "Southern Africa",
        _LATIN,
        (*_BANTU, "Southern Bantu", "Nguni"),
        (-32.0, 28.0),
    ),
    Language(
        "yor", "Yoruba", "Niger-Congo / Volta-Niger", "West Africa", _LATIN, (*_BENUE_CONGO, "Yoruboid"), (7.5, 4.5)
    ),
    Language(
        "zul",
        "isiZulu",
        "Niger-Congo / Bantu",
        "Southern Africa",
        _LATIN,
        (*_BANTU, "Southern Bantu", "Nguni"),
        (-28.5, 31.0),
    ),
)
MASAKHANER = ("amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor")
MASAKHANER2 = tuple(language.code for language in _TABLE if language.code != "amh")


def _elsewhere(
    code: str, name: str, group: str, region: str, place: tuple[float, float], *lineage: str, script: str = _LATIN
) -> Language:
    """A language of Europe or Asia: ``group`` is a family and a branch of it, ``lineage`` what is below."""
    return Language(code, name, group, region, script, (*group.split(" / "), *lineage), place)


_GERMANIC, _ROMANCE = "Indo-European / Germanic", "Indo-European / Romance"
_BEYOND = (
    _elsewhere("ara", "Arabic", "Afro-Asiatic / Semitic", "Middle East and North Africa", (27.0, 43.0),
               "Central Semitic", script="Arabic"),
    _elsewhere("dan", "Danish", _GERMANIC, "Northern Europe", (55.0, 10.0), "North Germanic", "East Scandinavian"),
    _elsewhere("deu", "German", _GERMANIC, "Western Europe", (48.5, 12.5), "West Germanic", "High German"),
    _elsewhere("eng", "English", _GERMANIC, "Western Europe", (53.0, -1.0), "West Germanic", "Anglo-Frisian"),
    _elsewhere("spa", "Spanish", _ROMANCE, "Southern Europe", (40.5, -1.0), "Western Romance", "Ibero-Romance"),
    _elsewhere("fas", "Persian", "Indo-European / Iranian", "Middle East and North Africa", (33.0, 53.0),
               "Western Iranian", script="Arabic"),
    _elsewhere("fin", "Finnish", "Uralic / Finnic", "Northern Europe", (64.5, 25.5), "Coastal Finnic"),
    _elsewhere("fra", "French", _ROMANCE, "Western Europe", (48.0, 2.0), "Western Romance", "Gallo-Romance"),
    _elsewhere("hun", "Hungarian", "Uralic / Ugric", "Eastern Europe", (47.0, 19.0)),
    _elsewhere("ind", "Indonesian", "Austronesian / Malayo-Polynesian", "South-East Asia", (-7.0, 106.0), "Malayic"),
    _elsewhere("ita", "Italian", _ROMANCE, "Southern Europe", (43.0, 12.5), "Italo-Dalmatian"),
    _elsewhere("lav", "Latvian", "Indo-European / Balto-Slavic", "Northern Europe", (57.0, 24.5), "Baltic"),
    _elsewhere("nep", "Nepali", "Indo-European / Indo-Aryan", "South Asia", (28.5, 84.0), "Northern Indo-Aryan",
               script="Devanagari"),
    _elsewhere("nld", "Dutch", _GERMANIC, "Western Europe", (52.0, 5.5), "West Germanic", "Low Franconian"),
    _elsewhere("nor", "Norwegian", _GERMANIC, "Northern Europe", (61.0, 8.5), "North Germanic", "West Scandinavian"),
    _elsewhere("por", "Portuguese", _ROMANCE, "Southern Europe", (39.5, -8.0), "Western Romance", "Ibero-Romance"),
    _elsewhere("ron", "Romanian", _ROMANCE, "Eastern Europe", (46.0, 24.5), "Eastern Romance"),
    _elsewhere("swe", "Swedish", _GERMANIC, "Northern Europe", (59.5, 17.5), "North Germanic", "East Scandinavian"),
    _elsewhere("ukr", "Ukrainian", "Indo-European / Balto-Slavic", "Eastern Europe", (49.5, 31.0), "Slavic",
               "East Slavic", script="Cyrillic"),
)  # fmt: skip
_TWO_LETTERS = {
    "am": "amh", "ar": "ara", "da": "dan", "de": "deu", "en": "eng", "es": "spa", "fa": "fas", "fi": "fin", "fr": "fra",
    "ha": "hau", "hu": "hun", "id": "ind", "ig": "ibo", "it": "ita", "lv": "lav", "ne": "nep", "nl": "nld", "no": "nor",
    "pt": "por", "ro": "ron", "rw": "kin", "sn": "sna", "sv": "swe", "sw": "swa", "tn": "tsn", "uk": "ukr", "wo": "wol",
    "xh": "xho", "yo": "yor", "zu": "zul", "bm": "bam", "ee": "ewe", "lg": "lug", "ny": "nya", "tw": "twi",
}  # fmt: skip
"""ISO 639-1 to 639-3, of the languages that are listed here."""
_BY_CODE = {language.code: language for language in (*_TABLE, *_BEYOND)}
LANGUAGES = _BY_CODE | {short: _BY_CODE[code] for short, code in _TWO_LETTERS.items()}
"""Languages by code, of three letters and of two."""
CODES = tuple(sorted(_BY_CODE))
"""One code a language, of ISO 639-3."""

TRANSFER = (
    "am", "ar", "bam", "bbj", "da", "de", "en", "es", "ewe", "fa", "fi", "fon", "fr", "hau", "hu", "ibo", "id", "it",
    "kin", "lug", "luo", "lv", "mos", "ne", "nl", "no", "nya", "pcm", "pt", "ro", "sna", "sv", "swa", "tsn", "twi",
    "uk", "wol", "xho", "yor", "zul",
)  # fmt: skip
"""Languages of the transfer corpora beside MasakhaNER 2.0, as their repository calls them."""
