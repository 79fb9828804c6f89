"""The night's report: what a person wants to know of a night, as one page that stands alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.evaluation.frames import EvaluationFrames
from tasks.metrics.ab_test import words_for
from tasks.metrics.slices import SLICES
from tasks.models.popularity_fallback import is_fallback
from tasks.reporting.page import Cell, Grid, Page, Picture, Section, cell
from tasks.reporting.summary import Summary
from tasks.reporting.words import words
from tasks.serving.explanation_text import behind_words, on_one_line, parts_words, really_words
from tasks.serving.list_rules import words as words_of_rules

if TYPE_CHECKING:  # it asks MLflow, which takes seconds to import
    from tasks.serving.sample_lists import SampleList

K = 10
COUNT = 100
"""From here on a check's figure is a count."""
BEYOND = ("coverage", "novelty", "personalisation")
NIGHTS = "nights.png"
SHOWN = {
    "leaderboard.png": "NDCG@10 of each model with its 95 % interval, and the base rate",
    "ndcg_over_k.png": "NDCG of each model by the length of the list",
    "comparisons.png": "How far each model is ahead of popularity and of the best single model",
    "slices.png": "NDCG@10 on groups of users and videos",
    "live_test.png": "Users and days that a live test of the chosen model would take",
    "label_rank_inversions.png": "Models by what counts as enjoyed: lines that cross change order",
    "offline_metric_audit.png": "What the log alone would say of the models, and the block",
    NIGHTS: "NDCG@10 of each night's model and of the champion it met",
}
"""What a night's pictures show, by file name."""


@dataclass(frozen=True)
class Report:
    """All that a night's page is made from.

    ``checks`` are the table ``monitoring_checks``; ``before`` NDCG@10 by model of the night before,
    empty if there was none; ``pictures`` PNGs by file name.
    """

    summary: Summary
    frames: EvaluationFrames
    checks: pl.DataFrame
    before: Mapping[str, float]
    before_day: str
    samples: Sequence[SampleList]
    pictures: Mapping[str, bytes]

    def page(self) -> Page:
        """Return the page."""
        summary = self.summary
        best = summary.models[summary.choice.model].metrics["ndcg_at_10"]
        past = self.checks.filter("is_alert")["description"].to_list()
        return Page(
            title=f"The night of {summary.as_of}",
            lead=f"{summary.source}: {summary.choice.model} reaches NDCG@{K} {number(best.mean)}"
            f" [{number(best.low)}, {number(best.high)}] for {summary.test_users} test users, at a"
            f" base rate of {number(summary.base_rate.mean)}. {verdict(summary)}",
            sections=[*self._sections()],
            words=words(),
            notice=f"Past their threshold: {'; '.join(past)}." if past else "",
            links={"All nights": "index.html"},
        )

    def _sections(self) -> Iterator[Section]:
        yield self._gate()
        yield self._models()
        yield self._change()
        yield from self._blends()
        yield self._slices()
        yield self._checks()
        yield self._lists()
        yield self._rest()

    def _pictures(self, *names: str) -> list[Picture]:
        there = [name for name in names if name in self.pictures]
        return [Picture(self.pictures[name], SHOWN.get(name, name)) for name in there]

    def _gate(self) -> Section:
        summary = self.summary
        failures = [f"{f.stage} of {f.model}: {f.reason}" for f in summary.failures]
        text = [verdict(summary), *summary.promotion.reasons, summary.choice.words, *failures]
        return Section("The verdict", text)

    def _models(self) -> Section:
        rows = [
            [
                cell(name),
                *(
                    cell(figure)
                    for figure in (
                        model.metrics["ndcg_at_10"].mean,
                        model.metrics["ndcg_at_10"].low,
                        model.metrics["ndcg_at_10"].high,
                        model.metrics["precision_at_10"].mean,
                        model.metrics["recall_at_10"].mean,
                    )
                ),
                *(
                    cell(None if figure is None else figure.mean, ".3f")
                    for figure in map(model.beyond_accuracy.get, BEYOND)
                ),
                cell(model.served_users, ".0%"),
                cell(model.seconds, ".1f"),
            ]
            for name, model in by_ndcg(self.summary)
        ]
        headers = (
            *("model", f"NDCG@{K}", "low", "high", f"P@{K}", f"R@{K}"),
            *(*BEYOND, "served", "seconds"),
        )
        leads = [
            f"{self.summary.choice.model} less {other}: {by.mean:+.4f} [{by.low:+.4f},"
            f" {by.high:+.4f}] in NDCG@{K} for the same users; better for {by.win_rate:.0%}."
            for other, by in self.summary.models[self.summary.choice.model].baseline.items()
            if by.mean is not None and by.low is not None and by.high is not None
        ]
        pictures = self._pictures("leaderboard.png", "comparisons.png", "ndcg_over_k.png")
        return Section("The models", leads, [Grid(headers, rows)], pictures)

    def _change(self) -> Section:
        pictures = self._pictures(NIGHTS)
        if not self.before:
            text = ["There was no night before this one of the same kind of data."]
            return Section("Since last night", text, pictures=pictures)
        rows = []
        for name, model in by_ndcg(self.summary):
            now, then = model.metrics["ndcg_at_10"].mean, self.before.get(name)
            change = None if now is None or then is None else now - then
            rows.append([cell(name), cell(now), cell(then), cell(change, "+.4f")])
        headers = ("model", f"NDCG@{K}", "last night", "change")
        text = [f"The night before is that of {self.before_day}."]
        return Section("Since last night", text, [Grid(headers, rows)], pictures)

    def _blends(self) -> Iterator[Section]:
        for name, table in self.frames.ablation.items():
            rows = [
                [
                    cell(row["component"]),
                    cell(row["weight"], ".3f"),
                    *(cell(row[end], "+.4f") for end in ("ndcg_gain", "low", "high")),
                    cell(row["reach_users"], ".0%"),
                ]
                for row in table.sort("weight", descending=True).iter_rows(named=True)
            ]
            headers = ("component", "weight", "gain", "low", "high", "reach")
            picture = f"{name}.png"
            pictures = [
                Picture(png, f"What each component earns {name}")
                for file, png in self.pictures.items()
                if file in (picture, f"ablation_{picture}")
            ]
            yield Section(f"What {name} is made of", (), [Grid(headers, rows)], pictures)

    def _slices(self) -> Section:
        cut_by = {one.name: one.words for one in SLICES}
        chosen = self.frames.slices.filter(model=self.summary.choice.model)
        rows = [
            [
                cell(cut_by.get(row["slice"], row["slice"])),
                cell(row["slice_value"]),
                *(cell(row[name]) for name in ("mean", "low", "high", "base_rate")),
                cell(row["users"], ",d"),
            ]
            for row in chosen.iter_rows(named=True)
        ]
        headers = ("by", "part", f"NDCG@{K}", "low", "high", "base rate", "users")
        text = [f"NDCG@{K} of {self.summary.choice.model} on each part by itself."]
        return Section(
            "Where it is good", text, [Grid(headers, rows)], self._pictures("slices.png")
        )

    def _checks(self) -> Section:
        first = [~pl.col("is_alert"), pl.col("measure") == "rows"]
        ordered = self.checks.sort(first, maintain_order=True)
        rows = [
            [
                cell(row["description"]),
                *(check_figure(row[name]) for name in ("value", "reference", "threshold")),
                cell(row["is_alert"]),
            ]
            for row in ordered.iter_rows(named=True)
        ]
        headers = ("check", "value", "usual", "threshold", "past it")
        missing = [f"{file} is missing: {costs}." for file, costs in self.summary.missing.items()]
        return Section("Drift and other checks", missing, [Grid(headers, rows)])

    def _lists(self) -> Section:
        counts = self.summary.users_by_model
        whose = ", ".join(f"{users:,} by {model}" for model, users in counts.items()) or "nobody's"
        rules = words_of_rules(self.summary.list_rules)
        text = [f"Lists of users: {whose}.", *([f"{rules}."] if rules else [])]
        if all(is_fallback(model) for model in counts):
            text.append("No champion made any: they are all alike, what is popular.")
        return Section("Some lists", text, [_list(sample) for sample in self.samples])

    def _rest(self) -> Section:
        live = words_for(self.summary.choice.model, self.summary.smallest_live_test)
        used = {"leaderboard.png", "comparisons.png", "ndcg_over_k.png", "slices.png", NIGHTS}
        of_blends = {f"{p}{name}.png" for name in self.frames.ablation for p in ("", "ablation_")}
        names = [name for name in self.pictures if name not in used | of_blends]
        return Section("What else was measured", live, pictures=self._pictures(*names))


def by_ndcg(summary: Summary) -> list[tuple[str, Any]]:
    """Return the models, best first."""
    return sorted(
        summary.models.items(), key=lambda one: -(one[1].metrics["ndcg_at_10"].mean or 0.0)
    )


def verdict(summary: Summary) -> str:
    """Say in a sentence or two what became of the night's model, and who is champion."""
    gate = summary.promotion
    number = "the night's model" if gate.version is None else f"version {gate.version}"
    who = f"{gate.registered_model} {number} ({gate.model})"
    fate = "was promoted" if gate.is_promoted else "was kept out"
    champion = "nobody" if gate.champion is None else f"version {gate.champion}"
    return f"{who} {fate}; the champion is {champion}."


def number(value: float | None) -> str:
    """Write a figure, or a dash where it is not defined."""
    return "-" if value is None else f"{value:.3f}"


def check_figure(value: float | None) -> Cell:
    """Write a figure of a check: a count as one, what is small with three digits that count."""
    return cell(value, ",.0f" if value is not None and abs(value) >= COUNT else ".3g")


def _list(sample: SampleList) -> Grid:
    rows = [
        [
            cell(line.rank, "d"),
            cell(line.video_id, "d"),
            cell(line.score, "+.3f"),
            cell(really_words(line)),
            cell(on_one_line(", ".join(line.tags or ()) or "-")),
            cell(on_one_line(line.caption or "-")),
            cell("-" if line.reason is None else parts_words(line.reason)),
            cell("-" if line.reason is None else behind_words(line.reason, sample.names) or "-"),
        ]
        for line in sample.lines
    ]
    headers = ("place", "video", "score", "really", "tags", "caption", "parts", "behind")
    return Grid(headers, rows, f"user {sample.user_id}, by {sample.model}")


def index_page(nights: Sequence[Mapping[str, Any]]) -> Page:
    """Return the page that lists the nights of a root, the newest first."""
    rows = [
        [
            Cell(str(night["as_of"]), href=str(night["page"])),
            cell(night["source"]),
            cell(night["model"]),
            *(cell(night[name]) for name in ("mean", "low", "high")),
            cell(night["outcome"]),
            cell(night["champion"]),
            cell(night["alerts"], "d"),
        ]
        for night in sorted(nights, key=lambda night: str(night["as_of"]), reverse=True)
    ]
    headers = (
        *("as of", "source", "model", f"NDCG@{K}", "low", "high", "gate", "champion"),
        "past a threshold",
    )
    explained = words()
    return Page(
        title="All nights",
        lead=f"{len(rows)} nights, each with a page of its own.",
        sections=[Section("Nights", grids=[Grid(headers, rows)])],
        words={name: explained[name] for name in headers if name in explained},
    )
