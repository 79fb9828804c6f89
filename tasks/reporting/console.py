"""A night on the screen: one line a model, best first, what the blend is made of, where to go."""

from collections.abc import Mapping

from rich.table import Table

from tasks.metrics.ab_test import words_for
from tasks.models.popularity_fallback import is_fallback
from tasks.promotion.task import Promotion
from tasks.reporting.rendering import Printed, table
from tasks.reporting.summary import Component, Figure, Summary
from tasks.serving.list_rules import words

NAME, INTERVAL = "model", "95 % interval"
HEADERS = (NAME, "P@10", "R@10", "NDCG@10", INTERVAL, "coverage", "served", "seconds", "MiB")


def night_report(summary: Summary) -> list[Printed]:
    """Lay a night out: its models, what they are made of, who is champion, where to go."""
    return [
        "",
        (
            f"{summary.source}, as of {summary.as_of}: {summary.test_users} test users,"
            f" base rate {number(summary.base_rate.mean)}"
        ),
        "",
        _models(summary),
        "",
        *_differences(summary),
        *(_blend(name, parts) for name, parts in summary.blends.items()),
        *_cold(summary),
        *words_for(summary.choice.model, summary.smallest_live_test),
        _audit(summary),
        *(f"\n{file} is missing: {costs}" for file, costs in summary.missing.items()),
        "",
        *_gate(summary),
        _lists(summary),
        *([words(summary.list_rules)] if words(summary.list_rules) else []),
        *ways({"report": summary.report} | summary.commands),
    ]


def _models(summary: Summary) -> Table:
    by_ndcg = sorted(
        summary.models.items(), key=lambda m: m[1].metrics["ndcg_at_10"].mean or 0, reverse=True
    )
    rows = [
        (
            name,
            number(model.metrics["precision_at_10"].mean),
            number(model.metrics["recall_at_10"].mean, 4),
            number(model.metrics["ndcg_at_10"].mean),
            interval(model.metrics["ndcg_at_10"]),
            f"{model.beyond_accuracy['coverage'].mean or 0:.1%}",
            f"{model.served_users:.0%}",
            f"{model.seconds:.1f}",
            f"{model.peak_mib:.0f}",
        )
        for name, model in by_ndcg
    ]
    return table(HEADERS, rows, left=(NAME, INTERVAL))


def _differences(summary: Summary) -> list[str]:
    """Say whom validation users chose, and how far that model is ahead on test users."""
    first = summary.choice.model
    return [
        summary.choice.words,
        *(
            f"{first} - {other}: {signed(by.mean)} {interval(by)} in NDCG@10, paired by user;"
            f" better for {by.win_rate:.0%}"
            for other, by in summary.models[first].baseline.items()
        ),
    ]


def _blend(name: str, parts: dict[str, Component]) -> str:
    weighed = sorted(parts.items(), key=lambda part: -part[1].weight)
    used = ", ".join(f"{part} {number(by.weight, 2)}" for part, by in weighed if by.weight)
    unused = ", ".join(part for part, by in weighed if not by.weight)
    return f"{name} weighs {used}" + (f"; nothing for {unused}" if unused else "")


def _cold(summary: Summary) -> list[str]:
    """Say who can serve videos that nobody had seen, and how well; nothing if there were none."""
    by_ndcg = sorted(summary.offline_metric_audit.cold.items(), key=lambda m: -(m[1].mean or 0))
    figures = ", ".join(f"{name} {number(figure.mean)}" for name, figure in by_ndcg)
    base = number(summary.offline_metric_audit.cold_base_rate)
    return [f"on cold videos (base rate {base}): {figures}"] if figures else []


def _audit(summary: Summary) -> str:
    taus = ", ".join(
        f"{yardstick.removeprefix('log/')} {number(tau, 2)}"
        for yardstick, tau in summary.offline_metric_audit.tau.items()
    )
    taus = taus or "it cannot, test users saw too little new"
    as_of = summary.offline_metric_audit.as_of
    return f"the log from {as_of} on would order them (tau with the block): {taus}"


def _gate(summary: Summary) -> list[str]:
    """Say who is champion now, and why."""
    gate = summary.promotion
    return [
        f"{gate.registered_model} version {gate.version} ({gate.model}) {_fate(gate)}:",
        *(f"  {reason}" for reason in gate.reasons),
    ]


def _lists(summary: Summary) -> str:
    """Say whose lists people get: the champion's, or what is popular where it cannot answer."""
    counts = summary.users_by_model
    whose = ", ".join(f"{users:,} by {model}" for model, users in counts.items())
    gate = summary.promotion
    is_champions = any(not is_fallback(model) for model in counts)
    who = f"{gate.registered_model} version {gate.champion}" if is_champions else "no champion"
    return f"lists of {who} ({whose or 'nobody has one'}): {summary.top_n}"


def _fate(gate: Promotion) -> str:
    """Say what became of the night's model: news only once, however often the night is run."""
    if gate.version is not None and gate.champion == gate.version:
        return "is the champion now" if gate.is_news else "stays the champion"
    if gate.is_promoted:
        return f"was promoted; version {gate.champion} is the champion now"
    return "is kept out" if gate.is_news else "stays out"


def ways(commands: Mapping[str, str]) -> list[str]:
    """Lay out what a person may type next, each as it is typed."""
    return [f"{name + ':':<10}{command}" for name, command in commands.items()]


def interval(figure: Figure) -> str:
    """Write the ends of an interval: [.271, .302]."""
    return f"[{number(figure.low)}, {number(figure.high)}]"


def signed(value: float | None) -> str:
    """Write a difference: +.031, or - where it is not defined."""
    return "-" if value is None else f"{value:+.3f}".replace("0.", ".", 1)


def number(value: float | None, digits: int = 3) -> str:
    """Write a figure: .287, or - where it is not defined."""
    return "-" if value is None else f"{value:.{digits}f}".replace("0.", ".", 1)
