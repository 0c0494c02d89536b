"""Judge generated texts with classifiers of linguistic acceptability."""

import hashlib

import pandas as pd

from pipeline.errors import InputError, add_context
from pipeline.models import weights
from pipeline.models.loading import load_classifier
from pipeline.tasks import acceptability
from study import progress
from study.cache import every_few_seconds
from study.checkpoint_records import check_same_weights, describe_other_model, is_same_checkpoint
from study.files.tables import write_table
from study.jobs import Job, is_finished
from study.outputs.texts import read_acceptability, read_generated_texts
from study.paths import acceptability_path, checkpoint_stem, generated_texts_folder
from study.progress import log
from study.records import read_record
from study.stages.threads import limit_threads


def judge_texts(args):
    """Write a table for each model, with the options of ``evaluate_linguistic_acceptability.py``."""
    limit_threads(args.threads)
    folder = args.folder or generated_texts_folder()
    for model, texts in read_generated_texts(folder, args.model, args.prompts).groupby("model"):
        judge_model(texts, acceptability_path(model, folder), args)


def judge_model(texts, output, args):
    """Judge the texts of one model that have no row in its table yet, and write the table."""
    parameters = {"acceptable_label": args.acceptable_label, "lang": args.lang}
    inputs = list(texts["path"])
    with Job(output, parameters, modules=[__name__], inputs=inputs, skips_finished=False) as job:
        tables, checkpoints, missing_texts, n_new = find_missing(texts, output, parameters, args)
        if n_new == 0:
            print(f"{output} is there already")
            return
        for classifier, missing in missing_texts.items():
            if len(missing):
                name = checkpoint_stem(classifier)
                table, checkpoints[name] = judge(job, missing, classifier, args, checkpoints.get(name))
                tables.append(table)
        table = pd.concat(tables).sort_values(["tokens", "revision", "prompt", "sample", "classifier"])
        job.checkpoint = {"model": ", ".join(checkpoints), "classifiers": checkpoints}
        job.finish({output: lambda path: write_table(path, table)})
    means = table.groupby(["tokens", "revision", "classifier"])[["mean_probability", "share_acceptable"]].mean()
    print(means.reset_index().to_string(index=False, float_format="{:.3f}".format))
    print(f"{len(table)} texts, {n_new} of them new, in {output}")


def find_missing(texts, output, parameters, args):
    """Find what has been judged, and what has not.

    Return the rows of the table that stay, a list of no or one DataFrame, the checkpoints that judged them, a dict by
    name of the classifier, the texts to judge, a dict by classifier, and their number over all classifiers.
    """
    tables = []
    if is_finished(output, parameters, args.overwrite):
        tables.append(read_acceptability(output, texts))
    on_record = read_record(output).get("checkpoint") or {}
    checkpoints = on_record.get("classifiers", {}) if tables else {}
    check_same_classifiers(checkpoints, args.classifier, output)
    missing = {classifier: select_not_judged(texts, tables, classifier) for classifier in args.classifier}
    return tables, checkpoints, missing, sum(map(len, missing.values()))


def check_same_classifiers(checkpoints, classifiers, output):
    """Check that the classifiers are the ones that judged the texts in the table under the same names."""
    for classifier in classifiers:
        checkpoint = checkpoints.get(checkpoint_stem(classifier))
        if checkpoint and not is_same_checkpoint(checkpoint, classifier, output):
            other = describe_other_model(checkpoint, classifier) if checkpoint.get("commit") else ""
            other = other.removeprefix("the model ") or f"another classifier {checkpoint['model']}"
            raise InputError(f"{output} was made with {other}: --overwrite makes it again")


def select_not_judged(texts, tables, classifier):
    """Return the texts that have no row of a classifier in these tables."""
    keys = ["revision", "prompt", "sample"]
    tables = [table[table["classifier"] == checkpoint_stem(classifier)] for table in tables]
    judged = [key for table in tables for key in table.set_index(keys).index]
    return texts[~texts.set_index(keys).index.isin(judged)]


def judge(job, texts, classifier, args, before):
    """Return how acceptable a classifier finds the sentences of each text, a row each, and the checkpoint.

    before is the checkpoint that judged the texts in the table, or None.
    """
    name = checkpoint_stem(classifier)
    sentences = [
        acceptability.split_sentences(text, prompt, args.lang)
        for text, prompt in zip(texts["text"], texts["prompt_text"], strict=True)
    ]
    different = sorted({sentence for of_text in sentences for sentence in of_text})
    model, tokenizer, checkpoint = load_classifier(classifier, args.device, different, log)
    check_same_weights(job.output, before, checkpoint)  # a branch of the hub may have changed just now
    key = [name, weights.identify(checkpoint), different]
    part = hashlib.sha256(repr(key).encode()).hexdigest()
    known = job.load(part)
    with add_context(f"classifier {classifier}"):
        label = acceptability.find_acceptable_label(model.config.id2label, args.acceptable_label)
    with progress.bar(len(different), name, "sentence") as bar:
        probabilities, accepted = acceptability.judge_sentences(
            different,
            model,
            tokenizer,
            label,
            args.batch_size,
            progress=bar.update,
            log=bar.write,
            known=known and known["judged"],
            keep=every_few_seconds(lambda judged: job.save(part, judged=judged)),
        )
    by_sentence = [dict(zip(different, values, strict=True)) for values in (probabilities, accepted)]
    averages = acceptability.average_over_texts(sentences, *by_sentence)
    return texts[["revision", "tokens", "prompt", "sample"]].assign(classifier=name, **averages), checkpoint
