#!/usr/bin/env bash
# The embedded study from end to end, with the scripts and the loops of a real one.
#
#   bash demo/run.sh FOLDER [options of python -m demo.make_study]
#
# makes the study in FOLDER, which must not exist yet, extracts and fits every checkpoint, two at a
# time, runs the notebook, and prints the curve. FOLDER/null holds the study of the null listener.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
shift

echo "== making a small language, a language model and two simulated listeners"
python -m demo.make_study --output_folder "$folder" "$@"
folder=$(cd "$folder" && pwd)
model=$folder/checkpoints/small_lm
jobs() { printf '%s\n' "$model"/*/ | xargs -n 1 basename | OMP_NUM_THREADS=1 xargs -P 2 -I REVISION "$@"; }

export LTBA_DIR=$folder LTBA_MODEL=small_lm LTBA_LANG=en
echo "== extracting the activations of every checkpoint"
jobs python extract_llm_activations.py --model "$model" --revision REVISION --lang en
cp -r "$folder/llms_activations" "$folder/null/"

# With fewer than 1,000 scans, smaller penalties than the paper's serve better.
for LTBA_DIR in "$folder" "$folder/null"; do
    echo "== fitting the listener in $LTBA_DIR"
    jobs python fit_average_subject.py --model small_lm_REVISION --lang en --alphas 0 7 16
    echo "== running the notebook"
    jupyter execute --log-level=ERROR --output="$LTBA_DIR/analyze_results_executed.ipynb" analyze_results.ipynb
done

LTBA_DIR=$folder python -m demo.report
