"""Every name of ours in MLflow: tags of runs and versions, and metrics, each with its meaning.

A part in braces differs from run to run. Figures of models come from the registries of metrics and
labels; what is not here is not logged (tests/integration/test_nightly.py asks MLflow).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.metrics.labels import LABELS, PRIMARY
from tasks.metrics.registry import METRICS

NIGHT = "grail.night"
"""Tag with the fingerprint of all that a night's runs show: equal nights are logged once."""
CLAIM = "grail.process"
"""Tag with the process that is logging a run."""
FILES = "grail.files"
"""Tag of a logged model that is not packed: where its files are, as a path below the root."""
BACKFILL = "grail.backfill"
"""Tag with the content of what a run shows: equal backfills are logged once."""
TUNING = "grail.tuning"
"""Tag with the fingerprint of a search: a longer one goes on in the same run."""
TRIAL = "grail.trial"
"""Tag with the number of a try in its search."""
KIND = "grail.kind"
"""Tag of a monitored night: only nights of one kind of source are compared."""
MET = "grail.met_champion"
"""Tag with the day of the champion that a night met first. Run again it may be that itself."""
REASONS = "grail.reasons"
"""Tag of a version with the gate's reasons, a line each."""
WAS_CHAMPION = "grail.was_champion"
"""Tag of a version that has become the champion once: no rerun of its night makes it so again."""

PRUNED = "grail.pruned"
"""Tag of a run that is old and marked as deleted; without it, a person has deleted the run."""


@dataclass(frozen=True)
class Name:
    """A name, what it is a name on, and what it means."""

    name: str
    of: str
    meaning: str

    def fits(self, name: str) -> bool:
        """Whether a name in MLflow is this one."""
        fixed = map(re.escape, re.split(r"\{\w+\}", self.name))
        return re.fullmatch(".+".join(fixed), name) is not None


NIGHTS_RUN, MODELS_RUN, BACKFILLS_RUN = "a night's run", "a model's run", "a backfill's run"
TUNINGS_RUN, TRIALS_RUN = "a tuning's run", "a try's run"
VERSION = "a version"

TAGS = (
    Name(NIGHT, "all of a night", "fingerprint of all that its runs show: logged once"),
    Name("grail.source", "all runs", "where the raw files came from, as people read it"),
    Name(
        "grail.as_of", "all of a night's and a tuning's", "day before which everything was learned"
    ),
    Name("grail.protocol", "all of a night's runs", "fingerprint of how it was measured"),
    Name("grail.data", "all of a night's runs", "content of what the models learned from"),
    Name("grail.code", "all runs", "commit of this project, and whether it was changed since"),
    Name("grail.prefect_flow_run", "all runs", "id of the flow run in Prefect"),
    Name(
        CLAIM,
        f"{NIGHTS_RUN}, {BACKFILLS_RUN}, {TUNINGS_RUN}",
        "machine and process that logs or logged it",
    ),
    Name(KIND, NIGHTS_RUN, "kind of source: only nights of one kind are compared"),
    Name(MET, NIGHTS_RUN, "day of the champion that it met first, or none"),
    Name(
        "grail.model", f"{MODELS_RUN}, {TUNINGS_RUN}, {TRIALS_RUN}, {VERSION}", "name of the model"
    ),
    Name(FILES, "a logged model", "folder of its files below the root; the chosen one is packed"),
    Name(BACKFILL, BACKFILLS_RUN, "content of the table of old models' worth: logged once"),
    Name(TUNING, TUNINGS_RUN, "fingerprint of the search: a longer one goes on in the same run"),
    Name(TRIAL, TRIALS_RUN, "number of the try"),
    Name(PRUNED, "all runs that are marked as deleted", "it was old: pruned, and soon gone"),
    Name("grail.settings", VERSION, "fingerprint of the settings it was trained with"),
    Name("grail.content", VERSION, "checksum of the model's files"),
    Name("grail.protocol", VERSION, "fingerprint of how it was measured"),
    Name("grail.as_of", VERSION, "day before which it learned"),
    Name("grail.decision", f"{NIGHTS_RUN}, {VERSION}", "what the gate decided"),
    Name(REASONS, VERSION, "why, a line each; the description is the model's card"),
    Name(WAS_CHAMPION, VERSION, "it has been champion"),
)
"""All tags of ours; those that begin with ``mlflow.`` are MLflow's own."""


def metrics() -> Iterator[Name]:
    """Yield all metrics: of a model's run, of a night's, and of a backfill's."""
    for metric in METRICS:
        yield Name(f"{metric.name}_at_{{k}}", MODELS_RUN, f"{metric.words}; label {PRIMARY}")
        yield Name(f"{metric.name}_over_k", MODELS_RUN, "the same as a curve, its step is k")
    for end in ("low", "high"):
        yield Name(f"{{metric}}_at_10_{end}", MODELS_RUN, f"{end} end of the 95 % interval")
    for label in LABELS.values():
        if not label.is_primary:
            yield Name(f"ndcg_at_10_{label.name}", MODELS_RUN, f"relevant is: {label.words}")
        yield Name(
            f"ndcg_at_10_holdout_{label.name}",
            MODELS_RUN,
            f"on what users saw next: {label.words}",
        )
    yield from OTHER_METRICS


OTHER_METRICS = (
    Name("ndcg_at_10_minus_{baseline}", MODELS_RUN, "difference, paired by user"),
    Name("{measure}_at_10", MODELS_RUN, "what lists are like beside being right"),
    Name("served_users", MODELS_RUN, "share of users to whom it has something to say"),
    Name("served_cells", MODELS_RUN, "share of candidates for which it has a score"),
    Name("seconds", MODELS_RUN, "of training"),
    Name("peak_mib", MODELS_RUN, "memory of training above what was there before, MiB"),
    Name("loss", MODELS_RUN, "by epoch, its step"),
    Name("validation_loss", MODELS_RUN, "by epoch, on days held out"),
    Name("weight_{component}", MODELS_RUN, "of a component in the blend"),
    Name(
        "validation_ndcg_at_10_{kind}", MODELS_RUN, "of each kind of blend, on users for choosing"
    ),
    Name("lead_on_best_part", MODELS_RUN, "of the blend on its best component alone, there"),
    Name("lead_on_best_part_low", MODELS_RUN, "low end of its 95 % interval"),
    Name("lead_on_best_part_high", MODELS_RUN, "high end of its 95 % interval"),
    Name("test_users", NIGHTS_RUN, "users whom the figures are of"),
    Name("base_rate", NIGHTS_RUN, "share of relevant cells"),
    Name("best_{figure}", NIGHTS_RUN, "of the model chosen for the lists"),
    Name("champion_ndcg_at_10", NIGHTS_RUN, "of the champion it met, on its own test users"),
    Name("champion_ndcg_at_10_{end}", NIGHTS_RUN, "low and high end of its 95 % interval"),
    Name("monitoring.{measure}.{slice_value}", NIGHTS_RUN, "a check of the night's input"),
    Name("{test_set}_lost_ndcg_at_10_{model}", BACKFILLS_RUN, "lost by a model, its age the step"),
    Name("validation_ndcg_at_10", TRIALS_RUN, "with its settings, on users for choosing"),
    Name("seconds", f"{TRIALS_RUN}, {TUNINGS_RUN}", "of a try, of all tries"),
    Name("trials", TUNINGS_RUN, "settings tried"),
    Name("{settings}_{users}_ndcg_at_10", TUNINGS_RUN, "of the defaults, in force, the winner"),
    Name("winner_{users}_ndcg_at_10_minus_default", TUNINGS_RUN, "difference, paired by user"),
    Name("optimism_ndcg_at_10", TUNINGS_RUN, "lead on users for choosing less that on test users"),
)
