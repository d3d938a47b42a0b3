"""MLflow's own samples of the machine, on a run that a client has made."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from nertransfer.tracking.store import Study


@contextmanager
def sampled(study: Study | None, run_id: str, goes_on: bool = False) -> Iterator[None]:
    """While the block lasts, MLflow samples processor, memory, disk, network and GPU as the run's ``system/`` metrics.

    It does so where ``MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING`` is true, as in runs that MLflow opens itself.
    ``goes_on``: the run has some already.
    """
    if study is None or not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        yield
        return
    monitor = SystemMetricsMonitor(run_id, resume_logging=goes_on, tracking_uri=study.uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
