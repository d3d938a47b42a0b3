"""How a start reads unlabelled text: a vector for each of some sentences. Knows no labels; tracks nothing."""

from collections.abc import Callable, Sequence

import numpy as np

from nertransfer import starts
from nertransfer.cell import make_accelerator
from nertransfer.config import DataOptions, EmbedConfig, Recipe, ScoringOptions
from nertransfer.embedding import word_vectors
from nertransfer.encoding import encode
from nertransfer.progress import progress_bar
from nertransfer.study import resolve_starts
from nertransfer.subtokens import of_words

SENTENCES = 100
"""Of a text that are read. Two hundreds of sentences order the pairs of MasakhaNER's ten languages alike by the cosine
of their centres (MiniLM-L6, Spearman's rho 0.99)."""


class TextEncoder:
    """A start as a reader of texts, on a GPU where there is one.

    ``subtokens`` gives those of a word (`nertransfer.subtokens`); None where the start's tokenizer has no definition.
    """

    def __init__(self, text: str, data: DataOptions) -> None:
        """Load the start that ``text`` names as in a study of ``data``; raises InputError where it cannot be."""
        run = ScoringOptions()
        accelerator = make_accelerator(Recipe(), run)
        start = resolve_starts((text,), data, lambda: accelerator)[0]
        self._encoder = starts.load_encoder(start).to(accelerator.device)
        self._tokenizer = starts.load_tokenizer(start)
        self._device, self._tokens = accelerator.device, run.evaluation_tokens
        depth = self._encoder.config.num_hidden_layers + 1  # the embeddings are one, too
        self._layers = [layer for layer in EmbedConfig.layers if layer <= depth]
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        self.subtokens: Callable[[str], list[str | None]] | None = of_words(backend.to_str()) if backend else None

    def vectors(self, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """A vector for each of at most `SENTENCES` sentences, float32 [sentences, size].

        They are spread evenly over the text. A sentence's vector is the mean of its words' vectors, which are those of
        `embedding.word_vectors`: the sum of the last four layers.
        """
        places = np.linspace(0, len(sentences) - 1, min(SENTENCES, len(sentences))).round().astype(int)
        window = starts.window(self._encoder, self._tokenizer)
        encoded = encode([sentences[i] for i in places], self._tokenizer, window)
        with progress_bar(encoded.number_of_words, "reading", "word") as bar:
            words = np.arange(encoded.number_of_words)
            found = word_vectors(self._encoder, encoded, words, self._layers, self._device, self._tokens, bar)
        begins = encoded.sentence_starts
        return np.add.reduceat(found, begins[:-1], axis=0) / np.diff(begins)[:, None].astype(np.float32)
