"""Starts: what a name means, what is refused, what offline use says."""

import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from accelerate import Accelerator
from huggingface_hub import constants
from project_scripts import ROOT
from safetensors.torch import load_file, save_file
from stub_hub import forget_the_hub
from tiny import cache_tiny_start, save_tiny_start, tiny_tokenizer

from nertransfer.core import files
from nertransfer.core.errors import InputError
from nertransfer.core.options import Recipe
from nertransfer.corpora.languages import MASAKHANER
from nertransfer.encoders import starts
from nertransfer.encoders.catalogue import CATALOGUE
from nertransfer.encoders.inference import word_vectors
from nertransfer.encoders.starts import Start, resolve, resolve_all
from nertransfer.encoders.tokenization import encode
from nertransfer.training import planted_starts
from nertransfer.training.finetune import learning_rate


def test_the_catalogue_is_the_base_and_one_start_per_masakhaner_language() -> None:
    assert list(CATALOGUE) == ["base", *MASAKHANER]
    assert resolve("base") == Start("base", "xlm-roberta-base")
    assert resolve("swa") == Start("swa", "Davlan/xlm-roberta-base-finetuned-swahili")
    assert resolve("pcm").location.endswith("-naija")


def test_the_catalogue_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [\w -]*\| `(\S+)`", (ROOT / "docs" / "starts.md").read_text(), re.MULTILINE)
    assert dict(rows) == CATALOGUE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base@e73636d", Start("base", "xlm-roberta-base", "e73636d")),
        ("owner/model", Start("model", "owner/model")),
        ("owner/model-v1.5@main", Start("model-v1-5", "owner/model-v1.5", "main")),
        ("afro=Davlan/afro-xlmr-base", Start("afro", "Davlan/afro-xlmr-base")),
        ("mine=swa@abc", Start("mine", CATALOGUE["swa"], "abc")),
        ("xlm-roberta-base", Start("xlm-roberta-base", "xlm-roberta-base")),
        ("bert-base-multilingual-cased", Start("bert-base-multilingual-cased", "bert-base-multilingual-cased")),
        ("mine=albert-base-v2@main", Start("mine", "albert-base-v2", "main")),
    ],
)
def test_names_locations_and_revisions(text: str, expected: Start) -> None:
    assert resolve(text) == expected


def test_an_entry_of_a_catalogue_may_carry_a_commit() -> None:
    catalogue = {"base": f"owner/model@{'a' * 40}", "made": "work@home/base"}
    assert resolve("base", catalogue) == Start("base", "owner/model", "a" * 40)
    assert resolve("base@v2", catalogue) == Start("base", "owner/model", "v2")
    assert resolve("made", catalogue) == Start("made", "work@home/base")  # a folder that does not exist yet


def test_a_folder_goes_before_a_hub_id_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("xlm-roberta-base", "owner/model"):
        assert resolve(name).location == name
        save_tiny_start(Path(name))
        (Path(name) / "config.json").unlink()
        with pytest.raises(InputError, match=r"the folder has no config\.json"):
            resolve(name)


def test_a_folder_is_named_after_itself_and_may_contain_an_at_sign(tmp_path: Path) -> None:
    folder = save_tiny_start(tmp_path / "my start@2")
    assert resolve(str(folder)) == Start("my-start-2", str(folder))
    assert resolve(f"mine={folder}") == Start("mine", str(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("afrikaans", "start 'afrikaans' is unknown: one of base, amh"),
        ("swaa", "start 'swaa' is unknown: .*; did you mean swa\\?$"),
        ("bsae", "start 'bsae' is unknown: .*; did you mean base\\?$"),
        ("mine=hausa", "start 'mine=hausa' is unknown: .*; did you mean hau\\?$"),
        ("-roberta-base", "is unknown"),
        ("../owner/model", "unknown"),
        ("1st=base", "'1st' cannot be its name"),
        ("a/b=base", "cannot be its name"),
        ("x" * 60 + "=base", "cannot be its name"),
    ],
)
def test_what_is_no_start_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(text)


def test_two_starts_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two starts are called 'model'"):
        resolve_all(["a/model", "b/model"])


def test_without_a_network_the_message_says_to_give_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"'base' cannot be loaded from 'xlm-roberta-base'.*give a folder"):
        starts.load_tokenizer(resolve("base"))


def test_weights_are_saved_as_safetensors_and_nothing_else(tmp_path: Path) -> None:
    start = resolve(str(save_tiny_start(tmp_path / "tiny")))
    tagger = starts.load_for_tagging(start, ("O", "B-X", "I-X"), 0)
    starts.save(tagger, starts.load_tokenizer(start), tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert "model.safetensors" in names and not any(name.endswith((".bin", ".pt", ".pkl")) for name in names)
    _, _, labels = starts.load_tagger(resolve(str(tmp_path / "saved")))
    assert labels == ("O", "B-X", "I-X")


def test_weights_that_are_half_written_take_no_place_of_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Start("tiny", str(save_tiny_start(tmp_path / "tiny")))
    tokenizer, folder = starts.load_tokenizer(start), tmp_path / "kept"
    starts.save(starts.load_for_tagging(start, ("O", "B-X"), 0), tokenizer, folder)
    before = (folder / "model.safetensors").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(type(tokenizer), "save_pretrained", full)
    with pytest.raises(OSError, match="No space left"):
        starts.save(starts.load_for_tagging(start, ("O", "B-X"), 1), tokenizer, folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "tiny"]


def test_the_head_depends_on_the_seed_alone(tmp_path: Path) -> None:
    start = resolve(str(save_tiny_start(tmp_path / "tiny")))
    heads = [starts.load_for_tagging(start, ("O", "B-X"), seed).classifier.weight for seed in (1, 1, 2)]
    assert (heads[0] == heads[1]).all() and not (heads[0] == heads[2]).any()


def test_a_start_that_was_a_tagger_gets_a_new_head_drawn_with_the_seed(tmp_path: Path) -> None:
    start = resolve(str(save_tiny_start(tmp_path / "tiny")))
    tagger = starts.load_for_tagging(start, ("O", "B-X", "I-X"), 0)
    starts.save(tagger, starts.load_tokenizer(start), tmp_path / "tagger")
    again = [starts.load_for_tagging(resolve(str(tmp_path / "tagger")), ("O", "B-Y", "I-Y"), s) for s in (1, 1, 2)]
    heads = [model.classifier.weight for model in (tagger, *again)]
    assert (heads[1] == heads[2]).all()
    assert not (heads[0] == heads[1]).any() and not (heads[1] == heads[3]).any()
    assert starts.fingerprint(again[0]) == starts.fingerprint(tagger)
    assert again[0].config.id2label == {0: "O", 1: "B-Y", 2: "I-Y"}


def test_a_missing_language_modelling_head_is_drawn_with_the_seed(tmp_path: Path) -> None:
    start = resolve(str(save_tiny_start(tmp_path / "tiny")))
    starts.save(starts.load_for_tagging(start, ("O", "B-X"), 0), starts.load_tokenizer(start), tmp_path / "headless")
    headless = resolve(str(tmp_path / "headless"))
    heads = [starts.load_for_language_modelling(headless, seed)[0].lm_head.dense.weight for seed in (1, 1, 2)]
    assert (heads[0] == heads[1]).all() and not (heads[0] == heads[2]).any()


def test_a_start_of_the_hub_is_known_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = cache_tiny_start(tmp_path, "owner/model")
    assert starts.identify(resolve("owner/model")).commit == commit
    assert starts.identify(resolve("owner/model@main"), local_only=True).commit == commit
    newer = cache_tiny_start(tmp_path, "owner/model", seed=1)
    forget_the_hub()  # as in another process
    now, before = (starts.identify(resolve(text)) for text in ("owner/model", f"owner/model@{commit}"))
    assert (now.commit, before.commit) == (newer, commit) and now.fingerprint != before.fingerprint
    folder = resolve(str(tmp_path / "models--owner--model" / "snapshots" / commit))
    assert starts.identify(folder).commit is None


def test_the_window_of_a_roberta_start_leaves_out_the_positions_it_cannot_use(tmp_path: Path) -> None:
    folder = save_tiny_start(tmp_path / "tiny")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert starts.load_tokenizer(resolve(str(folder))).model_max_length == 64  # of 66 positions


def test_the_published_schedule_falls_from_its_peak_to_zero_and_warm_up_rises_first() -> None:
    published = [learning_rate(step, 100, Recipe()) for step in range(100)]
    assert published[0] == 5e-5 and published[50] == pytest.approx(2.5e-5) and published[99] == pytest.approx(5e-7)
    warm = [learning_rate(step, 100, Recipe(warmup_ratio=0.1)) for step in range(100)]
    assert warm[10] == max(warm) == pytest.approx(5e-5)
    assert warm[0] < warm[5] < warm[10] > warm[11] > warm[99] > 0


def test_a_planted_start_that_another_study_makes_is_waited_for_and_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nertransfer")
    made: list[str] = []

    def make(name: str, folders: Mapping[str, str], *_: object) -> None:
        made.append(name)
        Path(folders[name]).mkdir()

    monkeypatch.setattr(planted_starts, "_make_one", make)
    places = {name: str(tmp_path / "starts" / name) for name in planted_starts.NAMES}
    (tmp_path / "starts").mkdir()
    wanted = {planted_starts.BASE, planted_starts.NAMES[1]}
    with ThreadPoolExecutor(1) as pool, files.only_maker(Path(places[planted_starts.BASE])):
        waiting = pool.submit(planted_starts._make, wanted, places, tmp_path, Accelerator())
        while "waiting for it" not in caplog.text:
            assert not waiting.done() or waiting.result()
        Path(places[planted_starts.BASE]).mkdir()
    waiting.result()
    assert made == [planted_starts.NAMES[1]]


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    weights = change(load_file(folder / "model.safetensors"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def without(part: str) -> Callable[[Path], None]:
    return lambda folder: change_weights(folder, lambda w: {k: v for k, v in w.items() if part not in k})


def save_small_vocabulary(folder: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(folder, vocab_size=20)
    transformers.XLMRobertaForMaskedLM(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("layer.1.output"), "its weights lack 4 tensors .* such as roberta.encoder.layer.1.output"),
        (lambda f: change_json(f / "config.json", num_hidden_layers=3), "its weights lack 16 tensors"),
        (lambda f: change_weights(f, lambda w: {f"module.{k}": v for k, v in w.items()}), "its weights lack 37"),
        (lambda f: change_json(f / "config.json", hidden_size=64), r"shape \(32,\) in its weights, \(64,\) by"),
        (lambda f: change_weights(f, lambda w: {k: v / 0 for k, v in w.items()}), "its weights are not finite"),
        (lambda f: change_json(f / "config.json", num_hidden_layers="two"), "num_hidden_layers"),
        (lambda f: (f / "config.json").write_text("null"), "loaded from"),
        (lambda f: [path.unlink() for path in f.glob("tokenizer*")], "there is no tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text('{"model": 1}'), "loaded from"),
        (lambda f: change_json(f / "tokenizer_config.json", model_max_length="many"), "loaded from"),
        (save_small_vocabulary, "its tokenizer has 58 sub-tokens, its weights have 20"),
    ],
)  # fmt: skip
def test_a_folder_that_is_half_there_or_does_not_fit_together_is_refused(
    damage: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    damage(save_tiny_start(tmp_path / "tiny"))
    with pytest.raises(InputError, match=f"start 'tiny' cannot be .*{message}"):
        starts.identify(resolve(str(tmp_path / "tiny")))


def test_a_tagger_without_its_head_is_refused(tmp_path: Path) -> None:
    start = resolve(str(save_tiny_start(tmp_path / "tiny")))
    starts.save(starts.load_for_tagging(start, ("O", "B-X"), 0), starts.load_tokenizer(start), tmp_path / "tagger")
    without("classifier")(tmp_path / "tagger")
    with pytest.raises(InputError, match=r"its weights lack 2 tensors .* such as classifier\.bias"):
        starts.load_tagger(resolve(str(tmp_path / "tagger")))


@pytest.mark.parametrize("window", ["x", 0, 20.5, 65])
def test_a_tagger_whose_window_is_none_is_refused(window: object, tmp_path: Path) -> None:
    start = resolve(str(save_tiny_start(tmp_path / "tiny")))
    starts.save(starts.load_for_tagging(start, ("O", "B-X"), 0), starts.load_tokenizer(start), tmp_path / "tagger")
    change_json(tmp_path / "tagger" / "config.json", nertransfer_window=window)
    with pytest.raises(InputError, match=r"nertransfer_window=.* is no window, a whole number from 1 to 64"):
        starts.load_tagger(resolve(str(tmp_path / "tagger")))


@pytest.mark.parametrize("cut", ["unicode", {"rule": "x"}, {}])
def test_a_tagger_whose_rule_for_words_is_none_is_refused(cut: object, tmp_path: Path) -> None:
    start = resolve(str(save_tiny_start(tmp_path / "tiny")))
    starts.save(starts.load_for_tagging(start, ("O", "B-X"), 0), starts.load_tokenizer(start), tmp_path / "tagger")
    change_json(tmp_path / "tagger" / "config.json", nertransfer_words=cut)
    with pytest.raises(InputError, match=r"nertransfer_words=.* names no rule for words; rules are unicode, inside"):
        starts.load_tagger(resolve(str(tmp_path / "tagger")))


@pytest.mark.parametrize("categories", [2, 3])
def test_a_classifier_of_sentences_gives_its_encoder_alone(categories: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=58, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        num_labels=categories,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "classifier")
    tiny_tokenizer().save_pretrained(tmp_path / "classifier")
    start = resolve(str(tmp_path / "classifier"))
    taggers = [starts.load_for_tagging(start, ("O", "B-X", "I-X"), seed) for seed in (1, 1, 2)]
    heads = [model.classifier.weight for model in taggers]
    assert (heads[0] == heads[1]).all() and not (heads[0] == heads[2]).any()
    assert len({starts.fingerprint(model) for model in taggers} | {starts.identify(start).fingerprint}) == 1


@pytest.mark.parametrize("kind", ["T5EncoderModel", "T5ForConditionalGeneration"])
def test_of_t5_it_is_the_encoder_that_is_identified_and_embedded(kind: str, tmp_path: Path) -> None:
    config = transformers.T5Config(
        vocab_size=58, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=1, decoder_start_token_id=1
    )
    getattr(transformers, kind)(config).save_pretrained(tmp_path / "t5")
    tiny_tokenizer().save_pretrained(tmp_path / "t5")
    start = resolve(str(tmp_path / "t5"))
    assert starts.identify(start) == starts.identify(start)  # its cells are found again
    assert starts.identify(start).fingerprint == starts.fingerprint(starts.load_for_tagging(start, ("O", "B-X"), 0))
    encoded = encode([["abc", "de"]], starts.load_tokenizer(start), 32)
    vectors = word_vectors(starts.load_encoder(start), encoded, np.array([0, 1]), (1, 2), torch.device("cpu"))
    assert vectors.shape == (2, 32)


def test_a_model_that_cannot_be_a_tagger_is_no_start(tmp_path: Path) -> None:
    config = transformers.BartConfig(
        vocab_size=58, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, max_position_embeddings=66,
    )  # fmt: skip
    transformers.BartModel(config).save_pretrained(tmp_path / "bart")
    tiny_tokenizer().save_pretrained(tmp_path / "bart")
    with pytest.raises(InputError, match="start 'bart' cannot be loaded"):
        starts.identify(resolve(str(tmp_path / "bart")))


def test_a_model_of_characters_without_embeddings_of_sub_tokens_is_no_start(tmp_path: Path) -> None:
    config = transformers.CanineConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_hash_buckets=64
    )
    transformers.CanineModel(config).save_pretrained(tmp_path / "canine")
    transformers.CanineTokenizer().save_pretrained(tmp_path / "canine")
    with pytest.raises(InputError, match="start 'canine' cannot be used: canine has no table of embeddings"):
        starts.identify(resolve(str(tmp_path / "canine")))


@pytest.mark.parametrize(
    ("kind", "settings", "limit"),
    [
        ("MPNet", {"max_position_embeddings": 66}, 64),
        ("Longformer", {"max_position_embeddings": 66, "attention_window": 8}, 64),
        ("Bert", {"max_position_embeddings": 66}, 66),
        ("XLNet", {"d_inner": 64, "d_head": 16}, int(1e30)),
    ],
)
def test_a_window_is_as_long_as_the_start_takes_and_no_longer(
    kind: str, settings: Mapping[str, int], limit: int, tmp_path: Path
) -> None:
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=58, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, pad_token_id=1, **settings
    )
    getattr(transformers, f"{kind}Model")(config).save_pretrained(tmp_path / "start")
    tiny_tokenizer(int(1e30)).save_pretrained(tmp_path / "start")
    start = resolve(str(tmp_path / "start"))
    assert starts.identify(start).max_length == limit
    model = starts.load_for_tagging(start, ("O", "B-X"), 0)
    model(input_ids=torch.full((1, min(limit, 90)), 5))  # does not raise
