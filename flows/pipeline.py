"""The stretches of work that flows are made of: from tables to models, from models to a verdict."""

from collections.abc import Mapping
from datetime import date

from flows.aside import aside
from schemas.artifacts import ArtifactRef, Known, Played, Verdict
from schemas.model_settings import MODEL_CONFIGS
from schemas.settings import LearningConfig
from tasks.artifacts.table_task import Refs
from tasks.evaluation.ablate_task import ablate
from tasks.evaluation.audit_task import audit, foresee
from tasks.evaluation.compare_task import compare
from tasks.evaluation.task import evaluate, frame, rank_models
from tasks.features.holdout_task import next_days
from tasks.features.task import (
    Days,
    befriend,
    describe_users,
    describe_videos,
    examine,
    index,
    label,
    pairs,
)
from tasks.ingest.coverage_task import cover
from tasks.ingest.task import ingest
from tasks.metrics.eval_set import ORACLE
from tasks.models.lookup import recommender_class
from tasks.sources.task import RawData
from tasks.training.task import train


def ingested(config: LearningConfig, raw: RawData) -> Refs:
    """Turn every raw file into its validated table, and see what they cover of each other."""
    tables: Refs = {}
    for table, file in raw.files.items():
        made = ingest(table, file, raw.checksums[table], config.max_reject_share, config.root)
        tables[table] = made[table]
    return tables | cover(tables, config.root)


def play(config: LearningConfig, tables: Mapping[str, ArtifactRef], days: Days) -> Played:
    """Play the night as of a day: rehearse it on an earlier one, learn, judge."""
    root = config.root
    then = features(tables, days.earlier, root)
    then |= next_days(then, *days, root)
    past = learn(config, Known(as_of=days.earlier, tables=then))
    known = learn(config, Known(as_of=days.as_of, tables=features(tables, days.as_of, root)), past)
    return Played(past=past, known=known, verdict=judge(config, known, past))


def features(tables: Mapping[str, ArtifactRef], day: date, root: str) -> Refs:
    """Add to the ingested ``tables`` all that is known by a day."""
    known = dict(tables)
    known |= index(known, day, root)
    known |= label(known, day, root)
    known |= pairs(known, day, root)
    known |= describe_users(known, day, root)
    known |= describe_videos(known, day, root)
    known |= befriend(known, root)
    return known | examine(known, day, root)


def learn(config: LearningConfig, known: Known, rehearsed: Known | None = None) -> Known:
    """Train every model on what is known; blends last, on the others and on what was rehearsed."""
    for name in config.models:
        hyper = config.model_settings(name).model_dump(mode="json")
        made = train(name, hyper, known, rehearsed or known, config.seed, config.root)
        known = known.model_copy(update={"models": known.models | made})
    return known


def judge(config: LearningConfig, known: Known, past: Known) -> Verdict:
    """Measure all models on the exam, compare them, and audit what the log alone would say."""
    root, seed = config.root, config.seed
    for name in past.models:
        recommender_class(name)  # imported here: of two threads, none imports
    with aside() as submit:
        foreseen = {name: submit(foresee, name, past, root) for name in past.models}
        per_user = {ORACLE: frame(known.tables, root)["per_user"]}
        measured = {name: evaluate(name, known, seed, root) for name in known.models}
        per_user |= {name: made["per_user"] for name, made in measured.items()}
        leaderboard = rank_models(per_user, seed, root)["leaderboard"]
        compared = compare(per_user, leaderboard, seed, root)
        blends = [name for name in known.models if MODEL_CONFIGS[name].is_blend]
        ablation = {name: ablate(name, known, seed, root)["ablation"] for name in blends}
    audited = audit({name: made.result() for name, made in foreseen.items()}, seed, root)
    return Verdict(
        per_user=per_user,
        leaderboard=leaderboard,
        **compared,
        slices={name: made["slices"] for name, made in measured.items()},
        beyond={name: made["beyond"] for name, made in measured.items()},
        ablation=ablation,
        audit=audited,
    )
