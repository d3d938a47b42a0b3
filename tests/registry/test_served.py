"""A registered model's own code: the spans that scoring counts, where they stand in the user's text, on any machine."""

import json
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
import transformers
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from tiny import tiny_tokenizer
from tiny_models import save_tiny_mlflow_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForTokenClassification

from nertransfer.core.options import Recipe
from nertransfer.encoders import starts
from nertransfer.encoders.inference import predict
from nertransfer.encoders.tokenization import encode
from nertransfer.registry import packaging
from nertransfer.registry import tagger as served
from nertransfer.registry.tagger import COLUMNS, LONGEST_TEXT, Tagger, words
from nertransfer.scoring import scores

TEXT = "da xo Kuma, kate (rono) ba! ye\u0301 \N{GRINNING FACE} li"
WORD = st.text(min_size=1, max_size=6).filter(lambda word: not set(word) & set(" \t\r\n"))
LETTERS = st.text("abcdefgh\u200b", min_size=1, max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_mlflow_model(tmp_path_factory.mktemp("served"))


def test_what_it_repeats_because_it_travels_alone_is_what_the_package_says() -> None:
    assert served.WINDOW == starts.WINDOW and served.WORDS == starts.WORDS
    assert Recipe().max_length == served.DEFAULT_WINDOW


@pytest.fixture(scope="module")
def model(folder: Path) -> PyFuncModel:
    return mlflow.pyfunc.load_model(str(folder))


@pytest.fixture(scope="module")
def tagger(folder: Path) -> tuple[transformers.PreTrainedModel, transformers.PreTrainedTokenizerBase, tuple[str, ...]]:
    """What the project itself evaluates: the same weights before they became an MLflow model."""
    return starts.load_tagger(starts.Start("tiny", str(folder.parent / "tagger")))


def scored_entities(tagger: tuple, sentences: list[list[str]], window: int = 32) -> list[tuple[int, int, int, str]]:
    """(sentence, first word, end word, category) of the entities that `evaluate` would score."""
    network, tokenizer, labels = tagger
    tags = predict(network, encode(sentences, tokenizer, window), labels, Accelerator(cpu=True))
    found = scores.entities(tags)
    begins = [0, *found.ends.tolist()]
    rows = []
    for first, end, category in zip(found.first, found.end, found.category, strict=True):
        sentence = int((found.ends <= first).sum())
        begin = begins[sentence]
        rows.append((sentence, int(first) - begin, int(end) - begin, found.categories[category]))
    return rows


def served_entities(model: PyFuncModel, sentences: list[list[str]]) -> list[tuple[int, int, int, str]]:
    table = model.predict([" ".join(sentence) for sentence in sentences], params={"words": True})
    rows = []
    for row in table.itertuples():
        place = words.split_words(" ".join(sentences[row.input]))
        first, last = [a for a, _ in place].index(row.start), [b for _, b in place].index(row.end)
        rows.append((row.input, first, last + 1, row.category))
    return rows


def test_raw_text_is_cut_as_the_model_learnt_it(tagger: tuple) -> None:
    network, tokenizer, _ = tagger
    usual = served.Tagger(network, tokenizer)
    assert usual.rule == "unicode"  # of models that were stored before
    try:
        setattr(network.config, served.WORDS, {"rule": "inside", "found": 0.98})
        other = served.Tagger(network, tokenizer)
    finally:
        delattr(network.config, served.WORDS)
    assert [len(one.read(["da-xo 3.5"])[0].places) for one in (usual, other)] == [6, 2]
    (read,) = other.read(["da-xo 3.5"], words.split_text)
    assert len(read.places) == 6  # unless it is said


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.one_of(LETTERS, WORD), max_size=25), min_size=1, max_size=5))
def test_spans_are_the_entities_that_scoring_counts(model: PyFuncModel, tagger: tuple, sentences: list) -> None:
    assert served_entities(model, sentences) == scored_entities(tagger, sentences)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ConvBert", {"embedding_size": 32}),
        ("Funnel", {"block_sizes": [1, 1], "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64}),
        ("Nystromformer", {}),
        ("XLMRoberta", {}),
    ],
)
def test_what_a_text_gets_does_not_depend_on_its_neighbours(kind: str, settings: dict) -> None:
    """Not even where the model lets padding into words: scoring and serving tag such windows by length."""
    if kind != "Funnel":
        settings = settings | {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
        }  # fmt: skip
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tiny_tokenizer()), pad_token_id=1, max_position_embeddings=66, num_labels=9, **settings
    )
    torch.manual_seed(0)
    network = getattr(transformers, f"{kind}ForTokenClassification")(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 4 if parameter.dim() > 1 else 1
    sentences = [["ab", "cde", "f"][: 1 + i % 3] * (1 + i % 4) for i in range(12)]
    labels = [f"B-{i}" for i in range(9)]
    network.config.id2label = dict(enumerate(labels))
    tagger = Tagger(network, tiny_tokenizer())
    together = tagger.tag(sentences)
    for sentence, (tags, probabilities) in zip(sentences, together, strict=True):
        ((tags_alone, alone),) = tagger.tag([sentence])
        assert tags_alone == tags and alone == pytest.approx(probabilities, abs=1e-4)
    scored = predict(network, encode(sentences, tiny_tokenizer(), 32), labels, Accelerator(cpu=True))
    assert scored == [tags for tags, _ in together]


def test_long_texts_are_read_to_their_end(model: PyFuncModel, tagger: tuple) -> None:
    sentence = [f"{'abcdefgh'[i % 8]}{'klmno'[i % 5]}{'uvw'[i % 3]}" for i in range(2000)] + ["x" * 500, "da"]
    found = served_entities(model, [sentence, ["da"], []])
    assert found == scored_entities(tagger, [sentence, ["da"], []])
    assert max(end for number, _, end, _ in found if number == 0) > 1990
    assert any(first + 1 < end for _, first, end, _ in found)  # the begin-repair had something to do


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=4))
def test_a_span_is_what_stands_at_its_place_in_the_users_text(model: PyFuncModel, texts: list[str]) -> None:
    table = model.predict(texts)
    assert table.dtypes.astype(str).to_dict() == COLUMNS
    for row in table.itertuples():
        assert row.text == texts[row.input][row.start : row.end] and row.text.strip() == row.text != ""
        assert row.category in ("LOC", "PER") and 0 < row.score <= 1
    for number in range(len(texts)):
        places = table[table["input"] == number][["start", "end"]].to_numpy().ravel().tolist()
        assert places == sorted(places)  # in order and apart


def test_texts_are_read_alone_and_in_order(model: PyFuncModel) -> None:
    texts = [TEXT, "", "li", TEXT[:8]]
    together = model.predict(texts)
    alone = [model.predict([text]).assign(input=i) for i, text in enumerate(texts)]
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True), rtol=1e-4)
    pd.testing.assert_frame_equal(model.predict(pd.DataFrame({"text": texts})), together)


def test_spans_below_the_threshold_are_left_out(model: PyFuncModel) -> None:
    every = model.predict([TEXT, TEXT[3:]])
    middle = every["score"].median()
    kept = model.predict([TEXT, TEXT[3:]], params={"threshold": middle})
    pd.testing.assert_frame_equal(kept, every[every["score"] >= middle].reset_index(drop=True))
    assert 0 < len(kept) < len(every)


@pytest.mark.parametrize(
    ("texts", "params", "message"),
    [
        ("text", {}, "Expected list"),
        ([], {}, "at least one string"),
        ([1], {}, "Expected type str, but got int"),
        (["a", None], {}, "Expected type str, but got NoneType"),
        (["a\ud800"], {}, "no valid Unicode"),
        (["a" * (LONGEST_TEXT + 1)], {}, f"text 0 has {LONGEST_TEXT + 1} characters"),
        (["a"], {"threshold": 2}, "a number from 0 to 1"),
        (["a"], {"threshold": float("nan")}, "a number from 0 to 1"),
        (["a"], {"threshold": None}, "a number from 0 to 1"),
        (["a"], {"words": None}, "true or false"),
        (["a"], {"words": "yes"}, "Invalid parameters"),
    ],
)
def test_what_cannot_be_read_is_refused_as_the_callers_mistake(
    model: PyFuncModel, texts: object, params: dict, message: str
) -> None:
    with pytest.raises(MlflowException, match=message) as raised:
        model.predict(texts, params=params)
    assert raised.value.get_http_status_code() == 400


def test_words_in_a_list_are_refused_with_how_to_give_them(tagger: tuple) -> None:
    with pytest.raises(served.Refused, match=r"text 1 is not a string: join its words by spaces, with .* words=true"):
        served.entity_table(Tagger(*tagger[:2]), ["da", ["da", "xo"]], {})


@pytest.mark.parametrize("told", [True, False])
def test_words_are_cut_into_the_same_sub_tokens_where_spaces_belong_to_words(tmp_path: Path, told: bool) -> None:
    """A byte-level tokenizer that was saved without the space before each word, and says so, or not (ModernBERT's)."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({c: i for i, c in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", model_max_length=40,
        **({"add_prefix_space": False} if told else {}),
    ).save_pretrained(tmp_path)  # fmt: skip
    config = RobertaConfig(
        vocab_size=len(alphabet) + 4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=42, pad_token_id=1, id2label={0: "O", 1: "B-PER", 2: "I-PER"},
    )  # fmt: skip
    RobertaForTokenClassification(config).save_pretrained(tmp_path)
    network, tokenizer, labels = starts.load_tagger(starts.Start("bytes", str(tmp_path)))
    starts.save(network, tokenizer, tmp_path / "saved")
    network = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "saved", use_safetensors=True)
    again = Tagger(network, transformers.AutoTokenizer.from_pretrained(tmp_path / "saved"))
    sentences = [["da", "\u0301e", "ọ̀rọ̀", "\N{GRINNING FACE}"] * 5]
    encoded = encode(sentences, tokenizer, 40)
    assert encoded.windows[0].ids[:8] == tuple(tokenizer(" da \u0301e ọ")["input_ids"][:8])  # words stay apart
    expected = predict(network, encoded, labels, Accelerator(cpu=True))
    assert [tags for tags, _ in again.tag(sentences)] == expected


# --- the folder ---------------------------------------------------------------------------------------


def test_a_stored_model_has_both_flavors_and_no_pickle(folder: Path) -> None:
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"MLmodel", "served.py", "words.py", "model.safetensors", "tokenizer.json", "requirements.txt"} <= files
    assert not [name for name in files if name.endswith((".pkl", ".bin", ".pt", ".pickle"))]
    info = mlflow.models.get_model_info(str(folder))
    assert set(info.flavors) == {"transformers", "python_function"}
    assert "cloudpickle_version" not in info.flavors["python_function"]
    assert [column.name for column in info.signature.outputs] == list(COLUMNS)
    assert [parameter.name for parameter in info.signature.params] == ["threshold", "words"]
    stored = mlflow.models.Model.load(str(folder))
    assert stored.load_input_example(str(folder)) == packaging.EXAMPLE
    assert json.loads(stored.get_serving_input(str(folder))) == {"inputs": packaging.EXAMPLE}


LOADED_ELSEWHERE = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("nertransfer", "analysis", "seqeval"):
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Absent())
import mlflow, transformers
folder, text = sys.argv[1:]
print(mlflow.pyfunc.load_model(folder).predict([text]).to_json(orient="records"))
parts = {"model": folder + "/model", "tokenizer": folder + "/components/tokenizer"}
for tagger in (
    mlflow.transformers.load_model(folder, aggregation_strategy="simple"),
    transformers.pipeline("token-classification", **parts, aggregation_strategy="simple"),
):
    print([(span["entity_group"], text[span["start"] : span["end"]], float(span["score"])) for span in tagger(text)])
"""


def test_it_loads_and_predicts_in_three_ways_where_this_package_is_not_installed(
    folder: Path, tmp_path: Path, model: PyFuncModel
) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOADED_ELSEWHERE, str(folder), TEXT], cwd=tmp_path, capture_output=True, text=True,
        env={"PATH": "", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
             "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    spans, *pipelines = done.stdout.splitlines()
    assert spans == model.predict([TEXT]).to_json(orient="records")
    assert len(pipelines) == 2 and pipelines[0] == pipelines[1] and "'PER'" in pipelines[0]
