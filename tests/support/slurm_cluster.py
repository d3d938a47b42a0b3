"""A throw-away Slurm of one node on this machine: no systemd, no accounting, two make-believe GPUs.

Debian's packages munge, slurmctld, slurmd and slurm-client are needed. State lives in a folder that
every user can enter, for munged refuses others.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
PORTS = 30  # of these: controller, node daemon, and the rest for srun

CONFIGURATION = """\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={slurmd_port}
SrunPortRange={first}-{last}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={state}/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={state}/controller
SlurmdSpoolDir={state}/node
SlurmctldPidFile={state}/slurmctld.pid
SlurmdPidFile={state}/slurmd.pid
SlurmctldLogFile={state}/slurmctld.log
SlurmdLogFile={state}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,requeue_setup_env_fail
ReturnToService=2
KillWait=2
MinJobAge=300
MaxArraySize=4
OverTimeLimit=0
JobRequeue=1
NodeName={host} NodeAddr=127.0.0.1 NodeHostname={host} CPUs=2 RealMemory=2000 Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=1:00:00 DefaultTime=5 State=UP OverSubscribe=NO
"""


def missing_programs() -> list[str]:
    """What this machine lacks to run a Slurm."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class SlurmCluster:
    """Started when it is entered, stopped when it is left; ``environment`` is what its users need."""

    def __init__(self) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.state.chmod(0o755)
        self.environment = {"SLURM_CONF": str(self.state / "slurm.conf")}

    def __enter__(self) -> "SlurmCluster":
        host, port = socket.gethostname().partition(".")[0], _free_ports(PORTS)
        for name in ("controller", "node"):
            (self.state / name).mkdir()
        (self.state / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=host, port=port, slurmd_port=port + 1, first=port + 2, last=port + PORTS - 1, state=self.state
            )
        )
        (self.state / "gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/tty[0-1]\n")
        key = self.state / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        files = {"socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munge.seed"}
        munge = [f"--{option}={self.state}/{name}" for option, name in files.items()]
        self.call("munged", f"--key-file={key}", *munge)
        self.call("slurmctld")
        self.call("slurmd", "-N", host)
        deadline = time.monotonic() + 30
        while self.call("sinfo", "--noheader", "--format=%T").strip() != "idle":
            if time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"the node is not idle: {(self.state / 'slurmctld.log').read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def call(self, *command: str) -> str:
        """Run one of Slurm's commands; raises where it fails."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def __exit__(self, *_: object) -> None:
        subprocess.run(["scancel", "--me"], env=os.environ | self.environment, capture_output=True, check=False)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.call("squeue", "--noheader").strip():
            time.sleep(0.1)
        for name in ("slurmd", "slurmctld", "munged"):
            try:
                pid = int((self.state / f"{name}.pid").read_text())
                os.kill(pid, signal.SIGTERM)
            except (OSError, ValueError):
                continue
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and Path(f"/proc/{pid}").exists():
                time.sleep(0.1)
        shutil.rmtree(self.state, ignore_errors=True)


def _free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for first in range(26000, 32000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")
