"""Claims: one living process has a name."""

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from folder_store import make_store
from mlflow import MlflowClient
from mlflow.entities import Run

from nertransfer.core import schema
from nertransfer.tracking import claims, store
from nertransfer.tracking.claims import Claim, Claims, Heart, Owner
from nertransfer.tracking.patience import PatientClient
from nertransfer.tracking.store import Study, open_study

NAME = "0123456789abcdef01234567"
HOUR = 3600.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    """A client of a store of its own that asks again soon when the file is locked."""
    uri = f"sqlite:///{make_store(tmp_path_factory.mktemp('claims'))}"
    made = MlflowClient(tracking_uri=uri, registry_uri=uri)
    patient: Any = PatientClient(lambda: made, uri, patience=60, pause=0.02)
    return patient


@pytest.fixture
def study(client: MlflowClient, request: pytest.FixtureRequest) -> Study:
    """An empty study."""
    return open_study(client, request.node.name.replace("/", "-"))


def elsewhere(number: int = 1, **changes: Any) -> Owner:
    """A process on another machine that has just begun."""
    plain = Owner(f"token{number}", f"node{number}", 100 + number, 0.0, "", time.time())
    return dataclasses.replace(plain, **changes)


def here(number: int, pid: int, process_started: float) -> Owner:
    """A process with that number on this machine, begun long ago: no heartbeat is asked for."""
    me = Owner.this_process()
    return Owner(f"here{number}", me.host, pid, process_started, "", 0.0, namespace=me.namespace)


def taken(study: Study, owner: Owner, name: str = NAME) -> Claim:
    claim = Claims(study, owner).take(name)
    assert claim is not None
    return claim


def claims_run(study: Study) -> str:
    """One more run that holds claims, as two processes make when they open a fresh study at once."""
    return study.client.create_run(study.experiment_id, tags={schema.KIND: schema.KIND_CLAIMS}).info.run_id


def params(study: Study, run_id: str) -> dict[str, str]:
    return study.client.get_run(run_id).data.params


def ended(study: Study, claim: Claim) -> list[str | None]:
    """How a claim ended, for each of its runs."""
    return [params(study, run).get(f"{claim.name}/{claim.number}/end") for run in claim.runs]


# --- one owner a name --------------------------------------------------------------------------------


def test_one_process_has_a_name_and_the_others_have_other_names(study: Study) -> None:
    first, second = Claims(study, elsewhere(1)), Claims(study, elsewhere(2))
    claim = first.take(NAME)
    assert claim is not None and (claim.name, claim.number) == (NAME, 1)
    assert second.take(NAME) is None
    assert first.take(NAME) is None
    assert second.take("another") is not None
    assert first.take("another") is None
    assert [run.info.run_id for run in claims.claim_runs(study)] == list(claim.runs)


def test_a_name_is_free_once_its_claim_is_ended(study: Study) -> None:
    first, second = Claims(study, elsewhere(1)), Claims(study, elsewhere(2))
    for number, (owner, rival) in enumerate([(first, second), (second, first), (second, first)], start=1):
        claim = owner.take(NAME)
        assert claim is not None and claim.number == number
        assert rival.take(NAME) is None
        assert claim.end("finished") is True
        assert ended(study, claim) == ["finished"]


@pytest.mark.parametrize("text", ["{}", "[]", "nobody", "3", '{"token": "a"}'])
def test_what_names_no_owner_holds_nothing(text: str, study: Study, caplog: pytest.LogCaptureFixture) -> None:
    run = claims_run(study)
    study.client.log_param(run, f"{NAME}/1", text)
    study.client.set_tag(run, f"{schema.HEARTBEAT}token", "soon")
    assert taken(study, elsewhere()).number == 2
    assert f"names nobody, and does not count: {text}" in caplog.text


def test_an_owner_of_a_later_version_is_known_by_what_it_was_before(study: Study) -> None:
    later = dataclasses.asdict(elsewhere()) | {"new": 1}
    study.client.log_param(claims_run(study), f"{NAME}/1", json.dumps(later))
    assert Claims(study, elsewhere(2)).take(NAME) is None


def test_names_that_begin_alike_are_different_names(study: Study) -> None:
    taken(study, elsewhere(1), "a")
    assert taken(study, elsewhere(2), "aa").number == 1
    taken(study, elsewhere(3), "aa.1").end("finished")
    assert Claims(study, elsewhere(4)).take("a") is None


def test_the_run_of_the_claims_is_closed_and_says_what_it_is(study: Study) -> None:
    taken(study, elsewhere(1))
    (run,) = claims.claim_runs(study)
    assert run.info.status == "FINISHED" and run.data.tags[schema.NOTE] == claims.NOTE
    assert store.all_runs(study.client, study.experiment_id, "attributes.status = 'RUNNING'") == []


# --- the dead ----------------------------------------------------------------------------------------


def is_taken_over(study: Study, dead: Owner, by: Owner) -> None:
    """``dead`` gets a claim, ``by`` takes it over; the former is told so when it ends it after all."""
    old = taken(study, dead)
    new = Claims(study, by).take(NAME)
    assert new is not None and new.number == 2
    assert ended(study, old) == ["abandoned"]
    assert old.end("finished") is False
    assert ended(study, old) == ["abandoned"]
    assert Claims(study, elsewhere(9)).take(NAME) is None
    assert new.end("finished") is True


def keeps_it(study: Study, owner: Owner, rival: Owner) -> None:
    claim = taken(study, owner)
    assert Claims(study, rival).take(NAME) is None
    assert ended(study, claim) == [None]
    assert claim.end("finished") is True


def test_the_claim_of_a_process_that_has_ended_here_is_taken_over_at_once(study: Study) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    owner = here(1, process.pid, psutil.Process(process.pid).create_time())
    claim = taken(study, owner)
    assert Claims(study, Owner.this_process()).take(NAME) is None
    process.communicate()
    new = Claims(study, Owner.this_process()).take(NAME)
    assert new is not None and new.number == 2
    assert claim.end("finished") is False


def test_a_process_that_has_ended_is_dead_before_its_parent_asks_for_its_status(study: Study) -> None:
    """In a container the first process may never ask: a zombie stays, and works on nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    owner = here(1, process.pid, psutil.Process(process.pid).create_time())
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    try:
        is_taken_over(study, owner, Owner.this_process())
    finally:
        process.wait()


def test_a_process_that_only_inherited_the_number_is_another_one(study: Study) -> None:
    started = psutil.Process().create_time()
    is_taken_over(study, here(1, os.getpid(), started - 60), Owner.this_process())


def test_a_living_process_of_this_machine_needs_no_heartbeat(study: Study) -> None:
    started = psutil.Process().create_time()
    keeps_it(study, here(1, os.getpid(), started), Owner.this_process())


def test_a_process_of_another_container_with_the_name_of_this_one_lives_while_its_heart_beats(study: Study) -> None:
    """A number of no process here, and one of a process here, say nothing of one there."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    for pid in (process.pid, os.getpid()):
        there = dataclasses.replace(here(pid, pid, psutil.Process().create_time()), namespace="another")
        keeps_it(study, dataclasses.replace(there, since=time.time()), Owner.this_process())
        assert not there.is_alive({}, Owner.this_process())  # silent for long


def linux(root: Path, namespace: str, boot: str = "", machine: str = "") -> Path:
    """The root folder of a system that says so of itself."""
    for name, text in (("proc/sys/kernel/random/boot_id", boot), ("etc/machine-id", machine)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if text:
            (root / name).write_text(text)
    (root / "proc/self/ns").mkdir(parents=True)
    (root / "proc/self/ns/pid").symlink_to(f"pid:[{namespace}]")
    return root


def test_containers_are_told_apart_and_a_machine_that_starts_anew_is_the_same(tmp_path: Path) -> None:
    own = "4026531836"  # that of every machine outside containers
    systems = [
        (own, "boot1", "machine1"), (own, "boot1", "machine2"), (own, "boot1", ""),
        ("7", "boot1", "image"), ("7", "boot2", "image"), ("8", "boot1", "image"), ("8", "", ""),
    ]  # fmt: skip
    names = [claims.pid_namespace(linux(tmp_path / str(n), *system)) for n, system in enumerate(systems)]
    assert len(set(names)) == len(names)
    assert claims.pid_namespace(linux(tmp_path / "again", own, "boot2", "machine1")) == names[0]
    assert claims.pid_namespace(tmp_path) == ""  # no Linux


def test_a_process_on_another_machine_lives_while_its_heart_beats(study: Study) -> None:
    long_ago = elsewhere(1, since=time.time() - HOUR)
    beat = schema.HEARTBEAT + long_ago.token
    run_id = claims_run(study)
    study.client.set_tag(run_id, beat, repr(time.time()))
    keeps_it(study, long_ago, elsewhere(2))
    study.client.set_tag(run_id, beat, repr(time.time() - claims.EXPIRY_SECONDS - 1))
    claim = taken(study, long_ago)
    new = Claims(study, elsewhere(2)).take(NAME)
    assert new is not None and claim.end("finished") is False and new.end("finished") is True


def test_the_heartbeat_of_another_process_does_not_help(study: Study) -> None:
    study.client.set_tag(claims_run(study), schema.HEARTBEAT + "token7", repr(time.time()))
    is_taken_over(study, elsewhere(1, since=time.time() - HOUR), elsewhere(2))


def test_a_process_on_another_machine_without_a_heartbeat_lives_from_when_it_began(study: Study) -> None:
    is_taken_over(study, elsewhere(1, since=time.time() - claims.EXPIRY_SECONDS - 1), elsewhere(2))
    keeps_it(study, elsewhere(1, since=time.time() - claims.EXPIRY_SECONDS / 2), elsewhere(2))


def test_how_long_a_process_may_be_silent_is_for_the_claimant_to_say(study: Study) -> None:
    claim = taken(study, elsewhere(1, since=time.time() - 60))
    assert Claims(study, elsewhere(2), expiry=70).take(NAME) is None
    assert Claims(study, elsewhere(2), expiry=50).take(NAME) is not None
    assert claim.end("finished") is False


def test_the_latest_heartbeat_of_all_claims_runs_counts(study: Study) -> None:
    for seconds in (50, 10, 30):
        study.client.set_tag(claims_run(study), schema.HEARTBEAT + "token1", repr(1000.0 - seconds))
    assert claims.heartbeats(claims.claim_runs(study)) == {"token1": 990.0}


def test_a_slurm_task_that_is_requeued_on_another_machine_gets_its_claim_back(study: Study) -> None:
    is_taken_over(study, elsewhere(1, task="77_3"), elsewhere(2, task="77_3", requeued=1))


def test_a_slurm_job_may_have_processes_on_several_machines(study: Study) -> None:
    keeps_it(study, elsewhere(1, task="77"), elsewhere(2, task="77"))
    keeps_it(study, elsewhere(1, task="78", requeued=1), elsewhere(2, task="78", requeued=1))


def test_another_slurm_task_and_no_task_are_no_requeued_task(study: Study) -> None:
    keeps_it(study, elsewhere(1, task="77_3"), elsewhere(2, task="77_4"))
    keeps_it(study, elsewhere(1, task="77_3"), elsewhere(2))
    keeps_it(study, elsewhere(1), elsewhere(2))


def test_of_two_who_find_an_abandoned_claim_one_gets_it(study: Study) -> None:
    taken(study, elsewhere(1, since=0.0))
    assert taken(study, elsewhere(2)).number == 2
    assert Claims(study, elsewhere(3)).take(NAME) is None


def test_an_owner_that_ends_its_claim_just_before_it_is_taken_over_has_finished(study: Study) -> None:
    claim = taken(study, elsewhere(1, since=0.0))
    results: list[bool] = []

    class Late(Claims):
        """Comes to say that the claim is abandoned when its owner has just ended it."""

        def put(self, run_id: str, key: str, value: str) -> bool:
            if value == "abandoned":
                results.append(claim.end("finished"))
            return super().put(run_id, key, value)

    new = Late(study, elsewhere(2)).take(NAME)
    assert results == [True] and ended(study, claim) == ["finished"]
    assert new is not None and new.number == 2


# --- two runs of claims ------------------------------------------------------------------------------


def test_a_claim_stands_in_all_runs_of_claims_that_there_are(study: Study) -> None:
    runs = sorted(claims_run(study) for _ in range(2))
    claim = taken(study, elsewhere(1))
    assert list(claim.runs) == runs
    assert [json.loads(params(study, run)[f"{NAME}/1"])["token"] for run in runs] == ["token1"] * 2
    assert Claims(study, elsewhere(2)).take(NAME) is None
    assert claim.end("finished") is True and ended(study, claim) == ["finished"] * 2
    assert taken(study, elsewhere(2)).number == 2


def test_a_claim_counts_also_where_another_run_of_claims_was_made_after_it(study: Study) -> None:
    claim = taken(study, elsewhere(1))
    claims_run(study)
    rival = Claims(study, elsewhere(2))
    assert rival.take(NAME) is None
    assert claim.end("finished") is True
    new = rival.take(NAME)
    assert new is not None and new.number == 2 and len(new.runs) == 2
    assert Claims(study, elsewhere(1)).take(NAME) is None


def test_the_dead_are_found_also_where_another_run_of_claims_was_made_after_their_claim(study: Study) -> None:
    claim = taken(study, elsewhere(1, since=0.0))
    claims_run(study)
    new = Claims(study, elsewhere(2)).take(NAME)
    assert new is not None and claim.end("finished") is False and new.end("finished") is True


def test_an_owner_who_died_between_two_runs_of_claims_does_not_hold_the_name(study: Study) -> None:
    first, second = sorted(claims_run(study) for _ in range(2))
    dead = elsewhere(1, since=0.0)
    assert Claims(study, dead).put(first, f"{NAME}/1", json.dumps(dataclasses.asdict(dead)))
    claim = taken(study, elsewhere(2))
    assert claim.number == 2 and claim.runs == (first, second)


@pytest.mark.parametrize("which", [0, 1])
def test_a_claim_that_was_taken_over_in_one_run_alone_is_lost(study: Study, which: int) -> None:
    """Its owner and the one who finds it dead end it at the same time, each in one run first."""
    runs = sorted(claims_run(study) for _ in range(2))
    claim = taken(study, elsewhere(1, since=0.0))
    assert claim.claims.put(runs[which], f"{NAME}/1/end", "abandoned")
    assert claim.end("finished") is False
    assert sorted(map(str, ended(study, claim))) == ["abandoned", "finished"]
    assert taken(study, elsewhere(2)).number == 2


@pytest.fixture
def blind(study: Study, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Claim | None]:
    """Has a process that saw but one run of claims, just before another was made, take the name."""
    everything = claims.claim_runs

    def take(run_id: str, token: str) -> Claim | None:
        def seen(of: Study) -> list[Run]:
            return [run for run in everything(of) if run.info.run_id == run_id]

        with monkeypatch.context() as patch:
            patch.setattr(claims, "claim_runs", seen)
            return Claims(study, elsewhere(1, token=token)).take(NAME)

    return take


@pytest.mark.parametrize("which", [0, 1])
def test_who_sees_one_run_and_who_sees_both_exclude_each_other(
    study: Study, blind: Callable[[str, str], Claim | None], which: int
) -> None:
    only = sorted(claims_run(study) for _ in range(2))[which]
    claim = taken(study, elsewhere(2))
    assert blind(only, "blind1") is None
    assert claim.end("finished") is True
    narrow = blind(only, "blind2")
    assert narrow is not None and narrow.runs == (only,)
    assert Claims(study, elsewhere(3)).take(NAME) is None
    assert narrow.end("finished") is True
    assert Claims(study, elsewhere(3)).take(NAME) is not None


@pytest.mark.parametrize("which", [0, 1])
def test_who_is_overtaken_by_one_who_sees_one_run_leaves_nothing_claimed(
    study: Study, blind: Callable[[str, str], Claim | None], which: int
) -> None:
    only = sorted(claims_run(study) for _ in range(2))[which]
    found: list[Claim | None] = []

    class Slow(Claims):
        """Is overtaken between looking and claiming."""

        def put(self, run_id: str, key: str, value: str) -> bool:
            if not found:
                found.append(blind(only, "quick"))
            return super().put(run_id, key, value)

    assert Slow(study, elsewhere(2)).take(NAME) is None
    (narrow,) = found
    assert narrow is not None
    assert Claims(study, elsewhere(3)).take(NAME) is None
    assert narrow.end("finished") is True
    assert taken(study, elsewhere(3)).number == 2


# --- races -------------------------------------------------------------------------------------------


def test_eight_that_race_for_twenty_names_win_each_name_once(study: Study) -> None:
    """The study is fresh: the runs of claims are raced for as well."""
    names = [f"{number:02}{NAME}" for number in range(20)]
    start = threading.Barrier(8)

    def race(number: int) -> list[str]:
        mine = Claims(study, elsewhere(number))
        start.wait(60)
        return [name for name in names[number * 2 :] + names[: number * 2] if mine.take(name) is not None]

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert Counter(name for mine in won for name in mine) == Counter(names)
    assert Claims(study, elsewhere(9)).take(names[0]) is None


def test_a_name_that_is_passed_round_is_never_with_two(study: Study) -> None:
    holding, most = Counter[str](), []

    def work(number: int) -> list[int]:
        mine, numbers = Claims(study, elsewhere(number)), list[int]()
        until = time.monotonic() + 30
        while len(numbers) < 3 and time.monotonic() < until:
            claim = mine.take(NAME)
            if claim is None:
                continue
            holding[NAME] += 1
            most.append(holding[NAME])
            numbers.append(claim.number)
            assert Claims(study, elsewhere(100 + number)).take(NAME) is None
            holding[NAME] -= 1
            assert claim.end("finished") is True
        return numbers

    with ThreadPoolExecutor(4) as pool:
        numbers = [number for mine in pool.map(work, range(4)) for number in mine]
    assert len(numbers) == len(set(numbers)) == 12 and set(most) == {1}


# --- owners and their hearts -------------------------------------------------------------------------


def test_a_process_is_one_owner_and_its_runs_say_so(study: Study) -> None:
    me = Owner.this_process()
    assert me is Owner.this_process() and me.pid == os.getpid()
    assert me.is_alive({}, me) and me.is_alive({}, dataclasses.replace(me, token="another"))
    owner = elsewhere(1, process_started=1.1 + 1e9, task="7_1", requeued=2, namespace="container")
    run = study.client.create_run(study.experiment_id, tags=owner.tags)
    found = Owner.of_run(run)
    assert found == dataclasses.replace(owner, since=run.info.start_time / 1000)
    assert Owner.of_run(study.client.create_run(study.experiment_id)) is None


@pytest.mark.parametrize(
    ("variables", "task"),
    [
        ({}, ""),
        ({"SLURM_JOB_ID": "9"}, "9"),
        ({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}, "7_0"),
    ],
)
def test_a_slurm_task_is_the_same_after_it_was_requeued(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], task: str
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert claims.slurm_task() == task


def test_a_heart_keeps_a_claim_and_goes_on_beating_when_something_fails(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.01)
    owner = elsewhere(1, since=time.time() - HOUR)
    beats, third = Counter[str](), threading.Event()

    def on_beat() -> None:
        beats["all"] += 1
        if beats["all"] >= 3:
            third.set()
        raise ConnectionError("away")

    with Heart(study, owner, on_beat) as heart:
        assert third.wait(30)
    assert not heart.is_alive()  # one that outlives the interpreter can abort the process
    assert time.time() - claims.heartbeats(claims.claim_runs(study))[owner.token] < 60
    keeps_it(study, owner, elsewhere(2))


def test_a_heart_whose_run_of_claims_was_deleted_beats_in_another(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.01)
    old, beating, later = claims_run(study), threading.Event(), threading.Event()

    def on_beat() -> None:
        beating.set()
        if [run.info.run_id for run in claims.claim_runs(study)] not in ([], [old]):
            later.set()

    with Heart(study, elsewhere(1), on_beat):
        assert beating.wait(30)
        study.client.delete_run(old)
        assert later.wait(10)
    assert "token1" in claims.heartbeats(claims.claim_runs(study))


def test_a_store_that_does_not_answer_holds_up_no_end(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "JOIN_SECONDS", 0.05)
    asked, answer = threading.Event(), threading.Event()

    def on_beat() -> None:
        asked.set()
        answer.wait(30)

    with claims.Heart(study, elsewhere(1), on_beat) as heart:
        assert asked.wait(30)
    assert heart.is_alive()
    answer.set()
    heart.join(30)
    assert not heart.is_alive()
