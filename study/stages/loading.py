"""Load the checkpoint of a command for its job."""

from pipeline.models.loading import load_checkpoint, make_untrained
from study.baselines import make_untrained_stem
from study.checkpoint_records import check_same_weights
from study.paths import checkpoint_stem, outputs_of_checkpoint
from study.progress import log
from study.records import read_record


def load_for_job(job, args, texts=(), folder=None, untrained=None):
    """Load the checkpoint of a command, and return its model and tokenizer.

    Cached parts of the job are removed if they were made from another checkpoint. args contain ``model``, ``revision``,
    ``device``, ``dtype`` and ``overwrite``. Some of the texts that the model is to read are tokenised to check the
    tokenizer. folder is that of generated texts, where it is not the folder in the study. untrained is the seed of
    random weights, where the weights of the checkpoint are not read. An InputError is raised as by ``load_checkpoint``,
    or where an output of the same name was made from other weights, without ``--overwrite``.
    """
    if untrained is None:
        loaded = load_checkpoint(args.model, args.revision, args.device, args.dtype, texts, log)
    else:
        loaded = make_untrained(args.model, args.revision, args.device, args.dtype, texts, log, seed=untrained)
    model, tokenizer, checkpoint = loaded
    if not args.overwrite:
        stem = make_untrained_stem(checkpoint_stem(args.model, args.revision), untrained)
        for path in outputs_of_checkpoint(stem, folder):
            check_same_weights(path, read_record(path).get("checkpoint"), checkpoint)
    job.empty_unless_same(checkpoint)
    return model, tokenizer
