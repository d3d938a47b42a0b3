"""Which starts can tag: those whose words see what follows them; others are refused by one line before any work."""

from pathlib import Path

import pytest
import torch
import transformers
from tiny import save_tiny_corpora, tiny_tokenizer
from tokenizer_kinds import save_start

from nertransfer.core.commandline import build
from nertransfer.core.config import StudyConfig
from nertransfer.core.errors import InputError
from nertransfer.encoders import architectures, starts
from nertransfer.studies import costs, speed

SIZES = {
    "vocab_size": 58, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 66, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
DECODERS = {"gpt2": {}, "llama": {}, "qwen2": {"num_key_value_heads": 2}, "bert": {"is_decoder": True}}


def saved(folder: Path, kind: str, **changes: object) -> Path:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **(SIZES | changes))
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def plan(start: str) -> None:
    costs.foresee(build(StudyConfig, {"data": "data", "starts": start, "plan": "true"}), None)


@pytest.mark.parametrize("kind", DECODERS)
def test_a_decoder_is_refused_before_its_weights_are_looked_at(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_corpora(tmp_path / "data")
    (saved(tmp_path / "decoder", kind, **DECODERS[kind]) / "model.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    message = (
        f"start 'decoder' cannot be loaded from 'decoder': {kind} is a decoder: its words cannot see what follows them"
    )
    for refused in (starts.load_encoder, starts.identify, starts.check_fit):
        with pytest.raises(InputError, match=message):
            refused(starts.resolve("decoder"))
    with pytest.raises(InputError, match=message):
        plan("decoder")


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2"])
def test_a_decoder_that_transformers_reads_both_ways_is_taken_as_its_refusal_says(kind: str, tmp_path: Path) -> None:
    start = starts.resolve(str(saved(tmp_path / "both", kind, is_causal=False, **DECODERS[kind])))
    assert starts.identify(start).fingerprint
    model = starts.load_for_tagging(start, ("O", "B-X"), 0).eval()
    ids = torch.tensor([[5, 6, 7, 8, 1, 1], [5, 6, 7, 9, 10, 11]])
    with torch.inference_mode():
        padded = model(input_ids=ids, attention_mask=(ids != 1).long()).logits
        alone = model(input_ids=ids[:1, :4], attention_mask=torch.ones(1, 4, dtype=torch.long)).logits
    torch.testing.assert_close(padded[:1, :4], alone)  # padded or not, both sides are read
    assert not torch.equal(padded[0, 0], padded[1, 0])


def test_what_only_the_weights_show_is_found_by_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of decoder that transformers lists elsewhere, and a model that needs the places of words on a page."""
    start = starts.resolve(str(saved(tmp_path / "hidden", "llama")))
    monkeypatch.setattr(architectures, "BOTH_SIDES", architectures.BOTH_SIDES | {"llama"})
    with pytest.raises(InputError, match="llama is a decoder: its words cannot see what follows them"):
        starts.identify(start)
    with pytest.raises(InputError, match="bros cannot read sub-tokens alone: You have to specify bbox"):
        starts.identify(starts.resolve(str(saved(tmp_path / "page", "bros"))))


def test_a_start_that_is_not_here_is_planned_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny_corpora(tmp_path / "data")
    save_start("bert", tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "measured", lambda *_: speed.Speed(step=1.0, trained=0.0, scored=0.0))
    plan("owner/model,here")
