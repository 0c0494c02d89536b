"""Judge generated texts, sentence by sentence, with a classifier of linguistic acceptability.

    python evaluate_linguistic_acceptability.py --classifier yiiino/deberta-v3-large-cola

reads   generated_texts/{model}_{revision}_gen_{prompt}_{sample}.txt   and the .json beside each
writes  generated_texts/{model}_gen_cola.csv   a row per text and classifier: revision, tokens,
                                               prompt, sample, classifier, n_sentences,
                                               mean_probability, share_acceptable

in the study folder (LTBA_DIR, or the folder of this script). Prompts are not judged, nor is a last
sentence that was cut off. A text without a sentence has n_sentences 0 and no probability. Several
classifiers can be named, since one model may be biased in judging another; a classifier is a name
on the Hugging Face hub or a local folder. Texts that have been judged already are not judged again.
"""

import llm_brain_asym as study

import hashlib
import time
from pathlib import Path

import pandas as pd

from pipeline import BadInput, acceptability, files, weights, work
from pipeline.tables import write_table
from report import progress


def main():
    """Judge the texts of every model that is asked for, a table each."""
    parser = study.ArgumentParser(__doc__)
    parser.add_argument("--folder", type=Path, help="with the texts (default: generated_texts in the study folder)")
    parser.add_argument("--model", help="only texts of this model; needed for texts without a .json")
    parser.add_argument(
        "--classifier",
        nargs="+",
        default=["yiiino/deberta-v3-large-cola"],
        metavar="NAME",
        help="names on the Hugging Face hub, or local folders (default: yiiino/deberta-v3-large-cola)",
    )
    parser.add_argument("--acceptable_label", help="name or number of the label that means acceptable")
    parser.add_argument("--prompts", type=Path, help="prompts of texts without a .json (default: our own)")
    parser.add_argument("--lang", choices=study.LANGUAGES, default="en", help="language of the texts (default: en)")
    parser.add_argument("--batch_size", type=study.whole_number, default=32, help="sentences at once (default: 32)")
    study.add_device_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="judge all texts again")
    args = parser.parse_args()

    study.use_threads(args.threads)
    folder = args.folder or study.generated_texts_folder()
    for model, texts in study.read_generated_texts(folder, args.model, args.prompts).groupby("model"):
        output = study.acceptability_path(model, folder)
        # One job at a time: it adds to what is in the table.
        with files.alone(output, study.say):
            judge_model(texts, output, args)


def judge_model(texts, output, args):
    """Judge the texts of one model that have not been judged yet, and write its table anew."""
    started = time.time()
    parameters = {"acceptable_label": args.acceptable_label, "lang": args.lang}
    tables = []
    if study.is_finished(output, parameters, args.overwrite):
        tables.append(study.read_acceptability(output, texts))
    on_record = study.read_record(output).get("checkpoint") or {}
    classifiers = on_record.get("classifiers", {}) if tables else {}
    check_same_classifiers(classifiers, args.classifier, output)
    missing_of = {classifier: not_judged(texts, tables, classifier) for classifier in args.classifier}
    n_new = sum(map(len, missing_of.values()))
    if n_new == 0:
        work.remove_parts(output)
        print(f"{output} is there already")
        return
    inputs = list(texts["path"])
    with study.parts_of(output, parameters, inputs=inputs) as parts:
        for classifier, missing in missing_of.items():
            if len(missing):
                name = study.checkpoint_stem(classifier)
                before = classifiers.get(name)
                table, classifiers[name] = judge(missing, classifier, args, parts, output, before)
                tables.append(table)
        table = pd.concat(tables).sort_values(["tokens", "revision", "prompt", "sample", "classifier"])
        write_table(parts / output.name, table)
        judges = {"model": ", ".join(classifiers), "classifiers": classifiers}
        study.finish(parts, [output], parameters, inputs, started, judges)
    means = table.groupby(["tokens", "revision", "classifier"])[["mean_probability", "share_acceptable"]].mean()
    print(means.reset_index().to_string(index=False, float_format="{:.3f}".format))
    print(f"{len(table)} texts, {n_new} of them new, in {output}")


def check_same_classifiers(before, classifiers, output):
    """Those that have judged texts of a table must be those of the same names that are to judge others."""
    for classifier in classifiers:
        checkpoint = before.get(study.checkpoint_stem(classifier))
        if checkpoint and not study.is_same_checkpoint(checkpoint, classifier, output):
            which = study.which_is_another(checkpoint, classifier) if checkpoint.get("commit") else ""
            which = which.removeprefix("the model ") or f"another classifier {checkpoint['model']}"
            raise BadInput(f"{output} was made with {which}: --overwrite makes it anew")


def not_judged(texts, tables, classifier):
    """The texts that a classifier has not judged yet, as those tables tell."""
    keys, judged = ["revision", "prompt", "sample"], []
    for table in tables:
        of_classifier = table[table["classifier"] == study.checkpoint_stem(classifier)]
        judged.extend(of_classifier.set_index(keys).index)
    return texts[~texts.set_index(keys).index.isin(judged)]


def judge(texts, classifier, args, parts, output, before):
    """How acceptable a classifier finds the sentences of each text, a row each; and what was loaded.

    before is what was loaded for the texts in the table ``output``, or None.
    """
    name = study.checkpoint_stem(classifier)
    sentences = [
        acceptability.written_sentences(text, prompt, args.lang)
        for text, prompt in zip(texts["text"], texts["prompt_text"], strict=True)
    ]
    different = sorted({sentence for of_text in sentences for sentence in of_text})
    model, tokenizer, checkpoint = study.load_classifier(classifier, args.device, different)
    study.check_same_weights(output, before, checkpoint)  # a branch of the hub may have changed just now
    key = [name, weights.identity(checkpoint), different]
    part = parts / f"{hashlib.sha256(repr(key).encode()).hexdigest()}.npz"
    known = work.read_part(part)
    try:
        label = acceptability.acceptable_label(model.config.id2label, args.acceptable_label)
    except BadInput as error:
        raise BadInput(f"classifier {classifier}: {error}") from error
    with progress.bar(len(different), name, "sentence") as bar:
        probabilities, accepted = acceptability.acceptability(
            different,
            model,
            tokenizer,
            label,
            args.batch_size,
            progress=bar.update,
            say=bar.write,
            known=known and known["judged"],
            keep=work.now_and_then(lambda judged: work.save_part(part, judged=judged)),
        )
    of_texts = acceptability.of_texts(
        sentences,
        dict(zip(different, probabilities, strict=True)),
        dict(zip(different, accepted, strict=True)),
    )
    return texts[["revision", "tokens", "prompt", "sample"]].assign(classifier=name, **of_texts), checkpoint


if __name__ == "__main__":
    study.run_script(main)
