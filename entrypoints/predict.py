"""Find the entities of a text with a registered model: printed, or in CoNLL columns, JSON lines or an HTML page.

mlflow run . -e predict --env-manager local -P language=hau -P input=news.txt -P format=html
python entrypoints/predict.py --language hau --input "A saurari cikakken rahoton wakilin Muryar Amurka"
python entrypoints/predict.py --language hau --start swa --input news.txt
python entrypoints/predict.py --model models:/ner-hau@champion --input test.txt --input_format conll --format conll

A sentence in quotes, or what is piped in, is printed with its entities marked; a file gets one beside it.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # runs from a checkout that is not installed

from nertransfer.commands.run import run
from nertransfer.core.config import PredictConfig


def main(config: PredictConfig) -> None:
    from nertransfer.core.text import count
    from nertransfer.serving.prediction import predict
    from nertransfer.serving.rendering import visible

    terminal = sys.stdout.isatty()
    outcome = predict(config, colours=terminal and not os.environ.get("NO_COLOR"))
    if outcome.output is None:
        ours = not terminal or config.format in ("", "marked")  # else there may be what a terminal obeys
        print(outcome.printed if ours else visible(outcome.printed), end="")
        return
    found = count(outcome.entities, "entity", "entities")
    print(f"{found} in {count(outcome.texts, 'text')}: {outcome.output}")


if __name__ == "__main__":
    run(PredictConfig, main, __doc__)
