"""Predict the average listener's fMRI from the hidden states of a language model, layer by layer.

    python fit_average_subject.py --model allenai_OLMo-2-1124-7B_stage1-step150-tokens1B --lang en

reads   llms_activations/{model}_{lang}.lz4, llms_activations/onsets_offsets_{lang}.lz4
        lpp_{lang}_average_subject/average_subject_run-{run}.gz
writes  llms_brain_correlations/{model}_layer-{layer}_corr_{lang}.gz
                          joblib: array (n_voxels,), correlation averaged over the held-out runs
        llms_brain_correlations/{model}_runs_{lang}.npz
                          correlations (n_layers, n_runs, n_voxels), alphas (n_layers, n_runs)

in the study folder (LTBA_DIR, or the folder of this script). The model is the name in the
activation file: model (for a local one, its folder's name) and revision, with / as _.
"""

from pipeline.words.languages import LANGUAGES
from study.command_line import (
    ArgumentParser,
    add_device_arguments,
    checkpoint_name,
    revision_name,
    run_script,
    whole_number,
)
from study.paths import checkpoint_stem


def main():
    """Fit all layers of one checkpoint."""
    parser = ArgumentParser(__doc__)
    add, names = parser.add_argument, ("LOW", "HIGH", "N")
    tf32_help = "on a CUDA device, multiply in TF32: faster, and right to three digits only"
    alphas_help = "ridge penalties: N from 10^LOW to 10^HIGH (default: 2 7 16)"
    add("--model", type=checkpoint_name, required=True, help="name in the activation file, or model as for extraction")
    add("--revision", type=revision_name, help="as for extraction, with such a model")
    add("--lang", choices=LANGUAGES, default="en", help="language of the story (default: en)")
    add_device_arguments(parser)
    add("--tf32", action="store_true", help=tf32_help)
    add("--alphas", nargs=3, type=float, default=[2, 7, 16], metavar=names, help=alphas_help)
    add("--drop_first", type=whole_number, metavar="N", help="leave out the first N words of each run")
    add("--overwrite", action="store_true", help="make the output again if it is there")
    args = parser.parse_args()
    low, high, n_alphas = args.alphas
    if not (-5 <= low <= high <= 15 and n_alphas >= 1 and n_alphas % 1 == 0):
        parser.error(
            f"--alphas {low:g} {high:g} {n_alphas:g}: give two exponents from -5 to 15, the lower first, and a number"
        )

    from study.stages.fit import fit_average_subject

    fit_average_subject(checkpoint_stem(args.model, args.revision), args)


if __name__ == "__main__":
    run_script(main)
