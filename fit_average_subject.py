"""Predict the average listener's fMRI from the hidden states of a language model, layer by layer.

    python fit_average_subject.py --model allenai_OLMo-2-1124-7B_stage1-step150-tokens1B --lang en

reads   llms_activations/{model}_{lang}.lz4, llms_activations/onsets_offsets_{lang}.lz4
        lpp_{lang}_average_subject/average_subject_run-{run}.gz
writes  llms_brain_correlations/{model}_layer-{layer}_corr_{lang}.gz
                          joblib: array (n_voxels,), correlation averaged over the held-out runs
        llms_brain_correlations/{model}_runs_{lang}.npz
                          correlations (n_layers, n_runs, n_voxels), alphas (n_layers, n_runs)

With --nuisance, features of the model and of the nuisance predict together, with a penalty each:

    python fit_average_subject.py --model allenai_OLMo-2-1124-7B_stage1-step150-tokens1B --nuisance word_rate

reads   llms_activations/{nuisance}_{lang}.lz4, too
writes  llms_brain_correlations/{model}_unique_{lang}.npz, and nothing else
                          correlations (of both) and unique, (n_layers, n_runs, n_voxels)
                          nuisance_correlations (of the nuisance alone), (n_runs, n_voxels)
                          alphas, nuisance_alphas (n_layers, n_runs)

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
    alphas_help = "ridge penalties: N from 10^LOW to 10^HIGH (default: 2 7 16; with --nuisance 2 7 8)"
    nuisance_help = "names in activation files: find the variance that the model explains in addition to theirs"
    nuisance_alphas_help = "penalties of the nuisance, as --alphas (default: 1 6 4)"
    add("--model", type=checkpoint_name, required=True, help="name in the activation file, or model as for extraction")
    add("--revision", type=revision_name, help="as for extraction, with such a model")
    add("--lang", choices=LANGUAGES, default="en", help="language of the story (default: en)")
    add_device_arguments(parser)
    add("--alphas", nargs=3, type=float, metavar=names, help=alphas_help)
    add("--drop_first", type=whole_number, metavar="N", help="leave out the first N words of each run")
    add("--nuisance", nargs="+", type=checkpoint_name, metavar="STEM", help=nuisance_help)
    add("--nuisance_alphas", nargs=3, type=float, metavar=names, help=nuisance_alphas_help)
    add("--overwrite", action="store_true", help="make the output again if it is there")
    args = parser.parse_args()
    if args.nuisance_alphas and not args.nuisance:
        parser.error("--nuisance_alphas: expected --nuisance too")
    args.alphas = args.alphas or ([2, 7, 8] if args.nuisance else [2, 7, 16])
    args.nuisance_alphas = args.nuisance_alphas or [1, 6, 4]
    for option in ("alphas", "nuisance_alphas"):
        low, high, n_alphas = getattr(args, option)
        if not (-5 <= low <= high <= 15 and n_alphas >= 1 and n_alphas % 1 == 0):
            parser.error(
                f"--{option} {low:g} {high:g} {n_alphas:g}: give two exponents from -5 to 15, the lower first, and a "
                "number"
            )

    from study.stages.fit import fit_average_subject
    from study.stages.unique_variance import fit_unique_variance

    fit_checkpoint = fit_unique_variance if args.nuisance else fit_average_subject
    fit_checkpoint(checkpoint_stem(args.model, args.revision), args)


if __name__ == "__main__":
    run_script(main)
