"""Who works on what: claims that exclude each other on any MLflow store, and that expire.

MLflow keeps the first value of a param for ever and refuses another one, in one transaction of
its database. That is the one operation a lock needs. An experiment's claims are params of a run of kind
``claims``: ``<name>/<n>`` says who holds the n-th claim on ``name``, ``<name>/<n>/end`` how it
ended. A claim whose owner is dead is ended by whoever wants it next, so that a holder that was
only believed dead finds out when it ends the claim itself: only one of the two can.

Two processes that open a fresh study at once may both make such a run. Everybody claims on all
runs that exist, in the same order. The set of runs only grows, so of any two claimants one sees
all that the other sees, and they meet on at least one run.
"""

import functools
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path

import psutil
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from nertransfer.core import schema
from nertransfer.tracking.patience import PATIENCE_SECONDS, impatient
from nertransfer.tracking.store import Study, study_runs

logger = logging.getLogger("nertransfer")

HEARTBEAT_SECONDS = 30.0
JOIN_SECONDS = 5.0
PAUSE_SECONDS = 1.0
"""Between two looks at a claim that is waited for."""
EXPIRY_SECONDS = PATIENCE_SECONDS + 300.0
"""Without a heartbeat for so long, an owner on another machine counts as dead; one on this machine at once. More
than a process waits for a server that is away, or all would seem dead when it is back."""
CLOCK_SECONDS = 30.0
"""A clock that was set forward by less does not make a process another one."""
FINISHED = "finished"
"""How a claim ends whose work is done."""
_OF_MACHINE = "pid:[4026531836]"
"""The first PID namespace of every Linux: PROC_PID_INIT_INO of its include/linux/proc_ns.h."""
NOTE = "Which process works on which cell: see nertransfer/tracking/claims.py. Do not delete while a study runs."


@dataclass(frozen=True)
class Owner:
    """A process that holds claims: machine, process id and start, Slurm task if any; ``since`` in s since 1970."""

    token: str
    host: str
    pid: int
    process_started: float
    task: str
    since: float
    requeued: int = 0
    """How often Slurm had put the task into its queue again when the process began."""
    namespace: str = ""
    """Where, beside the host's name, the number means one process: see `pid_namespace`."""

    @staticmethod
    def this_process() -> "Owner":
        """The process that asks; always the same for one process."""
        return _owner_of(os.getpid())

    @staticmethod
    def of_run(run: Run) -> "Owner | None":
        """Who opened a run last; None where its tags do not say."""
        tags = run.data.tags
        try:
            told = json.loads(tags[schema.PROCESS]) if schema.PROCESS in tags else _told_one_by_one(tags)
            began = run.info.start_time / 1000
            return Owner(
                tags.get(schema.OWNER, ""), told["host"], int(told["pid"]),
                float(told.get("process_started", 0)) or began, tags.get(schema.SLURM_JOB, ""), began,
                int(told.get("requeued", 0)), told.get("namespace", ""),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    @property
    def tags(self) -> dict[str, str]:
        """What every run that this process opens carries."""
        told: dict[str, object] = {"host": self.host, "pid": self.pid, "process_started": self.process_started}
        told |= {"namespace": self.namespace} if self.namespace else {}
        told |= {"requeued": self.requeued} if self.task else {}
        found = {schema.OWNER: self.token, schema.PROCESS: json.dumps(told)}
        return found | ({schema.SLURM_JOB: self.task} if self.task else {})

    def is_alive(self, heartbeats: Mapping[str, float], me: "Owner", expiry: float = EXPIRY_SECONDS) -> bool:
        """Whether the process still works: asked of the machine where that is this one, else by its heartbeat."""
        if self.token == me.token:
            return True
        if (self.host, self.namespace) == (me.host, me.namespace):
            try:
                process = psutil.Process(self.pid)
                # a younger process has only inherited the number; a zombie has ended, unnoticed by its parent
                return (
                    process.create_time() < self.process_started + CLOCK_SECONDS
                    and process.status() != psutil.STATUS_ZOMBIE
                )
            except psutil.NoSuchProcess:
                return False
        if self.task and self.task == me.task and self.requeued < me.requeued:
            return False  # of a Slurm task that was requeued on another machine; a job may also have several at once
        return time.time() - heartbeats.get(self.token, self.since) < expiry


def _told_one_by_one(tags: Mapping[str, str]) -> dict[str, str]:
    """What `schema.PROCESS` says, of runs that were tracked before it was one tag."""
    names = {"host": "host", "pid": "pid", "process_started": "process_started", "requeued": "slurm_requeued",
             "namespace": "pid_namespace"}  # fmt: skip
    return {name: tags[old] for name, old in names.items() if old in tags}


@functools.cache
def _owner_of(pid: int) -> Owner:
    return Owner(
        uuid.uuid4().hex[:16], socket.gethostname(), pid, psutil.Process(pid).create_time(), slurm_task(), time.time(),
        int(os.environ.get("SLURM_RESTART_COUNT", 0)), pid_namespace(),
    )  # fmt: skip


def pid_namespace(root: Path = Path("/")) -> str:
    """Sixteen hexadecimal digits, equal for processes that see each other by their numbers; empty outside Linux.

    Containers of one name, on one machine or on several, each count their own processes. A machine's own namespace has
    the same number on all machines, and is told by the machine's id, which stays when it starts anew: what ran before
    is then known to be gone. A container's does not outlive the machine's start, and is told by that.
    """
    try:
        namespace = os.readlink(root / "proc/self/ns/pid")
    except OSError:
        return ""
    told = root / ("etc/machine-id" if namespace == _OF_MACHINE else "proc/sys/kernel/random/boot_id")
    machine = told.read_text(encoding="utf-8") if told.is_file() else ""
    return sha256(f"{namespace} {machine}".encode()).hexdigest()[:16]  # the id of a machine is not to be shown


def slurm_task() -> str:
    """The Slurm task this process runs in: ``<array>_<index>`` or ``<job>``; empty outside Slurm."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array and index else os.environ.get("SLURM_JOB_ID", "")


@dataclass
class _Record:
    """The claims on one name in one run: owner and end by number."""

    owners: dict[int, str] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """The right to work on ``name`` until it is ended."""

    claims: "Claims"
    name: str
    number: int
    runs: tuple[str, ...]

    def end_before(self) -> str:
        """How the claim on ``name`` before this one ended; empty where there was none, or where two disagreed on it."""
        records = [_record(run, self.name) for run in claim_runs(self.claims.study)]
        ends = {record.ends.get(self.number - 1) for record in records if self.number - 1 in record.owners}
        return (ends.pop() if len(ends) == 1 else None) or ""

    def give_up(self, how: str) -> None:
        """Give it back after a failure, without much patience: a claim whose owner is dead expires anyway."""
        study = replace(self.claims.study, client=impatient(self.claims.study.client))
        with suppress(MlflowException):
            replace(self, claims=Claims(study, self.claims.me)).end(how)

    def end(self, how: str) -> bool:
        """Give it back; False if somebody had taken it for abandoned, who may work on it now."""
        return all([self.claims.put(run, f"{self.name}/{self.number}/end", how) for run in self.runs])


class Claims:
    """The claims of one study, seen by one process."""

    def __init__(self, study: Study, me: Owner, expiry: float = EXPIRY_SECONDS) -> None:
        self.study, self.me, self.expiry = study, me, expiry

    def take(self, name: str) -> Claim | None:
        """The claim on ``name``, or None while another living process has it."""
        runs = claim_runs(self.study) or _first_run(self.study, self.me)
        records = {run.info.run_id: _record(run, name) for run in runs}
        beats = heartbeats(runs)
        last = max((number for record in records.values() for number in record.owners), default=0)
        for run_id, record in records.items():
            if last not in record.owners or last in record.ends:
                continue
            if _owner(record.owners[last]).is_alive(beats, self.me, self.expiry):
                return None
            if not self.put(run_id, f"{name}/{last}/end", "abandoned"):
                continue  # it has just been ended in another way: free all the same
        claim = Claim(self, name, last + 1, tuple(sorted(records)))
        for position, run_id in enumerate(claim.runs):
            if not self.put(run_id, f"{name}/{claim.number}", json.dumps(asdict(self.me))):
                Claim(self, name, claim.number, claim.runs[:position]).end("lost")
                return None
        return claim

    def is_taken(self, name: str) -> bool:
        """Whether a living process holds the claim on ``name`` now."""
        return bool(self.taken([name]))

    def taken(self, names: Iterable[str]) -> set[str]:
        """Those of the names that living processes hold the claims on now."""
        runs = claim_runs(self.study)
        beats = heartbeats(runs)
        return {name for name in names if any(self._is_held(_record(run, name), beats) for run in runs)}

    def _is_held(self, record: _Record, beats: Mapping[str, float]) -> bool:
        last = max(record.owners, default=0)
        if not last or last in record.ends:
            return False
        return _owner(record.owners[last]).is_alive(beats, self.me, self.expiry)

    def abandon(self, name: str, task: str) -> None:
        """End the claim of a Slurm task on ``name``, of which Slurm says that it is gone."""
        for run in claim_runs(self.study):
            record = _record(run, name)
            last = max(record.owners, default=0)
            if last and last not in record.ends and _owner(record.owners[last]).task == task:
                self.put(run.info.run_id, f"{name}/{last}/end", "abandoned")

    def put(self, run_id: str, key: str, value: str) -> bool:
        """Set a param for good; False if it has another value already."""
        try:
            self.study.client.log_param(run_id, key, value)
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            return self.study.client.get_run(run_id).data.params.get(key) == value
        return True


@contextmanager
def held(study: Study, name: str, work: str) -> Iterator[None]:
    """Hold the claim on ``name`` while the block lasts; waits for whoever has it. ``work``: what for, in the log."""
    claims = Claims(study, replace(Owner.this_process(), since=time.time()))
    while (claim := claims.take(name)) is None:
        logger.info("waiting for another process that %s", work)
        while claims.is_taken(name):
            time.sleep(PAUSE_SECONDS)
    try:
        yield
    except BaseException:
        claim.give_up("cut short")
        raise
    claim.end("done")


def claim_runs(study: Study) -> list[Run]:
    """The runs that hold the study's claims; one, unless two processes opened a fresh study at once."""
    return study_runs(study, f"tags.{schema.KIND} = '{schema.KIND_CLAIMS}'")


def _first_run(study: Study, me: Owner) -> list[Run]:
    tags = {schema.KIND: schema.KIND_CLAIMS, schema.NOTE: NOTE} | me.tags
    made = study.client.create_run(study.experiment_id, run_name="claims", tags=tags)
    study.client.set_terminated(made.info.run_id, "FINISHED")
    return claim_runs(study)


def heartbeats(runs: list[Run]) -> dict[str, float]:
    """The last sign of life by owner's token, in seconds since 1970."""
    found: dict[str, float] = {}
    for run in runs:
        for key, value in run.data.tags.items():
            if key.startswith(schema.HEARTBEAT):
                token = key.removeprefix(schema.HEARTBEAT)
                with suppress(ValueError):  # whatever else stands there is no sign of life
                    found[token] = max(found.get(token, 0.0), float(value))
    return found


def _record(run: Run, name: str) -> _Record:
    record = _Record()
    for key, value in run.data.params.items():
        head, *rest = key.split("/")
        if head == name and rest[0].isdecimal():
            (record.ends if rest[1:] == ["end"] else record.owners)[int(rest[0])] = value
    return record


def _owner(text: str) -> Owner:
    """Who holds a claim, as `Claims.take` wrote it; nobody alive, where what was written says nobody."""
    try:
        found = json.loads(text)
        return Owner(**{one.name: found[one.name] for one in fields(Owner) if one.name in found})
    except (ValueError, TypeError) as error:
        logger.warning("a claim in the store names nobody, and does not count: %.100s (%s)", text, error)
        return Owner("", "", 0, 0.0, "", 0.0)


class Heart(threading.Thread):
    """Tells the store every `HEARTBEAT_SECONDS` that this process lives, and does what ``on_beat`` asks.

    A store that does not answer is tried again at the next beat; the work goes on meanwhile.
    """

    def __init__(self, study: Study, me: Owner, on_beat: Callable[[], None] = lambda: None) -> None:
        super().__init__(daemon=True, name="heartbeat")
        self._study, self._me, self._on_beat = study, me, on_beat
        self._stopped = threading.Event()

    def run(self) -> None:
        run_id = ""
        while True:
            try:
                if not run_id:
                    run_id = (claim_runs(self._study) or _first_run(self._study, self._me))[0].info.run_id
                self._study.client.set_tag(run_id, schema.HEARTBEAT + self._me.token, repr(time.time()))
                self._on_beat()
            except Exception as error:
                logger.debug("no heartbeat: %s", error)
                run_id = ""  # it may have been deleted
            if self._stopped.wait(HEARTBEAT_SECONDS):
                return

    def __enter__(self) -> "Heart":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        # ended here: at the interpreter's own end a thread that lets go of tensors aborts the process
        self.join(JOIN_SECONDS)  # but no longer: a store that is away may hold it for minutes
