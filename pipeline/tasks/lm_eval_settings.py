"""Read the settings that change the value of a result of the ``lm_eval`` command.

The command records the arguments of the model (``--model_args``) in several forms, and the prompts in several places of
its file. Two results with different settings are two measurements, not two points of one curve.
"""

import hashlib
import json

# Arguments that only change device, speed or storage. All other arguments are settings.
HARMLESS = frozenset(
    (
        "pretrained revision batch_size max_batch_size device devices device_map device_map_option parallelize "
        "max_memory_per_gpu max_cpu_memory offload_folder tp_plan trust_remote_code logits_cache low_cpu_mem_usage "
        "cache_dir use_cache download_dir token use_auth_token force_download local_files_only use_safetensors "
        "tensor_parallel_size pipeline_parallel_size data_parallel_size gpu_memory_utilization swap_space "
        "cpu_offload_gb max_num_seqs max_num_batched_tokens enforce_eager disable_log_stats enable_prefix_caching "
        "enable_chunked_prefill disable_custom_all_reduce distributed_executor_backend max_lora_rank lora_request "
        "tp_size dp_size mem_fraction_static chunked_prefill_size"
    ).split()
)
UNSET = frozenset(["", "None", "False", "auto", "default"])
# Values that mean the default, of arguments for which UNSET is not right.
DEFAULTS = {
    "use_fast_tokenizer": {"", "None", "True"},
    "add_bos_token": {"", "None"},
    "backend": UNSET | {"causal"},
    "max_gen_toks": UNSET | {"256"},
    "seed": UNSET | {"1234"},
    "truncation_side": UNSET | {"left"},
}
DTYPES = {"half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "double": "float64"}
NEUTRAL = frozenset(["model type", "dtype", "shots", "prompt"])  # settings of every run
USUAL_SEED = 1234
MOST_SHOWN = 60  # characters of a value in a sentence
SCORED = ("multiple_choice", "loglikelihood", "loglikelihood_rolling")  # types of tasks that generate no text
# Everything that makes the prompts of a task. Tasks of the same name can have different prompts.
PROMPT_KEYS = ("dataset_path", "dataset_name", "description", "doc_to_text", "doc_to_target", "doc_to_choice")


def parse_model_args(model_args):
    """Return the arguments of a model as a dict, from any form in which lm_eval 0.4.0 to 0.4.13 records them.

    Parameters
    ----------
    model_args : object
        A dict; a str such as ``pretrained=me/lm,dtype=float16,``; or a str with a JSON object. Any other type means
        that there are no arguments.

    Returns
    -------
    dict from str to str; values as text: ``True``, ``False``, and the empty str for None
    """
    if isinstance(model_args, str):
        if model_args.strip().startswith("{"):
            try:
                return parse_model_args(json.loads(model_args))
            except ValueError:
                return {}
        model_args = dict(argument.partition("=")[::2] for argument in model_args.split(",") if argument.strip())
    if not isinstance(model_args, dict):
        return {}
    return {name.strip(): _text(value) for name, value in model_args.items()}


def _text(value):
    """Return a value as text, the same for a value in JSON and on a command line."""
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    text = "" if value is None else str(value).strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return {"true": "True", "false": "False", "none": ""}.get(text.lower(), text)


def read_model_settings(content, arguments):
    """Return the settings that all tasks of a file share.

    Parameters
    ----------
    content : dict, a file of the lm_eval command
    arguments : dict from str to str, as ``parse_model_args`` returns it

    Returns
    -------
    dict from str to str; ``model type`` (``hf``, ``vllm`` ...) and ``dtype`` always, and all settings that are set
    """
    config = content["config"]
    model_type = _text(config.get("model")) or "hf"
    settings = {"model type": "hf" if model_type in ("hf-auto", "huggingface") else model_type}
    dtype = (_text(config.get("model_dtype")) or arguments.get("dtype") or "auto").removeprefix("torch.")
    settings["dtype"] = DTYPES.get(dtype, dtype)
    for name, value in arguments.items():
        is_same_tokenizer = name == "tokenizer" and value.rstrip("/") == arguments.get("pretrained", "").rstrip("/")
        is_unset = name in HARMLESS or value in DEFAULTS.get(name, UNSET)
        if not (name == "dtype" or is_unset or is_same_tokenizer):
            settings[name] = value
    for name in ("chat_template", "system_instruction"):
        if checksum := _checksum(content.get(f"{name}_sha"), content.get(name)):
            settings[name.replace("_", " ")] = checksum
    # Without a chat template, the command rejects this option. Other callers record it, though it has no effect.
    if "chat template" in settings and content.get("fewshot_as_multiturn"):
        settings["fewshot_as_multiturn"] = "True"
    return settings


def _checksum(recorded, text):
    """Return the beginning of the recorded checksum, or of the text's checksum; the empty str without a text."""
    if recorded:
        return str(recorded)[:8]
    return hashlib.sha256(str(text).encode()).hexdigest()[:8] if text else ""


def read_task_settings(content, task):
    """Return the settings of one task: prompt, shots, generation of texts, and used items.

    Parameters
    ----------
    content : dict, a file of the lm_eval command
    task : str, a task or a group of tasks
        A group has the settings of its tasks, since versions of lm_eval differ in the records of groups.

    Returns
    -------
    settings : dict from str to str
    n_shots : int or None where the number is unknown, or where the tasks of a group differ
    """
    config, settings = content["config"], {}
    tasks = list_tasks(content, task)
    if prompt := _describe_prompt(content, tasks):
        settings["prompt"] = prompt
    shots = sorted({_count_shots(content, name) for name in tasks}, key=str)
    settings["shots"] = " and ".join("unknown" if number is None else str(number) for number in shots)
    has_shots = any(number != 0 for number in shots)
    if has_shots and config.get("fewshot_seed") not in (None, USUAL_SEED):
        settings["fewshot_seed"] = _text(config["fewshot_seed"])
    is_generated = any(_get(content, "configs", name, "output_type") not in SCORED for name in tasks)
    if is_generated and config.get("gen_kwargs"):
        settings["gen_kwargs"] = json.dumps(parse_model_args(config["gen_kwargs"]), sort_keys=True)
    for name in tasks:  # --samples, and tasks that have no score for some items
        n_used, n_all = (_get(content, "n-samples", name, count) for count in ("effective", "original"))
        if isinstance(n_used, int) and isinstance(n_all, int) and n_used < n_all:
            settings["items"] = f"{n_used} of {n_all}"
    return settings, shots[0] if len(shots) == 1 else None


def _describe_prompt(content, tasks):
    """Return the beginning of a checksum of the prompts of some tasks, the empty str if they are unknown."""
    parts = [[name, key, _get(content, "configs", name, key)] for name in tasks for key in PROMPT_KEYS]
    # Older versions write functions with their address in memory.
    parts = [part for part in parts if part[2] not in (None, "") and " at 0x" not in str(part[2])]
    return _checksum(None, json.dumps(parts, sort_keys=True)) if parts else ""


def list_tasks(content, task):
    """Return the tasks of a group and of its groups, sorted; for a task, the task itself."""
    tasks, seen, waiting = [], set(), [task]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        parts = _get(content, "group_subtasks", name)
        parts = [part for part in parts if isinstance(part, str)] if isinstance(parts, list) else []
        waiting += parts
        if not parts:
            tasks.append(name)
    return sorted(tasks)


def _count_shots(content, task):
    """Return the number of shots of a task, or None."""
    for number in (_get(content, "n-shot", task), _get(content, "configs", task, "num_fewshot")):
        if isinstance(number, int) and not isinstance(number, bool):
            return number
    return None


def _get(content, *names):
    """Return the value at nested names of a dict, or None."""
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def describe_difference(settings, reference):
    """Return in words how settings differ from reference settings, both dict from str to str.

    For example ``dtype float16 instead of float32, load_in_4bit, no peft instead of me/adapter``.
    """
    words = []
    for name in sorted(set(settings) | set(reference)):
        value, expected = settings.get(name), reference.get(name)
        if value == expected:
            continue
        value, expected = (text and " ".join(text.split())[:MOST_SHOWN] for text in (value, expected))
        instead = f" instead of {expected}" if expected not in (None, "True") else ""
        words.append(f"no {name}{instead}" if value is None else f"{name} {value}".removesuffix(" True") + instead)
    return ", ".join(words)
