"""Which architectures can tag words: those that read both sides of a word, from sub-tokens and a mask alone."""

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

BOTH_SIDES = frozenset({"xlnet"})
"""Model types that transformers lists with the decoders alone, and that read a whole text all the same."""
PROBE = 8
"""Sub-tokens of a text that `check_reading` has a model read."""


def check(config: PreTrainedConfig) -> None:
    """Raise ValueError where a configuration is that of a decoder, whose words never see what follows them.

    transformers lets some decoders read both sides where their configuration has ``is_causal`` false: those pass, and
    `check_reading` finds out whether it is true.
    """
    decoders = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.keys() - MODEL_FOR_MASKED_LM_MAPPING_NAMES.keys() - BOTH_SIDES
    half = getattr(config, "is_decoder", False) and not config.is_encoder_decoder
    one_sided = half or config.model_type in decoders
    if one_sided and getattr(config, "is_causal", True):
        raise ValueError(_refusal(config.model_type))


def check_reading(encoder: PreTrainedModel, longest: int) -> None:
    """Have an encoder read two texts that differ in their second sub-token alone; ``longest``: sub-tokens it takes.

    The second one, for in some encoders a word sees only those near it. Raises ValueError if the first sub-token does
    not notice, and if the model needs more than sub-tokens and their mask, such as the places of words on a page.
    """
    length = min(PROBE, longest)
    rows = encoder.get_input_embeddings().weight.shape[0]
    one, other, *_ = (*(i for i in range(rows - 1, -1, -1) if i != encoder.config.pad_token_id), None, None)
    if length < 2 or one is None or other is None:
        return
    ids = torch.full((2, length), one)
    ids[1, 1] = other  # the neighbour, for attention may reach no further
    was_training = encoder.training
    encoder.eval()
    try:
        with torch.inference_mode():
            first, second = encoder(input_ids=ids, attention_mask=torch.ones_like(ids))[0][:, 0]
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{encoder.config.model_type} cannot read sub-tokens alone: {reason}") from error
    finally:
        encoder.train(was_training)
    if torch.equal(first, second):
        raise ValueError(_refusal(encoder.config.model_type))


def _refusal(kind: str) -> str:
    return (
        f"{kind} is a decoder: its words cannot see what follows them. Use an encoder, or set "
        '"is_causal": false in config.json if transformers supports that'
    )
