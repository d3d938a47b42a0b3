"""Vectors of all words, or entity words, of all test sets: ours, a bare forward pass, and one pass for each word.

    python benchmarks/embedding.py                    # MiniLM of the test environment, MasakhaNER's ten test sets
    python benchmarks/embedding.py --words all        # every word of every sentence, not those of entities alone
    python benchmarks/embedding.py --rounds 1 --sample 50 --output embedding.json

Contenders, all over the sentences that have such a word: ``ours`` (tokenising, hidden states, sums and averages of
every such word), ``bare`` (tokenising and a forward pass in padded batches of 32 in the order of the corpus, as
transformers does it, nothing taken from it), ``bare unpadded`` (our encoding and passes, nothing taken from them),
``word by word`` (tokenising and a pass for each word: a sample of the words, times how many there are), ``published``
(the same as Beukman and Fokam 2023 did it, with the tags in the text, so that it is longer). Interleaved; shown are
medians and quartiles of processor seconds (on a GPU: of wall seconds) over the rounds, and ratios of the same round.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]  # runs from a checkout that is not installed

import bench_data  # noqa: E402
import numpy as np  # noqa: E402
import speed_measures as measures  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from speed import small_start  # noqa: E402

from nertransfer.core.config import EmbedConfig  # noqa: E402
from nertransfer.core.options import DataOptions  # noqa: E402
from nertransfer.corpora import corpus  # noqa: E402
from nertransfer.corpora.conll import Sentence  # noqa: E402
from nertransfer.corpora.corpus import Split  # noqa: E402
from nertransfer.encoders import starts  # noqa: E402
from nertransfer.encoders.inference import word_vectors  # noqa: E402
from nertransfer.encoders.tokenization import (  # noqa: E402
    collate,
    encode,
    token_budget_batches,
)
from nertransfer.encoders.unpadded import (  # noqa: E402
    CPU_TOKENS,
    hidden_states,
)
from nertransfer.scoring import vector_files  # noqa: E402
from nertransfer.scoring.vector_files import EntityWords  # noqa: E402

WINDOW, BATCH = 200, 32
GPU_TOKENS = 8192
CLOCKS = {"cpu_seconds": "processor s", "wall_seconds": "wall s"}
LAYERS = EmbedConfig.layers
OURS, BARE, UNPADDED, WORD_BY_WORD, PUBLISHED = "ours", "bare", "bare unpadded", "word by word", "published"


def every_word(split: Split) -> EntityWords:
    """As `vector_files.entity_words`, of all words, without categories."""
    rows = [(split.language, n, i, "", "", w) for n, s in enumerate(split.sentences) for i, w in enumerate(s.words)]
    return EntityWords(rows, np.arange(len(rows)))


WORDS: dict[str, Callable[[Split], EntityWords]] = {"entity": vector_files.entity_words, "all": every_word}


def with_words(splits: Mapping[str, Split], words: str, most: int) -> dict[str, Split]:
    """The sentences that have such a word, by language, at most ``most`` of each (0: all), drawn at random."""
    kept = {}
    for language, split in splits.items():
        numbers = sorted({row[1] for row in WORDS[words](split).rows})
        sentences = tuple(split.sentences[number] for number in numbers)
        if 0 < most < len(sentences):
            sentences = tuple(random.Random(0).sample(sentences, most))
        kept[language] = Split(language, split.name, sentences, split.digest)
    return kept


class Contenders:
    """Ways to run one encoder over some splits. Each returns what is compared: vectors, or nothing."""

    def __init__(
        self, start: starts.Start, splits: Mapping[str, Split], words: str, sample: int, device: torch.device
    ) -> None:
        self.splits, self.device = splits, device
        self.model, self.tokenizer = starts.load_encoder(start).eval().to(device), starts.load_tokenizer(start)
        self.words = {name: WORDS[words](split) for name, split in splits.items()}
        self.number = sum(len(one.rows) for one in self.words.values())
        every = [(name, i) for name, one in self.words.items() for i in range(len(one.rows))]
        self.sampled = random.Random(0).sample(every, min(sample, len(every)))

    def ours(self) -> dict[str, np.ndarray]:
        found = {}
        for name, split in self.splits.items():
            encoded = encode([s.words for s in split.sentences], self.tokenizer, WINDOW)
            found[name] = word_vectors(self.model, encoded, self.words[name].places, LAYERS, self.device)
        return found

    def bare(self) -> None:
        for split in self.splits.values():
            for begin in range(0, len(split.sentences), BATCH):
                self._padded(split.sentences[begin : begin + BATCH])

    def _padded(self, sentences: tuple[Sentence, ...], hidden: bool = False, longest: int = WINDOW) -> tuple[Any, Any]:
        inputs = self.tokenizer(
            [list(s.words) for s in sentences], is_split_into_words=True, padding=True, truncation=True,
            max_length=longest, return_tensors="pt",
        ).to(self.device)  # fmt: skip
        with torch.inference_mode():
            return inputs, self.model(**inputs, output_hidden_states=hidden)

    def bare_unpadded(self) -> None:
        for split in self.splits.values():
            encoded = encode([s.words for s in split.sentences], self.tokenizer, WINDOW)
            for indices in token_budget_batches(encoded, CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS):
                batch = collate(encoded, indices)
                with torch.inference_mode():
                    hidden_states(self.model, batch.input_ids, batch.attention_mask, self.device)

    def word_by_word(self) -> list[np.ndarray]:
        """Vectors of the sampled words."""
        found = []
        for name, i in self.sampled:
            _, sentence, word, *_ = self.words[name].rows[i]
            inputs, output = self._padded((self.splits[name].sentences[sentence],), hidden=True)
            mine = torch.tensor([w == word for w in inputs.word_ids()], device=self.device)
            states = torch.stack([output.hidden_states[-layer] for layer in LAYERS]).sum(0)
            found.append(states[0][mine].mean(0).cpu().numpy())
        return found

    def published(self) -> None:
        """Vectors of the sampled words, each from a text with a tag behind every word."""
        for name, i in self.sampled:
            _, number, word, *_ = self.words[name].rows[i]
            sentence = self.splits[name].sentences[number]
            pairs = zip(sentence.words, sentence.tags, strict=True)
            tagged = Sentence(tuple(x for pair in pairs for x in pair), ("O",) * (2 * len(sentence.words)))
            inputs, output = self._padded((tagged,), hidden=True, longest=self.tokenizer.model_max_length)
            mine = torch.tensor([w == 2 * word for w in inputs.word_ids()], device=self.device)
            states = torch.stack([output.hidden_states[-layer] for layer in LAYERS]).sum(0)
            states[0][mine].mean(0).cpu().numpy()

    def agreement(self, ours: Mapping[str, np.ndarray], slow: list[np.ndarray]) -> dict[str, float]:
        """Greatest differences between our vectors and those of the sampled words that the slow way did not cut off."""
        pairs = [(ours[name][i], v) for (name, i), v in zip(self.sampled, slow, strict=True) if not np.isnan(v).any()]
        return {
            "compared": len(pairs),
            "greatest_difference": max(float(np.abs(a - b).max()) for a, b in pairs),
            "relative_to_length": max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs),
        }


def run(
    start: Path,
    data: Path,
    rounds: int,
    sample: int,
    most: int = 0,
    words: str = "entity",
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a constant
) -> dict[str, Any]:
    """Race all contenders; everything measured and computed, ready for JSON."""
    corpora = corpus.load(DataOptions(data=str(data)))
    splits = with_words({name: one.test for name, one in corpora.items()}, words, most)
    ways = Contenders(starts.Start("small", str(start)), splits, words, sample, device)
    times = ways.number / len(ways.sampled)

    def measure(contender: str, work: measures.Work) -> tuple[measures.Measurement, Any]:
        measured, output = measures.timed(contender, work)
        return (
            {key: times * value for key, value in measured.items()}
            if contender in (WORD_BY_WORD, PUBLISHED)
            else measured
        ), output

    named: dict[str, Callable[[], Any]] = {
        OURS: ways.ours, BARE: ways.bare, UNPADDED: ways.bare_unpadded, WORD_BY_WORD: ways.word_by_word,
        PUBLISHED: ways.published,
    }  # fmt: skip
    race = measures.race("embedding", {name: lambda work=work: work for name, work in named.items()}, rounds, measure)
    return {
        "device": device.type if device.type == "cpu" else torch.cuda.get_device_name(),
        "hardware": measures.hardware(torch.get_num_threads()),
        "versions": measures.versions(ROOT),
        "facts": {
            "test_sets": len(splits),
            "sentences": sum(len(split.sentences) for split in splits.values()),
            "words": ways.number,
            "kind_of_words": words,
            "sampled_words": len(ways.sampled),
        },
        "orders": race.orders,
        "measurements": race.measurements,
        "summary": measures.summary(race.measurements),
        "ratios": measures.ratios(race.measurements),
        "agreement": ways.agreement(race.outputs[OURS], race.outputs[WORD_BY_WORD]),
    }


def table(result: Mapping[str, Any]) -> str:
    """For people."""
    facts, agreement = result["facts"], result["agreement"]
    clock = "cpu_seconds" if result["device"] == "cpu" else "wall_seconds"
    lines = [
        f"{facts['words']} words ({facts['kind_of_words']}) in {facts['sentences']} sentences of "
        f"{facts['test_sets']} test sets",
        f"{'contender':<14} {CLOCKS[clock]:>24} {'times ours':>24}",
    ]
    for name, summed in result["summary"].items():
        # a ratio is kept in one direction only
        ratio = [b[clock] / a[clock] for a, b in
                 zip(result["measurements"][OURS], result["measurements"][name], strict=True)]  # fmt: skip
        lines.append(f"{name:<14} {_spread(summed[clock]):>24} {_spread(measures.spread(ratio)):>24}")
    lines.append(
        f"unlike word by word on {agreement['compared']} words: at most {agreement['greatest_difference']:.1e}, "
        f"{agreement['relative_to_length']:.1e} of a vector's length"
    )
    return "\n".join(lines)


def _spread(value: Mapping[str, float]) -> str:
    return f"{value['median']:.2f} ({value['lower_quartile']:.2f}-{value['upper_quartile']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    bench_data.add_argument(parser)
    parser.add_argument("--start", type=Path, help="folder of the encoder; else MiniLM of the test environment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sample", type=int, default=300, help="words of the way that runs a pass for each")
    parser.add_argument("--words", choices=WORDS, default="entity", help="which words")
    parser.add_argument("--sentences", type=int, default=0, help="most sentences of each test set; 0: all")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--output", type=Path, help="JSON file for everything measured")
    given = parser.parse_args()
    data = bench_data.folder(parser, given.data)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.set_num_threads(given.threads)
    transformers.logging.set_verbosity_error()
    result = run(
        given.start or small_start(), data, given.rounds, given.sample, given.sentences, given.words,
        torch.device(given.device),
    )  # fmt: skip
    if given.output is not None:
        given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    bench_data.run(main)
