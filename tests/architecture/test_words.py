"""No word that was given up stands anywhere: not in code, tests, documents or settings."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = ("*.py", "*.md", "*.yaml", "*.yml", "*.toml", "Makefile")
OURS = ("CHANGELOG.md", "tests/architecture/test_words.py")
"""Files that say what a thing was called."""

GIVEN_UP = (
    # errors
    r"\b(Setting|Step|Replay|Watch|Leak)Error\b",
    # classes
    r"\b(Verdict|Recipe|Draft|Rehearsal|Exam|Standing|NotebookFigures|EnjoyedCurve)\b",
    r"\b(FromElsewhere|RawVideos|Replayed|NextDays)\b",
    r"\bclass (Known|Played|Shown|Days|Origin|Block|Daily|Pairs|Cells|Agreements|Swaps?)\b",
    r"\bclass (Beyond|Aged|Watch|Asked|Answer|Reading|Piece)\b",
    r"\b(import|:|->|\[) (Known|Played|Shown)\b",
    # tables and columns as literals
    r"""["'](enjoyed_curve|daily|pairs|cells|agreements|swaps|aged|beyond|next_days\w*)["']""",
    r"""["'](earns|bed|is_past|trained|against|whose)["']""",
    r"\benjoyed_curve\b",
    r"\bnext_days",
    r"\bratio_at_least_\d",
    r"\blog/(shown|plain)\b",
    r"\bblock/(enjoyed|top_n|watch_ratio)",
    r"\blabel_swaps\b|\baudit_swaps\b|\bswaps_figure\b",
    # evaluation
    r"\b[Tt]une users?\b",
    r"\b(tune_cells|tune_share|tune_ndcg\w*|order_by_tune_users|best_by_tune_users)\b",
    r"\b[Ee]xams?\b",
    r"\b[Rr]ehears(al|als|ed|e|es|ing)\b",
    r"\brehearsal_day\b|\bload_(exam|rehearsal)\b",
    # tasks
    r"\b(describe_users|describe_videos|befriend|rank_models|foresee|foreseen|judge)\b",
    r"\b(show_(night|gate|watch|answer|backfill)|replay_nights)\b",
    # machinery
    r"\b(origin_of|recipe_of|recipes?|nights_abreast|abreast|only_one|SEAL)\b",
    r"\.facts\b|\bfacts: Json\b",
    # models and metrics
    r"\b(sure_weights|popular_with|traits_of|user_traits_?|video_traits_?|dissected|floor_decision|standing_(in|again)|CROWNED|read_asked|notebook_figures)\b",
    r"\b(watch_rows|watch_table|(age|count|drift|unserved|log)_readings|readings_of|lists_for_all|lists_table|agreements_of|swaps_of|cells_of|fit_enjoyed_curve|measure_next_days)\b",
    r"\buses: ClassVar\b|\blearned: ClassVar\b|\bdef findings\b|\bstandardised\(",
    # tags
    r"""tags\[["'](as_of|protocol|decision|crowned)["']\]""",
    # tests and benchmarks
    r"\btests[./]worlds\b|test_(worth|losses|rooms)\b|\bbenchmarks[./](side|plain|ceiling|tenfold)\b",
)
"""Regular expressions, by area of the words that they stand for."""


def texts() -> dict[str, str]:
    listed = subprocess.run(
        ["git", "ls-files", *KINDS], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return {name: (ROOT / name).read_text() for name in listed if name not in OURS}


@pytest.fixture(scope="module")
def project() -> dict[str, str]:
    return texts()


@pytest.mark.parametrize("word", GIVEN_UP)
def test_no_word_that_was_given_up_is_left(word: str, project: dict[str, str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in project.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(word, line)
    ]
    assert found == []
