"""The published study on one GPU: how long a step, a fine-tuning and the whole grid take, and what limits them.

    python benchmarks/gpu.py                                        # every stage; about five minutes on an H200
    python benchmarks/gpu.py --stages agreement,steps --output gpu.json
    python benchmarks/gpu.py --small                                # whether all of it runs, on any machine

The encoder has xlm-roberta-base's architecture and random weights, the vocabulary is trained on the corpora so that it
cuts them about as finely as XLM-R's; both are made in ``--work`` the first time. Nothing is downloaded, and neither
mlflow nor pandas is needed.

Stages: ``cell`` (one published fine-tuning: 50 epochs, all dev and test splits scored, weights loaded and saved),
``languages`` (some epochs on every language, and from them the published grid), ``steps`` (compiled, replayed and
ordinary ones in bf16 and fp32, with their share of the measured peak of matrix products), ``agreement`` (losses of
replayed and of ordinary steps, without dropout), ``race`` and ``scoring`` (against the other ways of
benchmarks/speed.py) and ``embedding`` (as benchmarks/embedding.py), all three of an encoder of MiniLM's size,
``side by side`` (several cells at once on the one GPU).
"""

import argparse
import functools
import gc
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]  # runs from a checkout that is not installed

import bench_data  # noqa: E402
import embedding  # noqa: E402
import numpy as np  # noqa: E402
import speed_measures as measures  # noqa: E402
import speed_references as references  # noqa: E402
import speed_workloads as workloads  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers  # noqa: E402
from torch._dynamo.utils import counters  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

from nertransfer.core.options import (  # noqa: E402
    RECIPES,
    DataOptions,
    RunOptions,
)
from nertransfer.corpora import corpus  # noqa: E402
from nertransfer.corpora.corpus import Corpus  # noqa: E402
from nertransfer.corpora.labels import label_list  # noqa: E402
from nertransfer.encoders import starts  # noqa: E402
from nertransfer.training import finetune  # noqa: E402
from nertransfer.training.cell import make_cell  # noqa: E402
from nertransfer.training.finetune import History  # noqa: E402
from nertransfer.training.run_cell import (  # noqa: E402
    CellData,
    Encoder,
    Hooks,
    run_cell,
    splits_of,
)

VOCABULARY = 14_000
"""An epoch of a MasakhaNER language is 79 thousand sub-tokens with it, on average over the ten."""
CELLS = 190
"""Of the published study: 38 configurations, five seeds."""
SEEDS = 5
WRITTEN = sum(1 / n for n in range(1, SEEDS + 1)) / SEEDS
"""Share of cells whose weights are written: those that are better than the seeds before them, in any order."""
EPOCHS = 50
PRECISIONS = ("bf16", "fp32")
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
RUN = RunOptions(checkpoint_minutes=-1)
COMPILED = replace(RUN, compile=True)
Found = dict[str, Any]


class Setting:
    """What all stages share."""

    def __init__(self, data: Path, work: Path, small: bool) -> None:
        self.corpora: dict[str, Corpus] = corpus.load(DataOptions(data=str(data)))
        self.work, self.small = work, small
        self.epochs, self.rounds = (3, 1) if small else (EPOCHS, 5)
        self.start = starts.Start("xlmr", str(self._start("start")))
        self.encoder = Encoder(starts.load_tokenizer(self.start), RECIPES["published"].max_length)

    def _start(self, name: str, **sizes: Any) -> Path:
        folder = self.work / name
        if not (folder / "tokenizer.json").is_file():
            small = workloads.SMALL | {"num_hidden_layers": 4, "vocab_size": VOCABULARY} if self.small else {}
            workloads.save_xlm_roberta(folder, **sizes | small)
            _tokenizer(self.corpora, self.work / "tokenizer.json").save_pretrained(folder)
        return folder

    def dry(self) -> starts.Start:
        """The same without dropout."""
        return starts.Start("dry", str(self._start("dry", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)))

    def minilm(self) -> Path:
        return self._start("minilm", **MINILM)

    def fit(
        self,
        language: str,
        precision: str,
        epochs: int,
        start: starts.Start | None = None,
        run: RunOptions = RUN,
    ) -> History:
        """A fine-tuning without scoring."""
        one = self.corpora[language]
        labels = label_list(one.categories)
        train = self.encoder.with_labels(one.train, labels)
        recipe = replace(RECIPES["published"], epochs=epochs, precision=precision)
        model = starts.load_for_tagging(start or self.start, labels, 0)
        read = (train, self.encoder(one.dev))
        accelerator = workloads.fresh_accelerator(recipe, run)
        training, machine = finetune.Training(train, recipe, 0, read=read), finetune.Machine(run, accelerator)
        _, history = finetune.fit(model, training, machine, title=f"{language} {precision}")
        accelerator.free_memory()
        return history


def _tokenizer(corpora: dict[str, Corpus], path: Path) -> PreTrainedTokenizerFast:
    if not path.is_file():
        made = Tokenizer(models.Unigram())
        made.normalizer, made.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        trainer = trainers.UnigramTrainer(
            vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
        )
        made.train_from_iterator((" ".join(s.words) for c in corpora.values() for s in c.train.sentences), trainer)
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        made.save(str(path))
    return PreTrainedTokenizerFast(
        tokenizer_file=str(path), bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>",
        unk_token="<unk>", pad_token="<pad>", mask_token="<mask>", model_max_length=512,
    )  # fmt: skip


def without_capture(work: Callable[[], History]) -> History:
    usual = finetune.can_capture
    finetune.can_capture = lambda *_: False
    try:
        return work()
    finally:
        finetune.can_capture = usual


def peak(dtype: torch.dtype, size: int, repeats: int = 10) -> float:
    """Operations a second of a product of square matrices of random numbers."""
    a, b = (torch.randn(size, size, device=device(), dtype=dtype) for _ in range(2))

    def products(number: int) -> None:
        for _ in range(number):
            a @ b

    products(3)
    wait()
    return 2 * size**3 * repeats / measures.timed("", lambda: products(repeats))[0]["wall_seconds"]


def agreement(setting: Setting) -> Found:
    found: Found = {}
    for precision in PRECISIONS:
        replayed = setting.fit("hau", precision, 2, setting.dry()).losses
        ordinary = without_capture(lambda p=precision: setting.fit("hau", p, 2, setting.dry())).losses
        found[precision] = {
            "losses": len(replayed),
            "first": replayed[:3],
            "greatest_difference": float(np.abs(np.subtract(replayed, ordinary)).max()),
            "greatest_difference_of_ten": float(np.abs(np.subtract(replayed, ordinary))[:10].max()),
        }
    return found


def steps(setting: Setting) -> Found:
    sizes = {"fp32": 128, "bf16": 128} if setting.small else {"fp32": 4096, "bf16": 8192}
    peaks = {"fp32": peak(torch.float32, sizes["fp32"]), "bf16": peak(torch.bfloat16, sizes["bf16"])}
    found: Found = {"matrix_product_tflops": {name: value / 1e12 for name, value in peaks.items()}}
    one = setting.corpora["hau"]
    train = setting.encoder.with_labels(one.train, label_list(one.categories))
    model = starts.load_for_tagging(setting.start, label_list(one.categories), 0)
    operations = measures.training_operations(model, [len(w.ids) for w in train.windows])
    del model
    for precision in PRECISIONS:
        for way in ("compiled", "replayed", "ordinary") if precision == "bf16" else ("replayed", "ordinary"):
            run = COMPILED if way == "compiled" else RUN

            def work(precision: str = precision, run: RunOptions = run) -> History:
                return setting.fit("hau", precision, 4, run=run)

            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            history = work() if way != "ordinary" else without_capture(work)
            seconds = min(history.seconds[2:])
            found[f"{precision} {way}"] = {
                "epochs_s": history.seconds,
                "step_ms": 1000 * seconds / history.steps_per_epoch,
                "sub_tokens_s": history.tokens / seconds,
                "tflops": operations / seconds / 1e12,
                "share_of_peak": operations / seconds / peaks[precision],
                "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None,
            }
    return found | {"steps": history.steps_per_epoch, "sub_tokens": history.tokens}


def whole_cell(setting: Setting, language: str, seed: int, epochs: int, run: RunOptions = COMPILED) -> Found:
    """A cell as a study runs it, tracking left out."""
    recipe = replace(RECIPES["published"], precision="bf16", epochs=epochs)
    one = setting.corpora[language]
    splits = splits_of(setting.corpora, list(setting.corpora))
    for split in splits:  # once a study
        setting.encoder(split)
    identity = starts.Identity("", "", "", 512)  # that of a start is computed once a study
    cell = make_cell(setting.start, identity, one, seed, recipe)
    scored: list[float] = []

    def wants_weights(_: object) -> bool:
        scored.append(time.perf_counter())
        return True

    compiled = counters["stats"]["unique_graphs"]
    began = time.perf_counter()
    folder = setting.work / f"cell-{os.getpid()}"
    accelerator = workloads.fresh_accelerator(recipe, run)
    machine = finetune.Machine(run, accelerator)
    result = run_cell(cell, CellData(one, splits), machine, folder, setting.encoder, Hooks(wants_weights=wants_weights))
    ended = time.perf_counter()
    return {
        "language": language,
        "epochs": epochs,
        "seconds": ended - began,
        "train_s": result.resources.train_seconds,
        "score_s": result.resources.score_seconds,
        "save_s": ended - scored[0],
        "compilations": counters["stats"]["unique_graphs"] - compiled,
        "steps": len(result.history.losses),
        "sub_tokens": result.history.tokens,
        "words_scored": sum(one.scores.words for one in result.scored),
        "peak_gb": result.resources.peak_memory / 1e9,
        "epochs_s": result.history.seconds[:10],
        "loss": [result.history.losses[0], result.history.losses[-1]],
    }


def cell(setting: Setting) -> Found:
    first = whole_cell(setting, "luo", 0, 1)  # also loads libraries and compiles
    return {"first": first, "hau": whole_cell(setting, "hau", 0, setting.epochs)}


def languages(setting: Setting) -> Found:
    """Every language for a few epochs; the first two record, the others are what the remaining ones are like."""
    whole_cell(setting, "luo", 0, 1)  # compiles where `cell` has not
    found: Found = {}
    for language in setting.corpora:
        few = whole_cell(setting, language, 0, 5)
        few["all_epochs_s"] = all_epochs(few["epochs_s"])
        few["train_and_score_s"] = few["all_epochs_s"] + few["score_s"]
        few["cell_s"] = few["seconds"] - few["train_s"] + few["all_epochs_s"]
        found[language] = few
    keys = ("train_and_score_s", "cell_s", "save_s")
    mean = {key: float(np.mean([few[key] for few in found.values()])) for key in keys}
    usual = mean["cell_s"] - (1 - WRITTEN) * mean["save_s"]
    return found | {"mean": mean, "grid_minutes_one_after_another": CELLS * usual / 60}


def embedding_words(setting: Setting, data: Path) -> Found:
    return embedding.run(setting.minilm(), data, min(setting.rounds, 3), sample=200, device=device())


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wait() -> None:
    """For the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def race(setting: Setting) -> Found:
    """An epoch of hau by an encoder of MiniLM's size, against the other ways of benchmarks/speed.py, which are in fp32.

    Ours is an epoch of the fifty of a published fine-tuning, what is done only once shared out among them. First, in
    fp32 and without dropout: are the losses the same?
    """
    one = setting.corpora["hau"]
    labels = label_list(one.categories)
    train = setting.encoder.with_labels(one.train, labels)
    start = starts.Start("minilm", str(setting.minilm()))
    recipe = replace(RECIPES["published"], epochs=1)
    agreed = workloads.compare_losses(start, labels, train, [train, setting.encoder(one.dev)], recipe, "auto")
    batches = references.random_batches(len(train.windows), recipe.batch_size, workloads.SEED)

    def other(name: str) -> measures.Work:
        model = workloads.plain_model(start, labels).to(device())
        return lambda: workloads.REFERENCES[name](model, train, batches, recipe)

    def measure(name: str, work: measures.Work) -> tuple[measures.Measurement, Any]:
        measured, output = measures.timed(name, work)
        if isinstance(output, History):
            return {
                "wall_seconds": all_epochs(output.seconds) / EPOCHS,
                "later": float(np.median(output.seconds[2:])),
            }, ""
        return {"wall_seconds": measured["wall_seconds"], "later": measured["wall_seconds"]}, ""

    ours = {f"ours, {p}": lambda p=p: lambda: setting.fit("hau", p, 5, start) for p in PRECISIONS}
    contenders = {name: functools.partial(other, name) for name in workloads.REFERENCES} | ours
    found = raced("race", contenders, setting.rounds, measure)[0]
    return found | {"differences": agreed["differences"], "losses": agreed["losses"]["ours"]}


def raced(
    title: str, contenders: dict[str, measures.Prepare], rounds: int, measure: measures.Measure = measures.timed
) -> tuple[Found, dict[str, Any]]:
    """Measurements and ratios of a race of contenders that are warm, and what they made in the first round."""
    for prepare in contenders.values():
        prepare()()  # libraries are loaded
    made = measures.race(title, contenders, rounds, measure)
    return {"measurements": made.measurements, "ratios": measures.ratios(made.measurements)}, made.outputs


def all_epochs(seconds: Sequence[float]) -> float:
    """Seconds of a whole fine-tuning from those of its first epochs: the first two record steps."""
    return sum(seconds[:2]) + (EPOCHS - 2) * float(np.median(seconds[2:]))


def scoring(setting: Setting, data: Path, batches: int = 8) -> Found:
    """The race of benchmarks/speed.py on so many batches of eight sentences of each test set."""
    config = workloads.Config(data, setting.minilm(), setting.minilm(), batches=batches, device="auto")
    workload = workloads.scoring(workloads.Setting(config))
    found, outputs = raced("scoring", workload.contenders, setting.rounds)
    assert workload.compare is not None
    return found | {"facts": workload.facts, "agreement": workload.compare(outputs)}


def side_by_side(setting: Setting, data: Path, counts: Sequence[int]) -> Found:
    """Whole cells of hau in so many processes at once, each begins when all are ready."""
    found: Found = {}
    for count in counts:
        gate = setting.work / f"gate-{count}"
        gate.unlink(missing_ok=True)
        command = [
            sys.executable, __file__, "--data", str(data), "--work", str(setting.work),
            *(["--small"] if setting.small else []), "--worker", str(gate),
        ]  # fmt: skip
        running = [
            subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True) for number in range(count)
        ]
        try:
            for one in running:
                assert one.stdout is not None
                if one.stdout.readline().strip() != "ready":
                    raise RuntimeError("a worker failed before its cell began; what it said is above")
            began = time.perf_counter()
            gate.touch()
            said = [one.communicate()[0] for one in running]
            seconds = time.perf_counter() - began
            if any(one.returncode for one in running):
                raise RuntimeError("a worker failed in its cell; what it said is above")
        finally:
            for one in running:  # those that still wait for one that failed
                one.kill()
        parts = [json.loads(text.splitlines()[-1]) for text in said]
        found[str(count)] = {"seconds": seconds, "steps_s": sum(p["steps"] for p in parts) / seconds, "cells": parts}
    return found


def worker(setting: Setting, gate: Path, number: int) -> None:
    whole_cell(setting, "luo", 0, 1)
    print("ready", flush=True)
    while not gate.exists():
        time.sleep(0.01)
    print(json.dumps(whole_cell(setting, "hau", number, min(setting.epochs, 10))), flush=True)


STAGES = ("cell", "languages", "steps", "agreement", "race", "scoring", "embedding", "side by side")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    bench_data.add_argument(parser)
    parser.add_argument("--work", type=Path, default=Path("work") / "gpu-benchmark", help="folder for the start")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--processes", default="2,3", help="how many run side by side")
    parser.add_argument("--small", action="store_true", help="a tiny encoder: to try this program out")
    parser.add_argument("--output", type=Path, help="JSON file for everything measured")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.small and not torch.cuda.is_available():
        parser.error("there is no GPU here; --small tries the program out without one")
    if unknown := [name for name in given.stages.split(",") if name not in STAGES]:
        parser.error(f"--stages: {', '.join(unknown)}: one of {', '.join(STAGES)}")
    data = bench_data.folder(parser, given.data)
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    transformers.logging.set_verbosity_error()
    given.work.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    setting = Setting(data, given.work, given.small)
    gc.freeze()  # as the workers of a study do, whose cells begin and end with a collection
    if given.worker:
        worker(setting, Path(given.worker[0]), int(given.worker[1]))
        return
    found: Found = {
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "set_up_s": time.perf_counter() - began,
    }
    work: dict[str, Callable[[], Found]] = {
        "cell": lambda: cell(setting),
        "languages": lambda: languages(setting),
        "steps": lambda: steps(setting),
        "agreement": lambda: agreement(setting),
        "race": lambda: race(setting),
        "scoring": lambda: scoring(setting, data),
        "embedding": lambda: embedding_words(setting, data),
        "side by side": lambda: side_by_side(setting, data, [int(n) for n in given.processes.split(",")]),
    }
    for name in given.stages.split(","):
        began = time.perf_counter()
        try:
            found[name] = work[name]()
        except Exception as error:  # the other stages' numbers are not lost
            found[name] = {"failed": f"{type(error).__name__}: {error}"}
            traceback.print_exc()
        found[name]["stage_s"] = time.perf_counter() - began
        print(json.dumps({name: found[name]}, indent=1), flush=True)
        if given.output is not None:
            given.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    bench_data.run(main)
