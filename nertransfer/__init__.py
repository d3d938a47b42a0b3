"""Cross-lingual transfer in named entity recognition: fine-tune, score, track, register."""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # threads that wait keep a processor busy: not for long, others need it
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it while it is imported
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its thread pool does not survive a fork
