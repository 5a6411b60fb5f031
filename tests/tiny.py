"""Tiny random models and tokenizers of many families: no network, milliseconds each.

Weights are drawn wide (`initializer_range` 0.3), so that a wrong mask, position or
scale shows in the scores.
"""

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from ppt.backbones.loading import as_backbone
from ppt.prompts.tensors import Batch, LabelWords

VOCAB = 272
SPECIAL = ["<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_1>"]

COMMON = {
    "vocab_size": VOCAB,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 1,
}
LLAMA = {
    **COMMON,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
GPT2 = {**COMMON, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
MAMBA = {**COMMON, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "time_step_rank": 4}
BERT = {
    **COMMON,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
OPT = {
    **COMMON,
    "hidden_size": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "word_embed_proj_dim": 24,
    "init_std": 0.3,
}
T5 = {
    "vocab_size": VOCAB,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
    "relative_attention_max_distance": 16,
}
SLIDING = {"sliding_window": 5}
LONG = {
    "max_position_embeddings": 512,
    "original_max_position_embeddings": 64,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
    },
}
BY_LAYER = {**LLAMA, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCAB}

CAUSAL = {
    "llama": ("Llama", LLAMA),
    "gpt2": ("GPT2", GPT2),
    "qwen2": ("Qwen2", LLAMA),
    "qwen3": ("Qwen3", LLAMA),
    "gemma": ("Gemma", LLAMA),
    "gemma2": ("Gemma2", {**LLAMA, **SLIDING, "final_logit_softcapping": 3.0}),
    "gemma3": (
        "Gemma3Text",
        {
            **LLAMA,
            **SLIDING,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "mistral": ("Mistral", {**LLAMA, **SLIDING}),
    "phi": ("Phi", {field: value for field, value in LLAMA.items() if field != "head_dim"}),
    "gpt_neox": ("GPTNeoX", LLAMA),
    "opt": ("OPT", OPT),
    "granite": ("Granite", {**LLAMA, "logits_scaling": 4.0}),
    "cohere": ("Cohere", {**LLAMA, "logit_scale": 0.25}),
    "mixtral": ("Mixtral", {**LLAMA, "num_local_experts": 4}),
}
"""Families that share prompt keys: name → (class prefix, fields of its config)."""

SEQ2SEQ = {
    "t5": ("T5", T5),
    "t5_v1_1": ("T5", {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
    "mt5": ("MT5", {**T5, "feed_forward_proj": "gated-gelu"}),
}

OTHERS = {
    "mamba": ("Mamba", MAMBA),
    "bert": ("Bert", BERT),
    "phi3_long": ("Phi3", {**LLAMA, **LONG}),
    "gemma3n": ("Gemma3nText", {**BY_LAYER, "num_kv_shared_layers": 0, "laurel_rank": 8}),
    "gemma4": ("Gemma4Text", BY_LAYER),
    "bloom": ("Bloom", {**COMMON, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "mpt": ("Mpt", {**COMMON, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64}),
    "falcon": (
        "Falcon",
        {
            **COMMON,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "alibi": True,
        },
    ),
    "lfm2": (
        "Lfm2",
        {**LLAMA, "layer_types": ["conv", "full_attention", "conv"], "conv_L_cache": 3},
    ),
    "gpt_neo": (
        "GPTNeo",
        {
            **COMMON,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": 64,
        },
    ),
}
"""Families that cannot share prompt keys, or only so long, or are no backbones at all."""

HEADS = {
    "T5": "ForConditionalGeneration",
    "MT5": "ForConditionalGeneration",
    "GPT2": "LMHeadModel",
    "Bert": "LMHeadModel",
    "Gemma3Text": "ForCausalLM",
}


def tiny_model(family, seed=0, **changes):
    """A random model of transformers, of a family named above."""
    prefix, fields = {**CAUSAL, **SEQ2SEQ, **OTHERS}[family]
    config = getattr(transformers, f"{prefix}Config")(**{**fields, **changes})
    stem = prefix.removesuffix("Text")
    torch.manual_seed(seed)
    model = getattr(transformers, f"{stem}{HEADS.get(prefix, 'ForCausalLM')}")(config).eval()
    with torch.no_grad():
        for weight in model.parameters():  # biases and norms too: zeros and ones hide mistakes
            if weight.ndim == 1:
                weight.add_(0.2 * torch.randn_like(weight))
    return model


def tiny_tokenizer(sentinels=True, pad=True):
    """A byte-level tokenizer: a token is a byte, any text is reproduced."""
    special = SPECIAL if sentinels else SPECIAL[:3]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(
        BPE(vocab={token: i for i, token in enumerate([*special, *letters])}, merges=[])
    )
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>" if pad else None,
        additional_special_tokens=special[3:],
    )


def tiny(family, *, shared_prefix=True, seed=0, dtype=torch.float32, **changes):
    """A tiny backbone."""
    model = tiny_model(family, seed, **changes).to(dtype)
    own = {} if model.config.is_encoder_decoder else {"shared_prefix": shared_prefix}
    return as_backbone(model, tiny_tokenizer(), f"tiny {family}", **own)


def tiny_llama(**changes):
    return tiny("llama", **changes)


def tiny_gpt2(**changes):
    return tiny("gpt2", **changes)


def tiny_t5(**changes):
    return tiny("t5", **changes)


def save_tiny(folder, family="llama", **changes):
    """A tiny model and tokenizer as a folder that `load_backbone` reads."""
    tiny_model(family, **changes).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


WORDS = {
    "single": LabelWords(torch.tensor([[60], [61], [62]]), torch.tensor([1, 1, 1])),
    "multi": LabelWords(
        torch.tensor([[60, 70, 80], [61, 71, 0], [62, 0, 0], [60, 75, 0]]),
        torch.tensor([3, 2, 1, 2]),
    ),
}
"""Label words: [3, 1], and [4, 3] of which two share their first token."""


def tiny_batch(words="single", lengths=(7, 3, 5, 1), seed=0, pad=0):
    """A right-padded batch of random texts; the last row forbids the last label."""
    rows, words = len(lengths), WORDS[words]
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor(lengths)
    ids = torch.randint(10, 260, (rows, max(lengths) + pad), generator=generator)
    mask = (torch.arange(ids.shape[1]) < size[:, None]).long()
    allowed = torch.ones(rows, len(words.ids), dtype=torch.bool)
    allowed[-1, -1] = False
    labels = torch.arange(rows) % (len(words.ids) - 1)
    return Batch(ids * mask, mask, labels, words, allowed)


def tiny_prompt(backbone, length=6, seed=0, bank=()):
    """A prompt [P, H] (or a bank) around the size of the embeddings, with gradient."""
    table = backbone.input_embeddings().float()
    generator = torch.Generator().manual_seed(seed)
    prompt = torch.randn(*bank, length, backbone.hidden_size, generator=generator)
    return (prompt * table.std()).requires_grad_()
