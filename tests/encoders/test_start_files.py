"""Starts from a hub on this machine: which files are read, of which commit, online and offline, and what is refused."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sentencepiece
import torch
from checkpoint_layouts import LAYOUTS, layout
from loopback import serving
from stub_hub import Hub, Repository, files_of, forget_the_hub
from tiny import save_tiny_start

from nertransfer.core.errors import InputError
from nertransfer.core.options import Recipe
from nertransfer.encoders import start_files, starts
from nertransfer.encoders.starts import Identity, Start

NAME = "owner/model"
CONFIG = b'{"model_type": "xlm-roberta"}'


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, and an empty cache in ``tmp_path/hub``."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with serving(Hub()) as running:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.address)
        template = f"{running.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        go_online(monkeypatch)
        yield running


def go_online(monkeypatch: pytest.MonkeyPatch, online: bool = True) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", not online)
    forget_the_hub()


@pytest.mark.parametrize("kind", LAYOUTS)
def test_every_layout_of_weights_is_the_same_start_from_the_hub_offline_and_as_a_folder(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plain = starts.identify(Start("model", str(save_tiny_start(tmp_path / "plain"))))
    files = layout(tmp_path / kind, kind)
    commit = hub.repositories.setdefault(NAME, Repository()).commit(files)
    online = starts.identify(Start("model", NAME))
    assert online == Identity(plain.fingerprint, plain.digest, plain.vocabulary, plain.max_length, commit)
    asked = len(hub.asked)
    for revision in (None, "main", commit):
        go_online(monkeypatch, online=False)
        assert starts.identify(Start("model", NAME, revision)) == online
        assert starts.identify(Start("model", NAME, revision), local_only=True) == online  # as plan=true does
    assert len(hub.asked) == asked
    folder = starts.identify(Start("model", str(tmp_path / kind)))
    assert folder == plain


def test_an_old_checkpoint_has_a_pickle_and_a_sentencepiece_vocabulary_alone(hub: Hub, tmp_path: Path) -> None:
    """As several checkpoints of the catalogue have it."""
    files = layout(tmp_path / "start", "bin")
    for name in [name for name in files if name.startswith(("tokenizer", "special_tokens"))]:
        del files[name]
    trained = io.BytesIO()
    text = iter(["da xo ye ba do"] * 50 + ["Abuja Lagos Kano Musa Amina"] * 50)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=text, model_writer=trained, vocab_size=30, hard_vocab_limit=False, minloglevel=2
    )
    files["sentencepiece.bpe.model"] = trained.getvalue()
    hub.repositories.setdefault(NAME, Repository()).commit(files)
    tokenizer = starts.load_tokenizer(Start("model", NAME))
    assert tokenizer.is_fast and tokenizer.unk_token_id not in tokenizer("Abuja da Kano")["input_ids"]


def test_a_commit_that_is_in_the_cache_needs_no_hub_at_all(hub: Hub, tmp_path: Path) -> None:
    """So a task on a node without a network finds it, whatever its variables say."""
    commit = hub.repositories.setdefault(NAME, Repository()).commit(layout(tmp_path / "start", "bin"))
    known = starts.identify(Start("model", NAME))
    hub.asked.clear()
    forget_the_hub()
    assert starts.identify(Start("model", NAME, commit)) == known
    assert hub.asked == []


def test_weights_that_a_bot_has_proposed_are_not_taken_for_those_of_main(hub: Hub, tmp_path: Path) -> None:
    repository = hub.repositories.setdefault(NAME, Repository())
    commit = repository.commit(layout(tmp_path / "main", "bin"))
    repository.commit(layout(tmp_path / "proposed", "safetensors", seed=1), "refs/pr/1")
    found = starts.identify(Start("model", NAME))
    assert found.commit == commit
    assert found.fingerprint == starts.identify(Start("model", str(tmp_path / "main"))).fingerprint
    assert not [path for path in hub.asked if "refs" in path or "discussions" in path]


def test_a_process_stays_with_the_commit_that_it_began_with(hub: Hub, tmp_path: Path) -> None:
    repository = hub.repositories.setdefault(NAME, Repository())
    first = repository.commit(layout(tmp_path / "first", "safetensors"))
    start = Start("model", NAME)
    assert starts.identify(start).commit == first
    repository.commit(layout(tmp_path / "second", "safetensors", seed=1))
    assert starts.identify(start).commit == first  # between reading weights and tokenizer, or two cells
    assert len([path for path in hub.asked if "/resolve/" not in path and "/tree/" not in path]) == 1
    forget_the_hub()
    assert starts.identify(start).commit != first


def test_only_what_is_needed_is_downloaded(hub: Hub, tmp_path: Path) -> None:
    other = dict.fromkeys(("pytorch_model.bin", "tf_model.h5", "optimizer.pt", "modeling_x.py", "README.md"), b"x")
    files = layout(tmp_path / "start", "safetensors")
    hub.repositories.setdefault(NAME, Repository()).commit({**files, **other, "onnx/model.onnx": b"x"})
    located = start_files.locate(NAME, None)
    assert files_of(located.folder) == files
    assert start_files.size(located) == len(files["model.safetensors"])


def test_what_cannot_tag_is_refused_before_its_weights_are_downloaded(hub: Hub) -> None:
    files = {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"x"}
    hub.repositories.setdefault(NAME, Repository()).commit(files)
    with pytest.raises(InputError, match="llama is a decoder: its words cannot see what follows them"):
        starts.identify(Start("model", NAME))
    assert not [path for path in hub.asked if path.endswith(".safetensors")]


def test_a_cache_that_another_program_filled_is_enough(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import hf_hub_download

    files = layout(tmp_path / "start", "bin")
    commit = hub.repositories.setdefault(NAME, Repository()).commit(files)
    for name in files:
        hf_hub_download(NAME, name)
    go_online(monkeypatch, online=False)
    assert starts.identify(Start("model", NAME)).commit == commit


def test_a_cache_with_a_part_of_a_start_is_none_for_plan(hub: Hub, tmp_path: Path) -> None:
    """Another program looked at the configuration alone: the start can still be downloaded, so it is not refused."""
    from huggingface_hub import hf_hub_download

    hub.repositories.setdefault(NAME, Repository()).commit(layout(tmp_path / "start", "bin"))
    hf_hub_download(NAME, "config.json")
    starts.check_fit(Start("model", NAME))  # as plan=true does
    with pytest.raises(InputError, match=r"only a part of it is in the .* cache .* this command downloads nothing"):
        starts.identify(Start("model", NAME), local_only=True)


def test_a_plan_asks_the_hub_for_nothing(hub: Hub, tmp_path: Path) -> None:
    repository = hub.repositories.setdefault(NAME, Repository())
    repository.commit(layout(tmp_path / "start", "safetensors"))
    known = starts.identify(Start("model", NAME))
    repository.commit(layout(tmp_path / "newer", "safetensors", seed=1))
    forget_the_hub()
    hub.asked.clear()
    assert starts.identify(Start("model", NAME), local_only=True) == known
    assert hub.asked == []


def test_files_that_no_start_needs_may_be_missing_offline(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import snapshot_download

    files = layout(tmp_path / "start", "safetensors")
    hub.repositories.setdefault(NAME, Repository()).commit({**files, "trainer_state.json": b"{}"})
    snapshot_download(NAME, allow_patterns=list(files))
    go_online(monkeypatch, online=False)
    assert starts.identify(Start("model", NAME)).max_length == 64


def test_a_damaged_file_is_not_called_dangerous(tmp_path: Path) -> None:
    layout(tmp_path / "start", "bin")
    (tmp_path / "start" / "pytorch_model.bin").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is damaged, or is not a checkpoint"):
        starts.identify(Start("model", str(tmp_path / "start")))


def test_an_id_that_was_moved_is_followed(hub: Hub, tmp_path: Path) -> None:
    commit = hub.repositories.setdefault("FacebookAI/model", Repository()).commit(layout(tmp_path / "start", "bin"))
    hub.moved["model-base"] = "FacebookAI/model"
    assert starts.identify(Start("base", "model-base")).commit == commit


def test_a_hub_that_is_away_is_replaced_by_the_cache(hub: Hub, tmp_path: Path) -> None:
    hub.repositories.setdefault(NAME, Repository()).commit(layout(tmp_path / "start", "safetensors"))
    known = starts.identify(Start("model", NAME))
    hub.fails = 503
    forget_the_hub()
    assert starts.identify(Start("model", NAME)) == known


class Evil:
    """What loads it with an ordinary unpickler makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_bin_file_is_refused_by_name_and_does_not_run(hub: Hub, tmp_path: Path, legacy: bool) -> None:
    files = layout(tmp_path / "start", "bin")
    torch.save({"x": Evil(tmp_path / "ran")}, tmp_path / "evil.bin", _use_new_zipfile_serialization=not legacy)
    files["pytorch_model.bin"] = (tmp_path / "evil.bin").read_bytes()
    hub.repositories.setdefault(NAME, Repository()).commit(files)
    (tmp_path / "start" / "pytorch_model.bin").write_bytes(files["pytorch_model.bin"])
    for location in (NAME, str(tmp_path / "start")):
        start = Start("evil", location)
        for load in (
            starts.identify,
            lambda start: starts.load_for_tagging(start, ("O", "B-X"), 0),
            lambda start: starts.load_for_language_modelling(start, 0),
        ):
            with pytest.raises(InputError) as caught:
                load(start)
            told = str(caught.value)
            assert f"start 'evil' cannot be loaded from {location!r}" in told and "contains posix.mkdir" in told
            assert "weights_only" not in told and "\n" not in told  # torch's advice is to switch the restriction off
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"config.json": CONFIG, "tf_model.h5": b"x"}, "no weights: .* nor pytorch_model.bin; there is tf_model.h5"),
        ({"README.md": b"x"}, "no config.json"),
        (
            {"config.json": CONFIG, "pytorch_model.bin": b"version https://git-lfs.github.com/spec/v1\n"},
            "pytorch_model.bin is a pointer of Git LFS",
        ),
    ],
)
def test_a_repository_or_folder_without_weights_says_what_it_has(
    hub: Hub, tmp_path: Path, files: dict[str, bytes], told: str
) -> None:
    hub.repositories.setdefault(NAME, Repository()).commit(files)
    for name, content in files.items():
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    for location in (NAME, str(tmp_path / "folder")):
        with pytest.raises(InputError, match=told):
            starts.identify(Start("model", location))


def test_what_the_hub_lacks_or_forbids_is_said(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"'owner/model': there is no folder .* and the hub has no such repository"):
        starts.identify(Start("model", NAME))
    hub.repositories[NAME] = Repository()
    hub.repositories[NAME].commit(layout(tmp_path / "start", "bin"))
    with pytest.raises(InputError, match=r"'owner/model@v2'.* has no revision 'v2'"):
        starts.identify(Start("model", NAME, "v2"))
    with pytest.raises(InputError, match="this command downloads nothing"):
        starts.identify(Start("model", NAME), local_only=True)
    hub.fails = 503
    with pytest.raises(InputError, match="the hub answers with status 503"):
        starts.identify(Start("model", NAME))
    go_online(monkeypatch, online=False)
    with pytest.raises(InputError, match=r"HF_HUB_OFFLINE is set; .*give a folder"):
        starts.identify(Start("model", NAME))


def test_a_download_that_was_cut_short_is_not_taken_for_whole(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories.setdefault(NAME, Repository()).commit(layout(tmp_path / "start", "bin"))
    located = start_files.locate(NAME, None)
    (located.folder / "tokenizer.json").unlink()
    go_online(monkeypatch, online=False)
    with pytest.raises(InputError, match=r"only a part of it is in the .* cache .*, and HF_HUB_OFFLINE is set"):
        starts.identify(Start("model", NAME))
    go_online(monkeypatch)
    assert starts.identify(Start("model", NAME)).max_length <= Recipe.max_length


def test_no_path_of_this_machine_is_stored_with_a_tagger(hub: Hub, tmp_path: Path) -> None:
    hub.repositories.setdefault(NAME, Repository()).commit(layout(tmp_path / "start", "bin"))
    start = Start("model", NAME)
    tagger = starts.load_for_tagging(start, ("O", "B-X", "I-X"), 0)
    starts.save(tagger, starts.load_tokenizer(start), tmp_path / "saved")
    for name, content in files_of(tmp_path / "saved").items():
        assert str(tmp_path).encode() not in content, name
