"""The languages of MasakhaNER 1.0 and 2.0: code, name, family, region and script.

Families and regions follow Adelani et al. (2021, table 1) and Adelani et al. (2022, table 1).
A language that is not listed here is welcome everywhere; it just has no family.
"""

import re
from dataclasses import dataclass

from nertransfer.errors import InputError

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Language:
    code: str
    name: str
    family: str
    region: str
    script: str = "Latin"


_TABLE = (
    Language("amh", "Amharic", "Afro-Asiatic / Ethio-Semitic", "East Africa", "Ethiopic"),
    Language("bam", "Bambara", "Niger-Congo / Mande", "West Africa"),
    Language("bbj", "Ghomala", "Niger-Congo / Grassfields", "Central Africa"),
    Language("ewe", "Ewe", "Niger-Congo / Kwa", "West Africa"),
    Language("fon", "Fon", "Niger-Congo / Volta-Niger", "West Africa"),
    Language("hau", "Hausa", "Afro-Asiatic / Chadic", "West Africa"),
    Language("ibo", "Igbo", "Niger-Congo / Volta-Niger", "West Africa"),
    Language("kin", "Kinyarwanda", "Niger-Congo / Bantu", "East Africa"),
    Language("lug", "Luganda", "Niger-Congo / Bantu", "East Africa"),
    Language("luo", "Luo", "Nilo-Saharan", "East Africa"),
    Language("mos", "Mossi", "Niger-Congo / Gur", "West Africa"),
    Language("nya", "Chichewa", "Niger-Congo / Bantu", "South-East Africa"),
    Language("pcm", "Nigerian-Pidgin", "English creole", "West Africa"),
    Language("sna", "chiShona", "Niger-Congo / Bantu", "Southern Africa"),
    Language("swa", "Kiswahili", "Niger-Congo / Bantu", "East and Central Africa"),
    Language("tsn", "Setswana", "Niger-Congo / Bantu", "Southern Africa"),
    Language("twi", "Akan/Twi", "Niger-Congo / Kwa", "West Africa"),
    Language("wol", "Wolof", "Niger-Congo / Senegambia", "West Africa"),
    Language("xho", "isiXhosa", "Niger-Congo / Bantu", "Southern Africa"),
    Language("yor", "Yoruba", "Niger-Congo / Volta-Niger", "West Africa"),
    Language("zul", "isiZulu", "Niger-Congo / Bantu", "Southern Africa"),
)
LANGUAGES = {language.code: language for language in _TABLE}

MASAKHANER = ("amh", "hau", "ibo", "kin", "lug", "luo", "pcm", "swa", "wol", "yor")
MASAKHANER2 = tuple(code for code in LANGUAGES if code != "amh")


def check_code(code: str, parameter: str = "", item: str = "") -> str:
    """``code`` itself if it can name a language; raises InputError otherwise.

    Codes become file names, metric keys and registered model names, so they are a letter
    followed by at most 31 letters, digits, ``_`` or ``-``. ``parameter`` and ``item`` say where it stood.
    """
    if not _CODE.fullmatch(code):
        raise InputError(
            f"language {code!r} is not a usable code: a letter, then at most 31 letters, "
            "digits, '_' or '-' (for example 'swa')",
            parameter,
            item or code,
        )
    return code
