"""The sub-tokens of single words, as a vocabulary alone gives them: no model, no sentences."""

import json
from collections.abc import Callable


def of_words(definition: str) -> Callable[[str], list[str | None]]:
    """What gives the sub-tokens of a word, without special ones; None stands for one that the vocabulary lacks.

    ``definition``: the text of a tokenizer.json. Raises ValueError where it is none.
    """
    from tokenizers import Tokenizer  # only where it is asked for

    try:
        model = json.loads(definition)["model"]
        tokenizer = Tokenizer.from_str(definition)
    except Exception as error:  # tokenizers raises nothing more precise
        raise ValueError(f"not the definition of a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # Unigram names its unknown token by id, all others by its text, if they have one
    unknown = model["unk_id"] if "unk_id" in model else tokenizer.token_to_id(model.get("unk_token") or "")

    def subtokens(word: str) -> list[str | None]:
        found = tokenizer.encode(word, add_special_tokens=False)
        return [None if i == unknown else piece for i, piece in zip(found.ids, found.tokens, strict=True)]

    return subtokens
