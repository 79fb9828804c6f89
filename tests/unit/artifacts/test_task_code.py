"""Every task's artefacts are made anew when its code changes, whatever of it, and only then."""

import ast
import importlib
import inspect
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from schemas.artifacts import ArtifactRef, BuildSpec
from tasks.artifacts import code_fingerprint as provenance
from tasks.artifacts.code_fingerprint import CARRIERS
from tasks.artifacts.table_task import RunContext, TableTask, table_task
from tasks.artifacts.user_folder import FOLDER
from tests.code_fingerprints import forget

ROOT = Path(__file__).parents[3]
Maker = tuple[str, str]
"""Module and name of a table task."""


def parsed(dotted: str, root: Path = ROOT) -> ast.Module:
    return ast.parse(file_of(dotted, root).read_text(encoding="utf-8"))


def file_of(dotted: str, root: Path) -> Path:
    return root / f"{dotted.replace('.', '/')}.py"


def called(node: ast.AST) -> set[str]:
    calls = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return {ast.unparse(call).rsplit(".", 1)[-1] for call in calls}


DOORS = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in sorted((ROOT / "tasks").glob("*/*task.py"))
    if file.parent.name != "artifacts"
]
TASKS: dict[Maker, TableTask] = {
    (dotted, name): found
    for dotted in DOORS
    for name, found in vars(importlib.import_module(dotted)).items()
    if isinstance(found, TableTask) and found.function.__module__ == dotted
}
MAKERS = list(TASKS)


class Copy:
    """A copy of the project to edit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for room in ("schemas", "tasks"):
            shutil.copytree(
                ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__")
            )

    def code(self, maker: Maker) -> str:
        return provenance._code_version((maker,)).code

    def codes(self) -> dict[Maker, str]:
        forget()
        return {maker: self.code(maker) for maker in MAKERS}

    def replace(self, dotted: str, old: str, new: str) -> None:
        file = file_of(dotted, self.folder)
        assert file.read_text().count(old) == 1
        file.write_text(file.read_text().replace(old, new))

    def insert(self, dotted: str, chosen: Callable[[ast.FunctionDef], bool], line: str) -> int:
        """Begin each chosen function with a line; return how many there were."""
        file = file_of(dotted, self.folder)
        lines = file.read_text().splitlines()
        found = [
            node
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.FunctionDef) and chosen(node)
        ]
        for first in sorted((node.body[0] for node in found), key=lambda s: -s.lineno):
            lines.insert(first.lineno - 1, " " * first.col_offset + line)
        file.write_text("\n".join(lines) + "\n")
        return len(found)


@pytest.fixture
def project(
    before: dict[Maker, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Copy]:
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setenv(FOLDER, str(tmp_path / "cache"))
    forget()
    yield Copy(tmp_path)
    forget()


@pytest.fixture(scope="module")
def before() -> dict[Maker, str]:
    """The fingerprints of the project as it is."""
    return {maker: provenance._code_version((maker,)).code for maker in MAKERS}


def changed(before: dict[Maker, str], after: dict[Maker, str]) -> set[Maker]:
    return {maker for maker in MAKERS if before[maker] != after[maker]}


def helpers_of(maker: Maker) -> Iterator[Maker]:
    """Yield where the functions and classes of this project that a maker names are defined."""
    dotted, function = maker
    statements = provenance._parse(dotted).definitions[function]
    for name in {name for s in statements for name in provenance._names(s)} - {function}:
        for meant in provenance._meant(dotted, name):
            where, what = meant
            while provenance._is_ours(where) and what in provenance._parse(where).imports:
                ((where, what),) = provenance._parse(where).imports[what]  # handed on by a package
            if where.startswith("tasks.") and not provenance._is_carrier(where):
                yield where, what


def test_nothing_is_made_past_them():
    """Whatever the store keeps was made by one of the tasks found here."""
    assert len(MAKERS) > 20
    files = [*(ROOT / "tasks").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]
    calls = {str(f.relative_to(ROOT)): called(ast.parse(f.read_text())) for f in files}

    def callers(name: str) -> set[str]:
        return {file for file, names in calls.items() if name in names}

    assert callers("writers") == {"tasks/artifacts/build.py"}
    assert callers("BuildSpec") == {"tasks/artifacts/table_task.py"}


def test_what_a_task_makes_has_one_maker():
    made = [(task.stage, name) for task in TASKS.values() for name in task.writes]
    shared = {one for one in made if made.count(one) > 1}
    assert shared == {("evaluation", "per_user")}, "the bounds stand beside the models"


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker[1])
def test_a_line_of_its_body_counts_for_it_alone(project, before, maker):
    assert project.insert(maker[0], lambda node: node.name == maker[1], "added = 1") == 1
    assert changed(before, project.codes()) == {maker}


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker[1])
def test_a_line_of_each_function_that_it_calls_counts(project, before, maker):
    tried = 0
    for dotted, name in helpers_of(maker):
        kept = file_of(dotted, project.folder).read_text()
        if project.insert(dotted, lambda node, name=name: node.name == name, "added = 1"):
            tried += 1
            forget()
            assert project.code(maker) != before[maker], name
            file_of(dotted, project.folder).write_text(kept)
    assert tried


def test_the_cut_at_the_day_counts(project, before):
    project.replace("tasks.features.task", "known = views.filter(before(as_of))", "known = views")
    assert changed(before, project.codes()) == {("tasks.features.task", "build_user_item")}


def test_words_about_code_do_not_count(project, before):
    for dotted in DOORS:
        project.insert(dotted, lambda _: True, "# said of it")
        project.insert(dotted, lambda node: not ast.get_docstring(node), '"""Said of it."""')
    assert changed(before, project.codes()) == set()


def test_what_only_carries_does_not_count(project, before):
    ours = [dotted for dotted in CARRIERS if dotted.startswith(("tasks.", "schemas."))]
    edited = [project.insert(dotted, lambda _: True, "added = 1") for dotted in ours]
    assert sum(edited) > 50
    assert changed(before, project.codes()) == set()


def test_how_its_runs_are_called_and_how_long_they_may_take_does_not_count(project, before):
    project.replace("tasks.training.task", '    key="model",\n', '    key="", hours=9,\n')
    assert changed(before, project.codes()) == set()


def spec(task: TableTask, **settings: object) -> BuildSpec:
    return task.spec(RunContext("root", 1, date(2020, 9, 1)), {}, settings)


def written(*names: str) -> TableTask:
    return replace(TASKS["tasks.features.task", "build_user_item"], writes=names)


def test_the_contract_of_what_is_made_counts():
    assert len({spec(written(name)).code for name in ("user_item", "eval_pairs", "no table")}) == 3


def test_what_is_found_at_run_time_counts():
    train = TASKS["tasks.training.task", "train"]
    assert len({spec(train, model=name, config={}).code for name in ("als", "popularity")}) == 2


def test_the_classes_of_models_that_are_read_count():
    evaluate = TASKS["tasks.evaluation.task", "evaluate"]
    run = RunContext("root", 1, date(2020, 9, 1))

    def code(name: str, *components: str) -> str:
        model = ArtifactRef(
            stage="models",
            name=name,
            fingerprint="f",
            content="c",
            path="p",
            metadata={"components": components},
        )
        return evaluate.spec(run, {"model": model}, {"model": name}).code

    assert len({code("als"), code("tags"), code("hybrid"), code("hybrid", "als")}) == 4


def test_seed_and_day_count_for_those_that_take_them_and_for_no_others():
    def specs(task: TableTask) -> list[BuildSpec]:
        runs = [RunContext("root", s, date(2020, 9, d)) for s, d in ((1, 1), (2, 1), (1, 2))]
        settings = {"champion": None, "model": "popularity"}
        return [task.spec(run, {}, settings) for run in runs]

    for task in TASKS.values():
        if any("{" in name for name in task.writes):
            continue
        taken = inspect.signature(task.function).parameters
        first, other_seed, other_day = specs(task)
        assert (other_seed != first) == ("seed" in taken), task.name
        assert (other_day != first) == ("as_of" in taken), task.name


def test_code_from_elsewhere_cannot_be_followed():
    def build(inputs: object, out: object) -> None:
        pass

    with pytest.raises(LookupError, match=r"test_code_from_elsewhere.+ is not of this project"):
        spec(table_task(stage="stage", writes=("x",))(build))
