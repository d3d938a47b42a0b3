"""Layouts in which checkpoints lie on the hub."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from stub_hub import files_of
from tiny import save_tiny_start


def layout(folder: Path, kind: str, seed: int = 0, longest: int = 64) -> dict[str, bytes]:
    """A tiny start with its weights as ``safetensors``, ``bin``, ``sharded``, or ``sharded bin``."""
    save_tiny_start(folder, seed, longest=longest)
    tensors = load_file(folder / "model.safetensors")
    if kind == "sharded":
        halves = list(tensors)[::2], list(tensors)[1::2]
        for number, names in enumerate(halves, 1):
            part = {name: tensors[name] for name in names}
            save_file(part, folder / f"model-0000{number}-of-00002.safetensors", {"format": "pt"})
        write_index(folder / "model.safetensors.index.json", halves, "model-0000{}-of-00002.safetensors")
    elif kind == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    elif kind == "sharded bin":
        halves = list(tensors)[::2], list(tensors)[1::2]
        for number, names in enumerate(halves, 1):
            torch.save({n: tensors[n] for n in names}, folder / f"pytorch_model-0000{number}-of-00002.bin")
        write_index(folder / "pytorch_model.bin.index.json", halves, "pytorch_model-0000{}-of-00002.bin")
    if kind != "safetensors":
        (folder / "model.safetensors").unlink()
    return files_of(folder)


def write_index(path: Path, halves: tuple[list[str], list[str]], name: str) -> None:
    places = {tensor: name.format(number) for number, half in enumerate(halves, 1) for tensor in half}
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))


LAYOUTS = ("safetensors", "sharded", "bin", "sharded bin")
