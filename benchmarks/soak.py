"""Studies under kills and faults, for as long as one likes; each must end as if nothing had happened.

    make soak                                  # an hour
    make soak ARGS="--minutes 5 --seed 7"

A round is a small study (6 cells) on an MLflow server behind a proxy that loses, doubles, delays and refuses requests.
Meanwhile, at random moments, its main process or a worker is killed, the server is killed and started again, and the
disk is filled, all in an order that the seed decides. After the last disturbance the study is run to its end. Then its
``results.csv`` and its registry are compared with those of a study that nothing has disturbed, and every cell must be
there once. The disk is a small one in memory, which takes root on Linux; elsewhere no disk is filled, as the first line
says.

Prints a line per round and a summary; ``--output`` also writes them as CSV. Its exit status is 1 if a round ended
otherwise.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]  # runs from a checkout that is not installed

import disturbed  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from warm import PROJECT, Warm  # noqa: E402

from nertransfer.core import schema  # noqa: E402
from nertransfer.tracking.runs import cell_runs  # noqa: E402

DISK_MB = 64
DISTURBANCES = 12
"""At most so many in a round: a study would not come to its end."""
STARTS = 8
"""A round fails if the study has not ended well after so many starts without a disturbance."""
KINDS = ("kill the study",) * 3 + ("kill a worker",) * 4 + ("restart the server",) * 2 + ("fill the disk",) * 2


@dataclass
class Round:
    """What was done to a study, and how it ended: ``difference`` is empty if it is as without disturbances."""

    number: int
    seconds: float = 0.0
    done: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    resumed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    difference: str = ""

    def line(self) -> str:
        """For people."""
        done = ", ".join(f"{kind} {n}x" for kind, n in sorted(self.done.items())) or "nothing else"
        ends = ", ".join(f"{status} {n}x" for status, n in sorted(self.statuses.items()))
        verdict = f"DIFFERENT: {self.difference}" if self.difference else "as undisturbed"
        return (
            f"round {self.number}: {verdict}; {self.faults} faults of the network, {done}; "
            f"{self.resumed} cells went on; exit statuses {ends}; {self.seconds:.0f} s"
        )


@contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """Make ``folder`` a small disk while the block lasts; yields whether that could be done."""
    options = ["-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all that is left; none where the study has taken it already."""
    path = folder / "filler"
    with suppress(OSError), path.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    return path


class Study:
    """A study that is disturbed, and the server that it has."""

    def __init__(self, folder: Path, python: str, server: disturbed.Server, address: str, done: Round) -> None:
        self.folder, self.python, self.server, self.address, self.done = folder, python, server, address, done
        self.running = disturbed.begin(folder, python, address)

    def again(self) -> None:
        """Start it once more where it has ended."""
        if (status := self.running.poll()) is not None:
            self.done.statuses[status] += 1
            self.running = disturbed.begin(self.folder, self.python, self.address)

    def disturb(self, kind: str, chance: random.Random) -> None:
        match kind:
            case "kill the study":
                self.running.kill()
                self.running.wait()
            case "kill a worker":
                workers = disturbed.workers_of(self.folder, self.server.uri)
                if not workers:
                    return
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
            case "restart the server":
                self.server.stop()
                time.sleep(chance.uniform(0, 6))
                self.server.start()
            case "fill the disk":
                filler = fill(self.folder)
                time.sleep(chance.uniform(0, 6))
                filler.unlink(missing_ok=True)
        self.done.done[kind] += 1

    def finish(self) -> None:
        """Run it to its end."""
        for _ in range(STARTS):
            if self.running.wait(600) == 0:
                self.done.statuses[0] += 1
                return
            self.again()
        raise AssertionError(f"not done after {STARTS} starts: {(self.folder / 'said.txt').read_text()[-2000:]}")


def play(number: int, seed: int, python: str, undisturbed: Path, place: Path) -> Round:
    """One round, in ``place``, an empty folder."""
    chance, done, began = random.Random(f"{seed} {number}"), Round(number), time.monotonic()
    with disk(place) as small:
        kinds = [kind for kind in KINDS if small or kind != "fill the disk"]
        folder = disturbed.make_folder(place)
        server = disturbed.Server(folder, python)
        server.start()
        study = None
        try:
            with FaultyProxy(server.uri, seed=chance.randrange(1 << 30)) as proxy:
                study = Study(folder, python, server, proxy.address, done)
                for _ in range(chance.randrange(1, DISTURBANCES)):
                    with suppress(subprocess.TimeoutExpired):
                        if study.running.wait(chance.uniform(0, 8)) == 0:
                            break
                    study.again()
                    study.disturb(chance.choice(kinds), chance)
                study.again()
                study.finish()
                done.faults = sum(proxy.done.values())
            compare(done, undisturbed, folder, server.uri)
        except Exception as error:
            done.difference = f"{type(error).__name__}: {error}"
            kept = Path(tempfile.mkdtemp(prefix="soak-"))
            (kept / "said.txt").write_text((folder / "said.txt").read_text() + "\n" + traceback.format_exc())
            done.difference += f" (what it said: {kept / 'said.txt'})"
        finally:
            if study is not None and study.running.poll() is None:
                study.running.kill()
                study.running.wait()
            server.stop()
    done.seconds = time.monotonic() - began
    return done


def compare(done: Round, undisturbed: Path, folder: Path, store: str) -> None:
    """Raises AssertionError where the study is not as the undisturbed one."""
    study = disturbed.opened(folder, store)
    disturbed.check_whole(study, folder)
    assert disturbed.results_of(folder) == disturbed.results_of(undisturbed), "other results"
    expected = disturbed.registry_of(disturbed.opened(undisturbed))
    assert disturbed.registry_of(study) == expected, f"another registry: {disturbed.registry_of(study)}"
    runs = cell_runs(study, "FINISHED")
    done.resumed = sum(int(run.data.tags[schema.ATTEMPTS]) > 1 for run in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="no round begins after (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of all that chance decides (default: 0)")
    parser.add_argument("--output", type=Path, help="a CSV file with a line per round")
    given = parser.parse_args()
    rounds: list[Round] = []
    end = time.monotonic() + 60 * given.minutes
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as place, Warm(PROJECT, environment) as warm:
        python = str(warm.bin / "python")
        undisturbed = Path(place, "undisturbed")
        undisturbed.mkdir()
        disturbed.make_folder(undisturbed)
        disturbed.finish(disturbed.begin(undisturbed, python), undisturbed)
        tried = Path(place, "disk")
        tried.mkdir()
        with disk(tried) as small:
            print(
                "disks are filled, too" if small else "no disk is filled: a small one cannot be mounted here",
                flush=True,
            )
        while time.monotonic() < end:
            folder = Path(place, str(len(rounds)))
            folder.mkdir()
            rounds.append(play(len(rounds), given.seed, python, undisturbed, folder))
            print(rounds[-1].line(), flush=True)
    if given.output:
        pd.DataFrame([asdict(one) for one in rounds]).to_csv(given.output, index=False)
    different = [one for one in rounds if one.difference]
    total = sum((one.done for one in rounds), Counter[str]())
    print(
        f"{len(rounds)} rounds, {len(different)} ended otherwise; {sum(one.faults for one in rounds)} faults of the "
        f"network, " + ", ".join(f"{kind} {n}x" for kind, n in sorted(total.items()))
    )
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
