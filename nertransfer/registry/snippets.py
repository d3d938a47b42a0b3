"""Python for people to copy from a model's card: how to tag a sentence. Pure."""

import json
from collections.abc import Sequence


def by_pipeline(model: str, where: str, sentence: str) -> str:
    """With transformers' pipeline; ``where``: in words, where the ``model`` is."""
    return (
        "from transformers import pipeline\n\n"
        f'tagger = pipeline("token-classification", model={json.dumps(model)}, aggregation_strategy="first")'
        f"  # {where}\nprint(tagger({literal(sentence)}))"
    )


def from_registry(model: str, sentence: str, pipeline: bool) -> str:
    """With MLflow: as transformers' ``pipeline``, or as the table of entities that every version gives."""
    load = 'transformers.load_model(model, aggregation_strategy="first")' if pipeline else "pyfunc.load_model(model)"
    call = f"tagger({literal(sentence)})" if pipeline else f"tagger.predict([{literal(sentence)}])"
    return (
        "import mlflow\n\n"
        f"model = {json.dumps(model)}  # in the store that MLFLOW_TRACKING_URI names\n"
        f"tagger = mlflow.{load}\nprint({call})"
    )


def word_by_word(model: str, sentence: str) -> str:
    """With transformers alone but without its pipeline: the label of each word's first sub-token."""
    imports = ["import torch", "from transformers import AutoModelForTokenClassification, AutoTokenizer"]
    name = json.dumps(model)
    loading = [
        f"model = AutoModelForTokenClassification.from_pretrained({name})",
        f"tokenizer, config = AutoTokenizer.from_pretrained({name}), model.config",
    ]
    return _of_words(imports, loading, "model(torch.tensor([ids])).logits[0].argmax(-1).tolist()", sentence)


def word_by_word_with_onnx(graph: str, inputs: Sequence[str], output: str, sentence: str) -> str:
    """`word_by_word` with a graph for ONNX Runtime, in the folder of the model."""
    imports = ["import numpy as np", "import onnxruntime", "from transformers import AutoConfig, AutoTokenizer"]
    loading = [
        f"session = onnxruntime.InferenceSession({json.dumps(graph)})  # in the folder of this file",
        'tokenizer, config = AutoTokenizer.from_pretrained("."), AutoConfig.from_pretrained(".")',
    ]
    fed = f'{{"{inputs[0]}": np.array([ids]), "{inputs[1]}": np.ones((1, len(ids)), int)}}'
    return _of_words(imports, loading, f'session.run(["{output}"], {fed})[0][0].argmax(-1).tolist()', sentence)


def with_onnx(graph: str, inputs: Sequence[str], output: str, sentence: str) -> str:
    """With a graph for ONNX Runtime, in the folder of the model: a label a sub-token."""
    return (
        "import onnxruntime\nfrom transformers import AutoConfig, AutoTokenizer\n\n"
        f"session = onnxruntime.InferenceSession({json.dumps(graph)})  # in the folder of this file\n"
        'tokenizer, config = AutoTokenizer.from_pretrained("."), AutoConfig.from_pretrained(".")\n'
        f'batch = tokenizer({literal(sentence)}.split(), is_split_into_words=True, return_tensors="np")\n'
        f"inputs = {{name: batch[name] for name in {tuple(inputs)!r}}}\n"
        f'(logits,) = session.run(["{output}"], inputs)\n'
        "print([config.id2label[i] for i in logits[0].argmax(-1).tolist()])"
    )


def _of_words(imports: Sequence[str], loading: Sequence[str], labels: str, sentence: str) -> str:
    return "\n".join(
        [
            *imports,
            "",
            *loading,
            f"words = {literal(sentence)}.split()",
            'pieces = [tokenizer.encode(" " + word, add_special_tokens=False) for word in words]',
            "flat = sum(pieces, [])",
            "ids, special = tokenizer.build_inputs_with_special_tokens(flat), tokenizer.get_special_tokens_mask(flat)",
            f"labels = {labels}",
            "places = [i for i in range(len(ids)) if not special[i]]",
            "for word, own in zip(words, pieces):",
            "    print(word, config.id2label[labels[places[0]]])",
            "    places = places[len(own) :]",
        ]
    )


def literal(sentence: str) -> str:
    """A sentence as a Python literal that cannot end a code block."""
    return json.dumps(sentence, ensure_ascii=False).replace("`", "\\x60")
