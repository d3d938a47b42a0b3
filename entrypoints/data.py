"""Read corpora strictly and describe them: sizes, entities, odd lines, repeated sentences, digests.

    mlflow run . -e data --env-manager local -P data=masakhaner -P languages=swa,hau
    python entrypoints/data.py --data masakhaner --languages swa,hau
    python entrypoints/data.py --data path/to/folder     # <language>/{train,dev,test}.txt

Prints a table and the findings, and writes <output>/<name of the data>/data.csv.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import DataConfig
from nertransfer.corpora.corpus import load
from nertransfer.corpora.description import findings_text, summary_rows, table, write_csv


def main(config: DataConfig) -> None:
    corpora = load(config.data)
    rows = summary_rows(corpora)
    path = Path(config.output).absolute() / config.data.name / "data.csv"
    write_csv(rows, path)
    print(table(rows), findings_text(corpora), f"Written: {path}", sep="\n\n")


if __name__ == "__main__":
    run(DataConfig, main, __doc__)
