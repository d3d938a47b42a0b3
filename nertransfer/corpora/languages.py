"""The languages of MasakhaNER 1.0 and 2.0: code, name, family, region and script, lineage and place.

Families and regions follow Adelani et al. (2021, table 1) and Adelani et al. (2022, table 1). Lineages are simplified
from Glottolog, below the stocks that those tables name (so Mande and Atlantic-Congo are both Niger-Congo here); places
are one rough point for a language, in whole or half degrees.
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
LANGUAGES = {language.code: language for language in _TABLE}

MASAKHANER = ("amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor")
MASAKHANER2 = tuple(code for code in LANGUAGES if code != "amh")
