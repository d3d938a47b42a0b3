"""Whatever a start's tokenizer is: one reading of every word, in training, scoring, serving and exports."""

from pathlib import Path

import pytest
import torch
import transformers
from accelerate import Accelerator
from tokenizer_kinds import FAST, KINDS, save_start

from nertransfer.corpora.labels import label_list
from nertransfer.encoders import starts
from nertransfer.encoders.inference import predict
from nertransfer.encoders.tokenization import Encoded, collate, encode, special_ids
from nertransfer.registry import standalone
from nertransfer.registry.tagger import Tagger, words

LABELS = label_list(("LOC", "PER"))
SPELLED = ["da", "<pad>", "</s>", "xo", "<mask>", "<unk>", "<s>", "ye", "[PAD]", "[SEP]", "[MASK]", "[CLS]", "x<pad>y"]
SENTENCES = [SPELLED, ["da", "xo"], [*reversed(SPELLED), "kate"], ["<pad>"], ["ba", "[PAD]", "li", "<pad>", "rono"]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple]:
    """By kind, a tagger with random weights that is sure of itself and looks at its neighbours, and its tokenizer."""
    folder, found = tmp_path_factory.mktemp("kinds"), {}
    for kind in KINDS:
        start = starts.Start(kind, str(save_start(kind, folder / kind)))
        model = starts.load_for_tagging(start, LABELS, seed=1).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= 8 if parameter.dim() > 1 else 1
        found[kind] = model, starts.load_tokenizer(start)
    return found


def padded_labels(model: transformers.PreTrainedModel, encoded: Encoded) -> list[str]:
    """Of every word, by one padded batch as a GPU gets it."""
    batch = collate(encoded, range(len(encoded.windows)))
    with torch.inference_mode():
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    best = logits[batch.rows, batch.columns].argmax(-1)
    return [LABELS[i] for i in best[batch.words.argsort()]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_that_is_spelled_like_a_special_token_is_a_word(made: dict[str, tuple], kind: str) -> None:
    model, tokenizer = made[kind]
    encoded = encode(SENTENCES, tokenizer, 32)
    prefix, suffix = special_ids(tokenizer)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for window in encoded.windows:
        assert special.isdisjoint(window.ids[len(prefix) : len(window.ids) - len(suffix)])
    scored = predict(model, encoded, LABELS, Accelerator(cpu=True))
    assert [tag for tags in scored for tag in tags] == padded_labels(model, encoded)
    model.config.nertransfer_window = 32
    assert scored == [tags for tags, _ in Tagger(model, tokenizer).tag(SENTENCES)]
    assert len({tag for tags in scored for tag in tags}) > 1


TEXTS = [
    "da xo kuma kate", "xo", "rono da ba ye li", "<pad> da xo", "ba [PAD] </s> xo ye", "kuma", "li li li", "zu da",
    "ab cd ef gh", "[SEP] da", "ye xo", "qa <mask> we", "[CLS] xo [MASK] da", "x<pad>y da", "<unk> li", "<s> da xo",
]  # fmt: skip


@pytest.mark.parametrize("kind", FAST)
def test_a_pipeline_of_a_stored_model_reads_text_as_the_tagger_was_trained(
    made: dict[str, tuple], kind: str, tmp_path: Path
) -> None:
    model, tokenizer = made[kind]
    expected = Tagger(model, tokenizer)
    starts.save(model, standalone.ready(starts.load_tokenizer(starts.Start(kind, model.name_or_path))), tmp_path / "x")
    pipeline = transformers.pipeline("token-classification", str(tmp_path / "x"), ignore_labels=[])
    # Unigram cuts text into special tokens, whatever a tokenizer is told: only there the tagger sees to it alone
    texts = [text for text in TEXTS if kind != "xlm-roberta" or not {"<", "["} & set(text)]
    assert len(texts) > 7
    for text in texts:
        places = words.split_words(text)
        ((labels, probabilities),) = expected.tag([[text[a:b] for a, b in places]])
        tokens = pipeline(text)
        firsts = [next(token for token in tokens if token["end"] > begin) for begin, _ in places]
        assert [token["entity"] for token in firsts] == labels, text
        assert [float(token["score"]) for token in firsts] == pytest.approx(probabilities, abs=1e-4), text
    again = starts.load_tokenizer(starts.Start("again", str(tmp_path / "x")))
    assert words.word_pieces(again, SPELLED) == words.word_pieces(tokenizer, SPELLED)
