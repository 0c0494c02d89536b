"""Build tiny random models of every causal architecture that plain settings can build."""

import dataclasses

import torch
import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

ARCHITECTURES = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
MOST_PARAMETERS = 100_000_000
N_UNITS, N_LAYERS, N_HEADS, CONTEXT = 32, 3, 4, 160
# Sizes, and their names in configurations. Each is set where a configuration has the name.
NAMES_OF_SIZES = (
    (N_UNITS, "hidden_size d_model n_embd emb_dim embedding_size word_embed_proj_dim attention_hidden_size lru_width"),
    (N_UNITS, "embedding_dim dim_model input_embedding_size output_embedding_size mamba_d_ssm hidden_size_global"),
    (2 * N_UNITS, "intermediate_size ffn_dim n_inner dff dim_ff d_inner moe_intermediate_size decoder_ffn_dim"),
    (2 * N_UNITS, "encoder_ffn_dim ffn_hidden_size feed_forward_size shared_expert_intermediate_size"),
    (2 * N_UNITS, "shared_intermediate_size shared_experts_intermediate_size dense_intermediate_size"),
    (2 * N_UNITS, "moe_shared_expert_intermediate_size expert_ffn_hidden_size intermediate_size_mlp"),
    (2 * N_UNITS, "prefix_dense_intermediate_size"),
    (N_LAYERS, "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers num_decoder_layers"),
    (N_LAYERS, "num_encoder_layers"),
    (N_HEADS, "num_attention_heads n_head n_heads num_heads attention_heads decoder_attention_heads"),
    (N_HEADS, "encoder_attention_heads num_decoder_attention_heads num_encoder_attention_heads"),
    (N_HEADS, "swa_num_attention_heads mamba_num_heads index_n_heads linear_num_heads linear_num_key_heads"),
    (N_HEADS, "linear_num_value_heads"),
    (2, "num_key_value_heads swa_num_key_value_heads num_experts_per_tok moe_topk moe_k top_k_experts num_kv_heads"),
    (N_UNITS // N_HEADS, "head_dim d_head dim_head attention_head_size swa_head_dim v_head_dim kv_channels"),
    (N_UNITS // N_HEADS, "linear_head_dim linear_key_head_dim linear_value_head_dim mamba_head_dim mamba_d_head"),
    (N_UNITS // N_HEADS, "index_head_dim global_head_dim rotary_dim qk_nope_head_dim qk_rope_head_dim"),
    (CONTEXT, "max_position_embeddings n_positions n_ctx max_seq_len max_target_positions"),
    (4, "num_experts num_local_experts n_routed_experts moe_num_experts state_size mamba_d_state ssm_state_size"),
    (4, "zero_expert_num o_groups"),
    (16, "kv_lora_rank q_lora_rank router_hidden_size adapter_rank o_lora_rank hc_lowrank rel_extent"),
    (16, "pronunciation_embed_dim shape_embed_dim hidden_size_per_layer_input"),
    (1, "n_group topk_group"),
    (64, "encoder_hash_byte_group_vocab"),
    (0.0, "dropout hidden_dropout_prob attention_probs_dropout_prob attention_dropout"),
)
SIZES = {name: size for size, names in NAMES_OF_SIZES for name in names.split()}
VISION = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip
AUDIO = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
# More settings of single architectures.
MIXED = ["linear_attention", "full_attention", "linear_attention"]
MORE = {
    "bailing_hybrid": {"layer_types": MIXED},
    "jamba": {"attn_layer_period": 3, "attn_layer_offset": 1},
    "kimi_linear": {"layer_types": MIXED},
    "qwen3_next": {"layer_types": MIXED},
    "qwen3_5_text": {"layer_types": MIXED},
    "qwen3_5_moe_text": {"layer_types": MIXED},
    "qwen4_exp_text": {"layer_types": ["linear_attention", "indexed_attention", "linear_attention"]},
    "cohere_compass_text": {"layer_types": ["full_attention"] * 3},
    "bamba": {"attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 4},
    "granitemoehybrid": {"mamba_n_heads": 8, "mamba_d_head": 8, "layer_types": ["mamba", "attention", "mamba"]},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 2},
    "dots1": {"n_shared_experts": 1},
    "dots3_note_text": {"num_key_value_heads": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1], [["global"], 1]], "window_size": 16},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"]},
    "reformer": {"is_decoder": True, "attn_layers": ["local", "lsh", "local"], "axial_pos_shape": [10, 16],
                 "axial_pos_embds_dim": [16, 16], "lsh_attn_chunk_length": 16, "local_attn_chunk_length": 16,
                 "num_buckets": 4, "max_position_embeddings": 160},
    "xmod": {"default_language": "en_XX"},
    "nemotron_h": {"n_groups": 2, "layers_block_type": ["mamba", "attention", "mlp"], "mamba_num_heads": 8},
    "zaya": {"num_experts_per_tok": 1},
    "falcon_h1": {"mamba_n_heads": 4, "mamba_d_head": 8},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "gemma4_text": {"num_kv_shared_layers": 0, "vocab_size_per_layer_input": 320},
    "gemma4_unified_text": {"num_kv_shared_layers": 0},
    "zamba2": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "mamba_ngroups": 1,
               "n_mamba_heads": 8, "mamba_headdim": 8},
    "zamba": {"num_hidden_layers": 4, "attention_hidden_size": 64,
              "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
             "ffn_config": {"hidden_size": 32, "ffn_hidden_size": 64, "moe_num_experts": 4, "moe_top_k": 2}},
}  # fmt: skip


def sizes_for(config_class, vocab_size):
    """Return the small settings of a configuration class and its parts."""
    names = {field.name for field in dataclasses.fields(config_class)}
    settings = {name: size for name, size in SIZES.items() if name in names}
    settings |= {name: 0 for name in ("bos_token_id", "eos_token_id", "pad_token_id") if name in names}
    if "kv_lora_rank" in names:  # latent attention: every head has its own keys
        settings["num_key_value_heads"] = N_HEADS
    if "vocab_size" in names:
        settings["vocab_size"] = vocab_size
    for part, part_class in getattr(config_class, "sub_configs", {}).items():
        if "vision" in part or "audio" in part:
            sizes = VISION if "vision" in part else AUDIO
            names = set(sizes)
            if dataclasses.is_dataclass(part_class):
                names = {field.name for field in dataclasses.fields(part_class)}
            settings[part] = {name: size for name, size in sizes.items() if name in names}
        elif part_class is not transformers.AutoConfig and part not in ("attn_config", "ffn_config"):
            settings[part] = sizes_for(part_class, vocab_size) | MORE.get(part_class.model_type, {})
        elif part == "text_config":
            default = type(config_class().text_config)
            settings[part] = sizes_for(default, vocab_size) | {"model_type": default.model_type}
    return settings | MORE.get(config_class.model_type, {})


def tiny_config(architecture, vocab_size, **more):
    """Return a small configuration of an architecture."""
    config_class = CONFIG_MAPPING[architecture]
    config = config_class(**sizes_for(config_class, vocab_size) | more)
    for part in {id(part): part for part in (config, config.get_text_config(decoder=True))}.values():
        for name in ("initializer_range", "init_std"):
            if hasattr(part, name):
                setattr(part, name, 0.3)
    return config


def tiny_model(architecture, vocab_size, **more):
    """Return a small random model of an architecture, in evaluation mode."""
    config = tiny_config(architecture, vocab_size, **more)
    with torch.device("meta"):
        n_parameters = sum(p.numel() for p in transformers.AutoModelForCausalLM.from_config(config).parameters())
    if n_parameters > MOST_PARAMETERS:
        raise ValueError(f"it has {n_parameters:,} parameters with these settings")
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config).eval()
