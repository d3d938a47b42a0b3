"""Convert corpora in other formats, tag schemes and categories to a folder that every command reads.

    mlflow run . -e convert --env-manager local -P input=theirs -P output=mine -P categories=person=PER
    python entrypoints/convert.py theirs --categories person=PER

Prints a table of what was written and every change that was made. What does not fit is an error that names file and
line, and then nothing is written.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import ConvertConfig


def main(config: ConvertConfig) -> None:
    from nertransfer.corpora.conversion.converting import convert

    print(convert(config).text(), f"Written: {Path(config.output).absolute()}", sep="\n\n")


if __name__ == "__main__":
    run(ConvertConfig, main, __doc__)
