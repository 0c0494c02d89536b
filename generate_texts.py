"""Let a language model write: a few texts from each of a few prompts.

    python generate_texts.py --model allenai/OLMo-2-1124-7B --revision stage1-step150-tokens1B

writes  generated_texts/{model}_{revision}_gen_{prompt}_{sample}.txt   prompt and what follows it

in the study folder (LTBA_DIR, or the folder of this script); prompts and samples count from 0.
Tokens are drawn from the model's own probabilities. In float32, the same --seed gives the same
texts, whatever the batch size, and whatever else is asked for; another device changes a text only
where two tokens are equally good up to rounding. Texts that are there are left alone, so that a
run that was interrupted goes on where it stopped. The model is a name on the
Hugging Face hub or a local folder, of which --revision names a sub-folder.
"""

from pathlib import Path

from study.command_line import ArgumentParser, add_checkpoint_arguments, run_script, whole_number


def main():
    """Write the texts of one checkpoint that are not there yet."""
    parser = ArgumentParser(__doc__)
    add_checkpoint_arguments(parser)
    parser.add_argument("--batch_size", type=whole_number, default=50, help="texts at once (default: 50)")
    parser.add_argument("--output_folder", type=Path, help="default: generated_texts in the study folder")
    parser.add_argument("--seed", type=int, default=12345, help="which texts are drawn (default: 12345)")
    parser.add_argument("--prompts", type=Path, help="text file with a prompt a line (default: five of our own)")
    parser.add_argument("--n_samples", type=whole_number, default=10, help="texts of a prompt (default: 10)")
    parser.add_argument("--max_new_tokens", type=whole_number, default=200, help="tokens a text (default: 200)")
    parser.add_argument("--temperature", type=float, default=1.0, help="default: 1, the model's own probabilities")
    args = parser.parse_args()
    if not args.temperature > 0:
        parser.error(f"--temperature {args.temperature:g}: it must be above 0")

    from study.stages.texts import generate_texts

    generate_texts(args)


if __name__ == "__main__":
    run_script(main)
