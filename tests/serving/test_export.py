"""Exports: whole or not at all, theirs alone to overwrite, and the same model without this project."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stub_hub
import torch
import transformers
import yaml
from absent import absent
from card_code import python_of
from folder_store import copied, opened
from loopback import serving
from registered_store import FIRST, make_data, register, train

from nertransfer.core import schema
from nertransfer.core.commandline import build
from nertransfer.core.config import ExportConfig
from nertransfer.core.errors import InputError
from nertransfer.encoders import starts
from nertransfer.registry.selection import REPLACE_ALL
from nertransfer.scoring.measurements import read_predictions
from nertransfer.serving import export as exports
from nertransfer.serving import onnx_graph
from nertransfer.tracking import model_uris
from nertransfer.tracking.runs import cell_runs
from nertransfer.tracking.store import MlflowClient, Study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that has one registered model of two seeds."""
    made = tmp_path_factory.mktemp("exporting")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        make_data(made)
        for seed in (0, 1):
            train(opened(made, FIRST), seed)
        register(opened(made, FIRST))
    return made


@pytest.fixture
def study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(folder)
    return opened(folder, FIRST)


@pytest.fixture
def own(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The same in a store of the test's own."""
    copied(folder, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    return opened(Path.cwd(), FIRST)


def export(study: Study, output: Path, **given: str) -> Path:
    named = {"language": "aaa"} if "model" not in given else {}
    return exports.export(build(ExportConfig, {"output": str(output)} | named | given), study.client)


def alone(folder: Path, code: str, *arguments: str) -> str:
    """What Python prints in the folder, with the libraries of this environment but without this project."""
    paths = [path for path in sys.path if path.endswith("site-packages")]
    environment = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    blocked = (
        "import sys\n"
        f"sys.path[1:1] = {paths!r}\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('nertransfer', 'analysis'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", blocked + code, *arguments], cwd=folder, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def stored(study: Study, target: str, seed: str) -> list:
    (run,) = [run for run in cell_runs(study, "FINISHED") if run.data.tags["seed"] == seed]
    path = study.client.download_artifacts(run.info.run_id, f"predictions/{target}.test.txt")
    return read_predictions(Path(path).read_bytes().decode())


TAG = """
import json, sys, torch
from transformers import AutoModelForTokenClassification, AutoTokenizer
model, tokenizer = AutoModelForTokenClassification.from_pretrained("."), AutoTokenizer.from_pretrained(".")
assert model.get_input_embeddings().num_embeddings == model.config.vocab_size >= len(tokenizer)
found = []
for words in json.load(open(sys.argv[1])):
    batch = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        best = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0].argmax(-1).tolist()
    first = {}
    for place, word in enumerate(batch.word_ids()):
        first.setdefault(word, model.config.id2label[best[place]])
    found.append([first[i] for i in range(len(words))])
print(json.dumps(found))
"""


def test_an_export_tags_as_the_project_did_with_transformers_alone(study: Study, tmp_path: Path) -> None:
    made = export(study, tmp_path)
    assert made == tmp_path / "ner-aaa-champion"
    assert {path.name for path in made.iterdir()} == {
        "README.md", "config.json", "model.safetensors", "nertransfer_export.json", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip
    seed = study.client.get_model_version_by_alias("ner-aaa", "champion").tags["seed"]
    sentences = [one for target in ("aaa", "bbb") for one in stored(study, target, seed)]
    (tmp_path / "words.json").write_text(json.dumps([words for words, _, _ in sentences]))
    (snippet,) = python_of((made / "README.md").read_text())
    tagged, printed = alone(made, TAG + snippet, str(tmp_path / "words.json")).splitlines()
    assert "entity_group" in printed  # what the card's snippet prints
    found = json.loads(tagged)
    assert found == [list(predicted) for _, _, predicted in sentences]
    assert len({tag for tags in found for tag in tags}) > 2
    text = "".join(path.read_text() for path in made.iterdir() if path.suffix != ".safetensors")
    assert str(tmp_path) not in text and str(Path.cwd()) not in text


def test_the_card_of_an_export_has_its_metadata_and_knows_the_corpora_at_hand(study: Study, tmp_path: Path) -> None:
    made = export(study, tmp_path, start="tiny")
    _, front, body = (made / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "unknown" and "not known: ask whoever made the corpora" in body
    assert (
        "| 0 |" in body.replace("**0** (this one)", "0") and "Entities whose words are no entity of the train" in body
    )


def test_the_snippet_of_a_description_runs_in_its_store(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    description = study.client.get_model_version("ner-aaa", "1").description
    (snippet,) = python_of(description)
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", study.uri)
    mlflow.set_tracking_uri(study.uri)
    printed: list = []
    exec(snippet, {"print": printed.append})
    assert printed[0] and printed[0][0]["entity_group"] in ("PER", "LOC")


def test_an_export_is_overwritten_only_where_it_is_still_as_it_was_written(study: Study, tmp_path: Path) -> None:
    made = export(study, tmp_path)
    before = (made / "README.md").read_bytes()
    assert export(study, tmp_path) == made and (made / "README.md").read_bytes() == before
    (made / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"has been changed since it was exported \(mine.txt\)"):
        export(study, tmp_path)
    (made / "mine.txt").unlink()
    (made / "README.md").write_text("my own words")
    with pytest.raises(InputError, match=r"README\.md"):
        export(study, tmp_path)
    assert (made / "README.md").read_text() == "my own words"
    foreign = tmp_path / "other" / "ner-aaa-champion"
    foreign.mkdir(parents=True)
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="was not written by export"):
        export(study, tmp_path / "other")
    assert [str(path.relative_to(tmp_path / "other")) for path in sorted((tmp_path / "other").rglob("*"))] == [
        "ner-aaa-champion",
        "ner-aaa-champion/thesis.tex",
    ]


@pytest.mark.parametrize("moment", ["while it is written", "between the renames"])
def test_a_kill_leaves_no_half_folder(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    made = export(study, tmp_path)
    before = sorted(path.name for path in made.iterdir())

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        real = exports._recover
        calls: list[Path] = []

        def once(folder: Path) -> None:  # a killed process does not clean up
            calls.append(folder)
            if len(calls) == 1:
                real(folder)

        patch.setattr(exports, "_recover", once)
        if moment == "while it is written":
            patch.setattr(exports.model_card, "readme", die)
        else:
            rename = Path.rename
            patch.setattr(Path, "rename", lambda old, new: die() if old.name.endswith(".part") else rename(old, new))
        with pytest.raises(Killed):
            export(study, tmp_path)
    names = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert names == (["ner-aaa-champion"] if moment == "while it is written" else [])
    assert sorted(path.name for path in export(study, tmp_path).iterdir()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ner-aaa-champion.lock", "ner-aaa-champion"]


def test_the_named_store_counts_and_not_the_one_of_the_folder(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    import mlflow

    mlflow.set_tracking_uri(None)
    assert (export(study, tmp_path / "exports") / "model.safetensors").is_file()
    assert list((tmp_path / "empty").iterdir()) == []


def test_any_cell_and_any_version_can_be_exported(study: Study, tmp_path: Path) -> None:
    run = next(run for run in cell_runs(study, "FINISHED") if run.data.tags["seed"] == "1")
    made = export(study, tmp_path, model=f"runs:/{run.info.run_id}")
    assert made.name == "tiny-aaa-s1" and "taken by name, not chosen" in (made / "README.md").read_text()
    assert export(study, tmp_path, model="models:/ner-aaa/1").name == "ner-aaa-1"


def test_an_alias_that_moves_meanwhile_does_not_mix_two_versions(
    own: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(own, 0, epochs="1")
    register(own, *REPLACE_ALL)
    own.client.set_registered_model_alias("ner-aaa", "champion", "1")
    first = export(own, tmp_path, model="models:/ner-aaa/1")
    real = model_uris.origin

    def then_moved(model: str, client: MlflowClient) -> object:
        found = real(model, client)
        client.set_registered_model_alias("ner-aaa", "champion", "2")
        return found

    monkeypatch.setattr(model_uris, "origin", then_moved)
    made = export(own, tmp_path)
    manifests = [json.loads((folder / "nertransfer_export.json").read_text()) for folder in (first, made)]
    assert made.name == "ner-aaa-champion" and manifests[0] == manifests[1]


def test_a_run_of_any_name_is_exported_inside_the_output(own: Study, tmp_path: Path) -> None:
    run = cell_runs(own, "FINISHED")[0].info
    own.client.update_run(run.run_id, name="../../../escaped/x")
    made = export(own, tmp_path / "a" / "b" / "c", model=f"runs:/{run.run_id}")
    assert made.parent == tmp_path / "a" / "b" / "c" and (made / "config.json").is_file()
    assert made.resolve().parent == made.parent.resolve()


def test_an_output_that_cannot_be_is_named(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"output: the folder .*file/deeper cannot be made: Not a directory"):
        export(study, tmp_path / "file" / "deeper")


def test_a_run_without_stored_weights_says_so(study: Study, tmp_path: Path) -> None:
    run = cell_runs(study, "FINISHED")[0]
    tags = {key: value for key, value in run.data.tags.items() if key != schema.MODEL_URI}
    other = study.client.create_run(study.experiment_id, tags=tags | {schema.CELL_KEY: "gone"}).info.run_id
    with pytest.raises(InputError, match="its weights are not stored"):
        export(study, tmp_path / "exports", model=f"runs:/{other}", language="")
    study.client.delete_run(other)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"language": ""}, "neither language nor model is given; registered languages: aaa"),
        ({"language": "zzz"}, "language='zzz' has no registered model; registered languages: aaa"),
        ({"start": "swa"}, "start='swa' is not registered for aaa; registered starts: tiny"),
        ({"model": "models:/ner-aaa/99"}, "is not there"),
        ({"model": "runs:/0123456789abcdef0123456789abcdef"}, "is not there"),
        ({"push_to": "owner/na me"}, "push_to='owner/na me' is not allowed"),
        ({"push_to": "owner/name"}, "needs a token of the hub that may write there, in HF_TOKEN"),
    ],
)
def test_what_cannot_be_exported_writes_nothing(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], message: str
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(InputError, match=message):
        export(study, tmp_path / "exports", **given)
    assert not (tmp_path / "exports").exists()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[stub_hub.Hub]:
    """A hub that exports are uploaded to."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(stub_hub.Hub()) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        yield running


def test_an_upload_takes_the_whole_folder_and_never_tells_the_token(
    study: Study, tmp_path: Path, hub: stub_hub.Hub, caplog: pytest.LogCaptureFixture
) -> None:
    made = export(study, tmp_path, push_to="owner/name")
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    assert hub.uploaded == {"owner/name": files} and hub.visibility == {"owner/name": "private"}
    assert b'model="owner/name"' in files["README.md"]
    assert hub.tokens == {"hf_secret"} and not any(b"hf_secret" in content for content in files.values())
    hub.refuses = True
    with pytest.raises(
        InputError, match=r"push_to=owner/name: 403 .* with \.\.\.\.; the export itself is whole"
    ) as raised:
        export(study, tmp_path, push_to="owner/name")
    assert "hf_secret" not in str(raised.value) + caplog.text


def test_an_upload_takes_the_place_of_another_variant_and_of_nothing_else(
    study: Study, tmp_path: Path, hub: stub_hub.Hub
) -> None:
    hub.uploaded["owner/name"] = {"onnx/model.onnx": b"old", "notes.md": b"by hand", "README.md": b"old"}
    made = export(study, tmp_path, push_to="owner/name")
    files = hub.uploaded["owner/name"]
    assert set(files) == {path.name for path in made.iterdir()} | {"notes.md"}
    assert files["README.md"] == (made / "README.md").read_bytes() and files["notes.md"] == b"by hand"


def test_a_hub_that_cannot_be_reached_is_one_sentence(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(InputError, match=r"push_to=owner/name: .*refused.*; the export itself is whole, in "):
            export(study, tmp_path, push_to="owner/name")


def test_a_graph_tags_as_the_model_does_and_the_card_states_cost_and_gain(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        onnx_graph.check("onnx-int8")
    except InputError as error:
        absent(str(error))
    made = export(study, tmp_path, variant="onnx-int8")
    card = (made / "README.md").read_text()
    found = re.search(
        r"F1 ([\d.]+) %, ([+-][\d.]+) points beside PyTorch's ([\d.]+) %. [\d,]+ sentences a second", card
    )
    assert found is not None
    ours, difference, theirs = map(float, found.groups())
    assert abs(ours - theirs - difference) < 0.011 and theirs > 50 and abs(difference) <= 5  # one of 20 entities
    assert [path.name for path in (made / "onnx").iterdir()] == ["model_quantized.onnx"]
    printed: list = []
    monkeypatch.chdir(made)
    exec(python_of(card)[-1], {"print": printed.append})
    assert set(printed[0]) <= {"O", "B-LOC", "I-LOC", "B-PER", "I-PER"}
    # whole floats: the very same tags; as a large model, whose weights one file cannot hold
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 1000)
    made = export(study, tmp_path, variant="onnx")
    card, files = (made / "README.md").read_text(), sorted((made / "onnx").iterdir())
    assert "+0.00 points beside PyTorch's" in card
    assert [path.name for path in files] == ["model.onnx", "model.onnx.data"]
    size = sum(path.stat().st_size for path in files) / 2**20
    told = "`onnx/model.onnx`, with its weights in `onnx/model.onnx.data`: 32-bit floats"
    assert f"{told}; {size:.1f} MiB, where" in card


def test_a_model_that_cannot_be_a_graph_is_one_line_and_leaves_nothing(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to decompose\nand 80 lines more") from ValueError("no rule for aten.sub\nmore")

    monkeypatch.setattr("torch.onnx.export", fails)
    with pytest.raises(InputError) as raised:
        export(study, tmp_path / "exports", variant="onnx-int8")
    reason = "PyTorch cannot write xlm-roberta as a graph (no rule for aten.sub); give variant=torch"
    assert str(raised.value) == reason
    assert [path.name for path in (tmp_path / "exports").iterdir()] == [".ner-aaa-champion.lock"]


def test_a_graph_of_xlnet_is_given_the_padding_that_its_mask_means() -> None:
    config = transformers.XLNetConfig(vocab_size=58, d_model=32, n_layer=2, n_head=2, d_inner=64, num_labels=5)
    model = transformers.XLNetForTokenClassification(config).eval()
    ids, mask = torch.arange(3, 15).reshape(2, 6), torch.tensor([[1] * 6, [1] * 3 + [0] * 3])
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(onnx_graph._Logits(model)(ids, mask), expected)


def test_a_variant_without_its_libraries_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "NEEDED", ("no_such_library",))
    with pytest.raises(
        InputError, match=r"variant=onnx needs no_such_library: pip install -c constraints.txt -e '\.\[onnx\]'"
    ):
        onnx_graph.check("onnx")
    onnx_graph.check("torch")


def test_a_model_that_was_copied_elsewhere_still_loads_strictly(study: Study, tmp_path: Path) -> None:
    made = export(study, tmp_path)
    shutil.copytree(made, tmp_path / "copy")
    _, _, labels = starts.load_tagger(starts.Start("copy", str(tmp_path / "copy")))
    assert labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
