"""Cells as the tasks of a Slurm array: submitted and watched (executor=slurm), or written down (executor=script).

A task is the ``train`` entry point with one cell's parameters, so it claims, resumes and delivers like
any other run of a cell. The state is in the tracking store alone; Slurm is only asked, by squeue,
which tasks it still knows, so no accounting database is needed. A task that reaches its time limit
is requeued and goes on from its checkpoint in the same run.
"""

import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from nertransfer.core import schema
from nertransfer.core.console import Display
from nertransfer.core.errors import InputError
from nertransfer.core.files import PROJECT, installing
from nertransfer.core.options import SlurmOptions
from nertransfer.core.text import count
from nertransfer.studies.executors.local import ATTEMPTS, Results
from nertransfer.studies.executors.slurm_task import Task
from nertransfer.studies.runner import DELIVERED, RAN, Outcome, claim_name
from nertransfer.tracking import claims, project
from nertransfer.tracking.claims import Claims, Owner
from nertransfer.tracking.runs import is_scored, place_in_store
from nertransfer.tracking.store import Run, Study, kind_runs
from nertransfer.training.cell import Cell

logger = logging.getLogger("nertransfer")

FIRST_POLL_SECONDS, POLL_SECONDS = 1.0, 15.0
"""Between two looks at the queue: short at first, then longer and longer."""
GRACE_SECONDS = 30.0
"""A task that has left the queue may still be heard of for so long, if its deadline is not shorter."""
ARRAY_SIZE = 1000
"""Tasks of one array at most where the cluster cannot be asked; Slurm's own default limit is 1001."""
REQUEUES = 1000
"""How often a task may reach its time limit."""
_ACTIVE = {
    "PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "REQUEUED", "REQUEUE_FED",
    "REQUEUE_HOLD", "RESIZING", "RESV_DEL_HOLD", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "PREEMPTED",
}  # fmt: skip

_NO_ROOM = re.compile(r"submit limit|MaxSubmit|QOSMax|QOSGrp|AssocMax|AssocGrp", re.IGNORECASE)
"""How Slurm says that a user has as many tasks in the queue as are allowed."""

_RANKS = {"SCHEDULED": 1, "RUNNING": 2, "FINISHED": 3}
"""Which of several runs of a cell counts: the higher one, of equals the younger."""

Commands = Mapping[str, list[str]]
"""By name of the cell, the command that runs it."""


def states(job: str) -> dict[str, str] | None:
    """Slurm's word on the tasks of a job by ``<array>_<index>``; None where squeue does not answer.

    A job that Slurm has forgotten has no tasks.
    """
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return {} if "Invalid job id" in done.stderr else None
    return dict(line.split() for line in done.stdout.splitlines() if line.strip())


def array_size(options: SlurmOptions) -> int:
    """Tasks of one array at most: as the options say, else as the cluster does, else `ARRAY_SIZE`.

    Raises InputError where the cluster takes no arrays.
    """
    if options.slurm_array_size:
        return options.slurm_array_size
    try:
        command = ["scontrol", "show", "config"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ARRAY_SIZE
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", said, re.MULTILINE)
    if found is None:
        return ARRAY_SIZE
    if int(found[1]) == 0:
        raise InputError("executor: this cluster takes no job arrays (MaxArraySize=0): use executor=local", "executor")
    return int(found[1])


def others() -> bool:
    """Whether this user has any job in the queue."""
    try:
        done = subprocess.run(["squeue", "--me", "--noheader"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(done.stdout.strip())


# --- submitted and watched -----------------------------------------------------------------------


class _NoRoom(Exception):
    """Slurm takes no more tasks of this user for now."""


@dataclass
class _Watched:
    cell: Cell
    task: str
    attempts: int
    missed_since: float | None = None

    @property
    def job(self) -> str:
        return self.task.partition("_")[0]


class Cluster:
    """Runs cells as array tasks. ``tags`` gives every cell's run its tags before it begins; ``again``: the
    cells are finished, and what finished before does not count."""

    def __init__(
        self,
        study: Study,
        options: SlurmOptions,
        folder: Path,
        commands: Commands,
        tags: Mapping[str, dict[str, str]],
        again: bool = False,
    ) -> None:
        self.study, self.options, self.folder = study, options, folder
        self.commands, self.tags, self.again = commands, tags, again
        self._old: set[str] = set()
        self._waiting: list[tuple[Cell, int]] = []
        self._most = self._size = 0

    def run(self, cells: Sequence[Cell], targets: Mapping) -> Results:
        """Submit what is not in the queue already, and watch until every cell has ended or failed twice.

        An interrupt stops the watching, not the tasks. Raises InputError where Slurm does not take the tasks.
        """
        results = Results([], {}, [])
        if self.again:
            self._old = {run.info.run_id for run in self._runs(cells).values()}
        watched = self._adopt(cells)
        adopted = {one.cell.name for one in watched}
        self._most = self._size = array_size(self.options)
        self._waiting = [(cell, 1) for cell in cells if cell.name not in adopted]
        watched += self._submit(bool(watched))
        pause = FIRST_POLL_SECONDS
        try:
            with Display(len(cells), 0, at_once=self.options.slurm_parallel) as display:
                while watched or self._waiting:
                    watched = self._look(watched, targets, results, display)
                    if watched or self._waiting:
                        time.sleep(pause)
                        pause = min(1.1 * pause, POLL_SECONDS)
        except KeyboardInterrupt:
            jobs = " ".join(sorted({one.job for one in watched}))
            logger.warning("the tasks go on; the same command follows them again, 'scancel %s' stops them", jobs)
            raise
        return results

    def _adopt(self, cells: Sequence[Cell]) -> list[_Watched]:
        """The cells whose tasks an earlier run of the study has in the queue."""
        found, known = [], {}
        for cell, run in self._runs(cells).items():
            task = run.data.tags.get(schema.SLURM_JOB, "")
            if run.info.status not in ("RUNNING", "SCHEDULED") or not task:
                continue
            job = task.partition("_")[0]
            if job not in known:
                known[job] = states(job) or {}
            if known[job].get(task) in _ACTIVE:
                logger.info("%s is task %s of the queue already", cell.name, task)
                found.append(_Watched(cell, task, 1))
        return found

    def _runs(self, cells: Sequence[Cell], condition: str = "") -> dict[Cell, Run]:
        """The newest run of each cell that has any; ``condition`` as for `kind_runs`."""
        runs = [run for run in kind_runs(self.study, schema.KIND_CELL, condition) if run.info.run_id not in self._old]
        # one that waits or runs is later than one that has failed, whatever its times say
        runs.sort(key=lambda run: (_RANKS.get(run.info.status, 0), run.info.start_time))
        newest = {place_in_store(run): run for run in runs}
        return {cell: newest[cell.place] for cell in cells if cell.place in newest}

    def _submit(self, queued: bool) -> list[_Watched]:
        """Submit what waits, array after array, until Slurm takes no more; the rest waits until some tasks have ended.

        ``queued``: whether tasks of the study are in the queue. If there are none, smaller arrays are tried. All arrays
        together run as many tasks at the same time as the options say.
        """
        found: list[_Watched] = []
        parallel = max(1, self.options.slurm_parallel // max(1, -(-len(self._waiting) // self._size)))
        while self._waiting:
            part = self._waiting[: self._size]
            try:
                jobs = self._executor_jobs([Task(self.commands[cell.name]) for cell, _ in part], parallel)
            except _NoRoom as error:
                if not queued and not found and len(part) > 1:
                    self._size = len(part) // 2
                    continue
                if not queued and not found and not others():
                    raise InputError(f"executor=slurm: the tasks cannot be submitted: {error}", "executor") from error
                more = count(len(self._waiting), "more task waits", "more tasks wait")
                logger.info("%s until Slurm has room", more)
                break
            self._size = min(self._most, 2 * self._size)
            del self._waiting[: len(part)]
            for (cell, attempt), task in zip(part, jobs, strict=True):
                self._announce(cell, task)
                found.append(_Watched(cell, task, attempt))
            logger.info("%d tasks submitted as job %s", len(part), found[-1].job)
        return found

    def _executor_jobs(self, tasks: Sequence[Task], parallel: int) -> list[str]:
        import submitit

        logging.getLogger("submitit").handlers.clear()  # here ours prints its warnings; in a task's log it prints all
        options = self.options
        self.folder.mkdir(parents=True, exist_ok=True)
        before = set(self.folder.iterdir())
        try:
            executor = submitit.SlurmExecutor(self.folder, max_num_timeout=REQUEUES)
            executor.update_parameters(
                job_name=self.study.name[:40], time=options.slurm_minutes, cpus_per_task=options.slurm_cpus,
                signal_delay_s=options.slurm_signal_seconds, array_parallelism=parallel,
                stderr_to_stdout=True, setup=_setup(options),
                additional_parameters=_further(options) | {"requeue": True},
                **({"partition": options.slurm_partition} if options.slurm_partition else {}),
                **({"mem": f"{options.slurm_memory_gb}G"} if options.slurm_memory_gb else {}),
                **({"gpus_per_node": options.slurm_gpus} if options.slurm_gpus else {}),
            )  # fmt: skip
            with executor.batch():
                jobs = [executor.submit(task) for task in tasks]
        except (RuntimeError, submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            for path in set(self.folder.iterdir()) - before:  # one for each task, and the script
                path.unlink(missing_ok=True)
            if _NO_ROOM.search(str(error)):
                raise _NoRoom(str(error)) from error
            raise InputError(f"executor=slurm: the tasks cannot be submitted: {error}", "executor") from error
        for path in set(self.folder.iterdir()) - before:
            if path.suffix == ".sh":
                _make_private(path, options)
        return [job.job_id for job in jobs]

    def _announce(self, cell: Cell, task: str) -> None:
        """The cell's run, before its task begins: it shows that and where it waits."""
        client = self.study.client
        run = self._runs([cell], f" and tags.{schema.CELL_KEY} = '{cell.key}'").get(cell)
        if run is not None and run.info.status in ("KILLED", "SCHEDULED"):
            client.set_tag(run.info.run_id, schema.SLURM_JOB, task)
            client.update_run(run.info.run_id, status="SCHEDULED")
            return
        tags = self.tags[cell.name] | {schema.KIND: schema.KIND_CELL, schema.SLURM_JOB: task}
        made = client.create_run(self.study.experiment_id, run_name=cell.name, tags=tags)
        client.update_run(made.info.run_id, status="SCHEDULED")

    def _look(self, watched: list[_Watched], targets: Mapping, results: Results, display: Display) -> list[_Watched]:
        """One look at store and queue; returns what is still to be watched."""
        known = {job: states(job) for job in sorted({one.job for one in watched})}
        runs = self._runs([one.cell for one in watched])
        beats = claims.heartbeats(claims.claim_runs(self.study))
        left, again = [], []
        for one in watched:
            run = runs.get(one.cell)
            if run is not None and run.info.status == "FINISHED" and is_scored(run, targets):
                results.ended.append(_outcome(one.cell, run))
                display.ended(f"{one.cell.name}: finished as task {one.task}")
                continue
            error = self._trouble(one, run, known[one.job], beats)
            if not error:
                left.append(one)
                continue
            log = log_file(self.folder, one.task)
            held = Claims(self.study, Owner.this_process())
            held.abandon(claim_name(one.cell), one.task)
            if held.is_taken(claim_name(one.cell)):
                results.taken.append(one.cell)
                display.ended(f"{one.cell.name}: another process works on it", ran=False)
                continue
            mine = run is not None and run.data.tags.get(schema.SLURM_JOB) == one.task
            if run is not None and mine and run.info.status in ("RUNNING", "SCHEDULED"):
                self.study.client.set_tag(run.info.run_id, "error", error)
                self.study.client.set_terminated(run.info.run_id, "KILLED")
            if one.attempts < ATTEMPTS:
                logger.warning("%s failed, tried once more: %s (log: %s)", one.cell.name, error, log)
                again.append((one.cell, one.attempts + 1))
            else:
                results.failed[one.cell.name] = f"{error} (log: {log})"
                display.ended(f"{one.cell.name} failed: {error}", ran=False)
        self._waiting = again + self._waiting
        if left and len(left) == len(watched):  # there is no more room than at the last look
            return left
        try:
            return left + self._submit(bool(left))
        except InputError as error:
            results.failed |= {cell.name: str(error) for cell, _ in self._waiting}
            self._waiting = []
            return left

    def _trouble(
        self, one: _Watched, run: Run | None, known: Mapping[str, str] | None, beats: Mapping[str, float]
    ) -> str:
        """What is wrong with a task, if it will not go on by itself; nothing while it may."""
        deadline = 60 * self.options.slurm_deadline_minutes
        state = None if known is None else known.get(one.task, "not in the queue")
        if state in _ACTIVE:
            one.missed_since = None
            owner = Owner.of_run(run) if run is not None and run.info.status == "RUNNING" else None
            if state == "RUNNING" and owner is not None and owner.task == one.task:
                silent = time.time() - max(beats.get(owner.token, 0.0), owner.since)
                if owner.token in beats and silent > max(deadline, claims.EXPIRY_SECONDS):
                    subprocess.run(["scancel", one.task], check=False)
                    return f"task {one.task} gave no sign of life for {silent:.0f} s and was cancelled"
            return ""
        if run is not None and run.info.status == "FAILED" and run.data.tags.get(schema.SLURM_JOB) == one.task:
            return run.data.tags.get("error", "failed")
        owner = Owner.of_run(run) if state is None and run is not None and run.info.status == "RUNNING" else None
        if owner is not None and owner.is_alive(beats, Owner.this_process()):
            return ""  # squeue does not answer, but the task does
        now = time.monotonic()
        one.missed_since = one.missed_since or now
        grace = deadline if state is None else min(deadline, GRACE_SECONDS)
        if now - one.missed_since < grace:
            return ""
        return f"task {one.task} ended without a result (squeue: {state or 'does not answer'})"


def _outcome(cell: Cell, run: Run) -> Outcome:
    seconds = [run.data.metrics.get(name, 0.0) for name in ("train_seconds", "score_seconds")]
    return Outcome(cell.name, RAN if seconds[0] else DELIVERED, "", *seconds)


def log_file(folder: Path, task: str) -> Path:
    """What a task printed."""
    return folder / f"{task}_0_log.out"


def _setup(options: SlurmOptions) -> list[str]:
    """Shell lines before a task; srun hands a task its cores only when it is told to."""
    return [
        f"unset {' '.join(project.VARIABLES)}  # they tell of the command that submits",
        'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
        'export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}"',
        *options.slurm_setup.strip().splitlines(),
    ]


def _further(options: SlurmOptions) -> dict[str, str]:
    return {name.strip(): value.strip() for name, _, value in (text.partition("=") for text in options.slurm_options)}


def _make_private(script: Path, options: SlurmOptions) -> None:
    """Have nobody else read a script whose lines may hold secrets."""
    if options.slurm_setup or options.slurm_options:
        script.chmod(0o600)


# --- written down --------------------------------------------------------------------------------


def write_scripts(commands: Sequence[list[str]], options: SlurmOptions, folder: Path, study: Study) -> list[Path]:
    """Write ``cells-<digest>.txt`` (a command a line) and ``.sbatch`` (an array over them), a pair for each array.

    The name depends on the commands, so that an array that is still queued keeps its list. Returns the sbatch files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scripts = []
    size = array_size(options)
    parallel = max(1, options.slurm_parallel // max(1, -(-len(commands) // size)))
    for begin in range(0, len(commands), size):
        text = "".join(shlex.join(command) + "\n" for command in commands[begin : begin + size])
        listed = folder.resolve() / f"cells-{sha256(text.encode()).hexdigest()[:12]}.txt"
        listed.write_text(text, encoding="utf-8")
        script = listed.with_suffix(".sbatch")
        script.touch()
        _make_private(script, options)
        script.write_text(_script(listed, text.count("\n"), parallel, options, study), encoding="utf-8")
        scripts.append(script)
    return scripts


def _script(listed: Path, number: int, parallel: int, options: SlurmOptions, study: Study) -> str:
    flags = {
        "job-name": study.name[:40],
        "array": f"0-{number - 1}%{parallel}",
        "time": str(options.slurm_minutes),
        "cpus-per-task": str(options.slurm_cpus),
        "signal": f"B:USR1@{options.slurm_signal_seconds}",
        "output": f"{listed.parent}/%A_%a_0_log.out",
        "open-mode": "append",
        "chdir": os.getcwd(),
    }
    flags |= {"partition": options.slurm_partition} if options.slurm_partition else {}
    flags |= {"mem": f"{options.slurm_memory_gb}G"} if options.slurm_memory_gb else {}
    flags |= {"gpus-per-node": str(options.slurm_gpus)} if options.slurm_gpus else {}
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{key}={shlex.quote(value)}" for key, value in (flags | _further(options)).items()),
        "#SBATCH --requeue",
        f"export MLFLOW_TRACKING_URI={shlex.quote(study.uri)}",
        *_setup(options),
        f'command=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(listed))})',
        "# shortly before the time limit: stop politely, then run the same command again; it goes on where it was",
        "again() {",
        '  kill -TERM "$child"; wait "$child"',
        '  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"; exit 0',
        "}",
        "trap again USR1",
        'bash -c "exec $command" & child=$!',
        'wait "$child"',
        "",
    ]
    return "\n".join(lines)


def check(executor: str, num_processes: int) -> None:
    """Raise InputError where this machine lacks what has cells run in other processes; before any work is done."""
    if executor != "local" or num_processes > 1:
        train_script()
    if executor != "local" and project.is_temporary():
        raise InputError(
            f"executor={executor}: tasks need the project in a folder that all machines see and that stays, and MLflow "
            f"has fetched it into {PROJECT}: clone it, and run it from there", "executor",
        )  # fmt: skip
    if executor != "slurm":
        return
    if find_spec("submitit") is None:
        raise InputError(
            f"executor=slurm needs submitit: {installing('slurm')}, or executor=script",
            "executor",
        )
    if missing := [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]:
        raise InputError(
            f"executor=slurm needs {', '.join(missing)} on the PATH: run it on the cluster's login node, or with "
            "executor=script and submit the files that it writes", "executor",
        )  # fmt: skip


def train_script() -> list[str]:
    """The beginning of every cell's command. Raises InputError where the entry points are missing."""
    script = PROJECT / "entrypoints" / "train.py"
    if not script.is_file():
        raise InputError(
            f"{script} is missing: cells run in processes of their own only from a checkout or a wheel", "executor"
        )
    return [sys.executable, str(script)]
