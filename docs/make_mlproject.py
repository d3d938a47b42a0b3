"""Write MLproject from the configurations in nertransfer/config.py.

    make mlproject
    python docs/make_mlproject.py

MLproject repeats every parameter and default of the configurations, once per entry point;
the test suite compares the committed file with what this script would write.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # works in a bare checkout: the configurations need the standard library only

from nertransfer import config  # noqa: E402
from nertransfer.commandline import parameters  # noqa: E402

ENTRY_POINTS: dict[str, tuple[str, type]] = {
    "main": ("study", config.StudyConfig),
    "study": ("study", config.StudyConfig),
    "data": ("data", config.DataConfig),
    "adapt": ("adapt", config.AdaptConfig),
    "train": ("train", config.TrainConfig),
    "evaluate": ("evaluate", config.EvaluateConfig),
    "embed": ("embed", config.EmbedConfig),
    "register": ("register", config.RegisterConfig),
    "models": ("models", config.ModelsConfig),
    "rollback": ("rollback", config.RollbackConfig),
    "export": ("export", config.ExportConfig),
    "predict": ("predict", config.PredictConfig),
    "import_results": ("import_results", config.ImportConfig),
    "analyse": ("analyse", config.AnalyseConfig),
    "rank": ("rank", config.RankConfig),
}
"""Entry point -> (script in entrypoints/ without .py, its configuration)."""

HEADER = """\
# Made by docs/make_mlproject.py from nertransfer/config.py: change that, then `make mlproject`.
# What each parameter means: python entrypoints/<name>.py --help. An empty value is "not given".
# Every parameter is a string here: MLflow does not validate numbers, the entry point does, and a
# text passes through unchanged. MLflow quotes the values for the shell; {x} must not be quoted again.
"""


def entry_point(name: str) -> str:
    """One entry point as YAML, indented to stand under ``entry_points:``."""
    script, configuration = ENTRY_POINTS[name]
    lines = [f"  {name}:", "    parameters:"]
    command = [f"python entrypoints/{script}.py"]
    found = parameters(configuration)
    # What MLflow passes on counts as given: where a study file may say something else, nothing is given.
    from_file = any(p.name == "study_file" for p in found)
    for p in found:
        # A JSON string is a YAML string, whatever it looks like (5e-05, true, a comma list, nothing).
        default = "" if p.text is None else f", default: {json.dumps('' if from_file else p.text)}"
        lines.append(f"      {p.name}: {{type: string{default}}}")
        command.append(f"--{p.name} {{{p.name}}}")
    # >- folds the lines into one, joined by spaces
    lines += ["    command: >-", *(f"      {part}" for part in command)]
    return "\n".join(lines) + "\n"


def mlproject() -> str:
    """The whole text of MLproject."""
    head = f"{HEADER}name: nertransfer\nconda_env: conda.yaml\n\nentry_points:\n"
    return head + "\n".join(entry_point(name) for name in ENTRY_POINTS)


if __name__ == "__main__":
    (ROOT / "MLproject").write_text(mlproject(), encoding="utf-8")
