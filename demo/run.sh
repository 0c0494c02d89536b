#!/usr/bin/env bash
# Run the embedded study from end to end, with the scripts and the loops of a real study.
#
#   bash demo/run.sh FOLDER [options of python -m demo.make_study]
#
# makes the study in FOLDER, which must not exist yet, extracts, fits and evaluates every checkpoint,
# two at a time, runs the notebook, and prints the curves. FOLDER/null is the study of the null listener, and
# FOLDER/noisy the study of a listener with more noise on the right. Both have the same model and benchmarks.
# FOLDER/log.txt contains all that the scripts print. This script prints a line for each checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
shift

echo "== a small language, a language model trained on it, a judge of its texts, and three simulated listeners"
python -m demo.make_study --output_folder "$folder" "$@"
folder=$(cd "$folder" && pwd)
model=$folder/checkpoints/small_lm
export HF_HUB_OFFLINE=1 # everything that the scripts read is in FOLDER

for_every_checkpoint() {
    printf '%s\n' "$model"/*/ | xargs -n 1 basename | OMP_NUM_THREADS=1 xargs -P 2 -I REVISION "$@" 2>> "$folder/log.txt" |
        tee -a "$folder/log.txt" | grep --line-buffered " in $folder" ||
        { tail -n 40 "$folder/log.txt" >&2; exit 1; }
}

export LTBA_DIR=$folder LTBA_MODEL=small_lm LTBA_LANG=en
echo "== activations"
for_every_checkpoint python extract_llm_activations.py --model "$model" --revision REVISION --lang en

for benchmark in blimp zorro arithmetic dyck; do
    echo "== $benchmark"
    for_every_checkpoint python evaluate_llm_$benchmark.py --model "$model" --revision REVISION
done
echo "== two tasks by lm_eval"
for_every_checkpoint bash -c 'lm_eval --model hf --model_args pretrained='"$model"'/REVISION,dtype=float32 \
    --tasks small_endings,counting --include_path '"$folder"'/lm_eval_tasks --device cpu --batch_size 64 --log_samples \
    --output_path '"$folder"'/lm_eval_results/small_lm_REVISION_tasks.json \
    && echo "REVISION by lm_eval in '"$folder"'/lm_eval_results"'

echo "== texts"
for_every_checkpoint python generate_texts.py --model "$model" --revision REVISION \
    --prompts "$folder/prompts.txt" --max_new_tokens 40
echo "== acceptability"
python evaluate_linguistic_acceptability.py --classifier "$folder/checkpoints/small_judge" --device cpu

for place in null noisy; do
    cp -r "$folder"/{llms_activations,blimp_results,zorro_results,arithmetic_results,dyck_results} "$folder/$place/"
    cp -r "$folder"/{lm_eval_results,generated_texts} "$folder/$place/"
done
for LTBA_DIR in "$folder" "$folder/null" "$folder/noisy"; do
    echo "== fit of the listener in $LTBA_DIR"
    # With fewer than 1,000 scans, smaller penalties than those of the paper predict better.
    for_every_checkpoint python fit_average_subject.py --model small_lm_REVISION --lang en --alphas 0 7 16
done

LTBA_DIR=$folder
echo "== baselines"
two_at_a_time() { # two_at_a_time NAMES COMMAND, in which NAME stands for each of the names
    printf '%s\n' $1 | OMP_NUM_THREADS=1 xargs -P 2 -I NAME "${@:2}" >> "$folder/log.txt" 2>&1 ||
        { tail -n 40 "$folder/log.txt" >&2; exit 1; }
}
two_at_a_time "word_rate length_frequency position random_embedding" \
    python -m experiments.baselines.extract --lang en --baseline NAME
two_at_a_time "word_rate length_frequency position random_embedding_seed-1" \
    python fit_average_subject.py --model baseline_NAME --lang en --alphas 0 7 16

analyze() { # the notebook and the page of a listener
    export LTBA_DIR=$1
    jupyter execute --output="$1/analyze_results_executed.ipynb" analyze_results.ipynb 2>> "$1/log.txt" ||
        { tail -n 40 "$1/log.txt" >&2; return 1; }
    python -m report.page --model small_lm --lang en
}
export -f analyze
echo "== notebooks and pages of the three listeners"
printf '%s\n' "$folder" "$folder/null" "$folder/noisy" | OMP_NUM_THREADS=1 xargs -P 2 -I PLACE bash -c 'analyze PLACE'

echo "== what was found"
LTBA_DIR=$folder python -m demo.report
