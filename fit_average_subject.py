"""Predict the average listener's fMRI from the hidden states of a language model, layer by layer.

    python fit_average_subject.py --model allenai_OLMo-2-1124-7B_stage1-step150-tokens1B --lang en

reads   llms_activations/{model}_{lang}.lz4, llms_activations/onsets_offsets_{lang}.lz4
        lpp_{lang}_average_subject/average_subject_run-{run}.gz
writes  llms_brain_correlations/{model}_layer-{layer}_corr_{lang}.gz
                          joblib: array (n_voxels,), correlation averaged over the left-out runs
        llms_brain_correlations/{model}_runs_{lang}.npz
                          correlations (n_layers, n_runs, n_voxels), alphas (n_layers, n_runs)

in the study folder (LTBA_DIR, or the folder of this script). The model is the name in the
activation file: model (for a local one, its folder's name) and revision, with / as _.
"""

import llm_brain_asym as study

import time

import numpy as np
import torch

from pipeline import BadInput, files, work
from pipeline.encoding.arrays import as_float32
from pipeline.encoding.cross_validation import cross_validate
from pipeline.encoding.folds import hold_out_runs
from report import progress, story_inputs


def main():
    """Fit all layers of one checkpoint."""
    parser = study.ArgumentParser(__doc__)
    parser.add_argument(
        "--model",
        type=study.checkpoint_name,
        required=True,
        help="name in the activation file, or model as for extraction",
    )
    parser.add_argument("--revision", type=study.revision_name, help="as for extraction, with such a model")
    parser.add_argument("--lang", choices=study.LANGUAGES, default="en", help="language of the story (default: en)")
    study.add_device_arguments(parser)
    parser.add_argument(
        "--tf32", action="store_true", help="on a CUDA device, multiply in TF32: faster, and right to three digits only"
    )
    parser.add_argument(
        "--alphas",
        nargs=3,
        type=float,
        default=[2, 7, 16],
        metavar=("LOW", "HIGH", "N"),
        help="ridge penalties: N from 10^LOW to 10^HIGH (default: 2 7 16)",
    )
    parser.add_argument("--overwrite", action="store_true", help="make the output again if it is there")
    args = parser.parse_args()
    args.model = study.checkpoint_stem(args.model, args.revision)
    started = time.time()
    low, high, n_alphas = args.alphas
    if not (-5 <= low <= high <= 15 and n_alphas >= 1 and n_alphas % 1 == 0):
        parser.error(
            f"--alphas {low:g} {high:g} {n_alphas:g}: give two exponents from -5 to 15, the lower first, and a number"
        )

    output = study.run_correlations_path(args.model, args.lang)
    inputs = [study.activations_path(args.model, args.lang), study.onsets_offsets_path(args.lang)]
    inputs += study.average_subject_files(args.lang)
    device = study.pick_device(args.device)
    if args.tf32 and device.type != "cuda":
        parser.error(f"--tf32 is for CUDA devices, and this is {device}")
    if device.type == "mps":
        parser.error("--device mps cannot compute in float64, which the fit needs: --device cpu can")
    device = None if device.type == "cpu" else device  # NumPy computes on the CPU
    parameters = {"alphas": args.alphas} | ({"tf32": True} if args.tf32 else {})
    with study.job(output, parameters, args.overwrite, inputs=inputs) as parts:
        if parts is None:
            return
        study.use_threads(args.threads)
        torch.backends.cuda.matmul.allow_tf32 = args.tf32
        grid = np.logspace(low, high, int(n_alphas))
        correlations, alphas = fit(args.model, args.lang, grid, device, parts)
        others = write(correlations, alphas, args.model, args.lang, parts)
        checkpoint = study.read_record(study.activations_path(args.model, args.lang)).get("checkpoint")
        before = study.all_layer_correlations_paths(args.model, args.lang)
        study.finish(parts, [*others, output], parameters, inputs, started, checkpoint, instead_of=before)

    n_constant = np.isnan(correlations).any(axis=(0, 1)).sum()
    if n_constant:
        print(f"voxels that do not vary in some run, whose correlation is NaN: {n_constant}")
    n_at_an_end = np.isin(alphas, grid[[0, -1]]).sum()
    if len(grid) > 2 and n_at_an_end > alphas.size / 4:
        print(
            f"{n_at_an_end} of {alphas.size} penalties are at an end of --alphas {low:g} {high:g} {n_alphas:g}: "
            "a wider range may predict better, if there is anything to predict; fit all checkpoints of a curve alike"
        )
    if len(grid) == 2:
        print(
            f"both penalties of --alphas {low:g} {high:g} {n_alphas:g} are ends of the range, so nothing shows whether "
            "it is wide enough: give three or more"
        )
    best = np.nanmean(correlations, axis=(1, 2)).argmax()
    print(f"{len(correlations)} layers, best on average layer {best}, in {output}")


def fit(model, lang, grid, device, parts):
    """Read everything and fit all layers; correlations and alphas as ``fit_layers`` returns them."""
    fmri = study.read_average_subject(lang)
    onsets_offsets, n_scans = study.read_onsets_offsets(lang), [len(run) for run in fmri]
    matrices = story_inputs.hrf_matrices(onsets_offsets, study.onsets_offsets_path(lang), n_scans, lang, device)
    fmri = story_inputs.prepare_fmri(fmri, lang)
    regressors = read_regressors(model, lang, matrices)  # layers of runs
    return fit_layers(regressors, fmri, grid, device, model, lang, parts)


def write(correlations, alphas, model, lang, parts):
    """Write the outputs into the folder of parts; the places of all but the last, in the order in which they come.

    Layer 0 comes last: where it is, all are.
    """
    others = [study.layer_correlations_path(model, layer, lang) for layer in range(len(correlations))]
    for path, of_runs in zip(others, correlations, strict=True):
        # Averaged in float64, as the published code does.
        files.write_arrays(parts / path.name, of_runs.mean(axis=0, dtype=np.float64))
    last = parts / study.run_correlations_path(model, lang).name
    with files.new_file(last) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, correlations=correlations, alphas=alphas)
    return others[::-1]


def fit_layers(regressors, fmri, grid, device, model, lang, parts):
    """Fit one layer after another, and say how well each does; those that are among the parts are done.

    Returns correlations, float32 array (n_layers, n_runs, n_voxels), and alphas, (n_layers, n_runs).
    """
    runs = hold_out_runs([len(run) for run in fmri])
    targets = as_float32(np.concatenate(fmri), device)  # (n_scans of all runs, n_voxels)
    correlations, alphas = [], []
    with progress.bar(len(regressors), model, "layer") as bar:
        for layer, regressors_of_runs in enumerate(regressors):
            part = parts / f"layer-{layer}.npz"
            if (done := work.read_part(part)) is not None:
                of_runs, chosen = done["correlations"], done["alphas"]
            else:
                try:
                    features = np.concatenate(regressors_of_runs)
                    of_runs, chosen = cross_validate(features, targets, runs, grid, device=device)
                except BadInput as error:
                    raise BadInput(f"{study.activations_path(model, lang)}: layer {layer}: {error}") from error
                work.save_part(part, correlations=of_runs, alphas=chosen)
            correlations.append(of_runs)
            alphas.append(chosen)
            of_voxels = of_runs.mean(axis=0)
            bar.update()
            bar.write(f"layer {layer}: correlation {np.nanmean(of_voxels):.4f}, at most {np.nanmax(of_voxels):.4f}")
    return np.stack(correlations), np.stack(alphas)


def read_regressors(model, lang, matrices):
    """Regressors of every layer and run.

    Returns a list over layers of list over runs of float32 array (n_scans - 20, n_units): a fifth
    of the size of the word vectors, of which one run at a time is in memory.
    """
    path = study.activations_path(model, lang)

    def regressors_of_run(run, layers):
        bar.update()
        return story_inputs.layer_regressors(layers, matrices[run], path, run)

    with progress.bar(len(matrices), f"{model}: reading", "run") as bar:
        of_runs = study.read_activations(model, lang, regressors_of_run)  # runs of layers
    return list(zip(*of_runs, strict=True))  # layers of runs


if __name__ == "__main__":
    study.run_script(main)
