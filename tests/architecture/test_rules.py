"""The house: imports point one way, and the pure ones load without the heavy tools."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from subprocess import run

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("flows", "tasks", "schemas")
HEAVY = ("prefect", "mlflow", "tensorflow", "keras")


def modules(room: str) -> dict[str, Path]:
    files = sorted((ROOT / room).rglob("*.py"))
    dotted = [".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files]
    return {d.removesuffix(".__init__"): file for d, file in zip(dotted, files, strict=True)}


MODULES = {name: file for room in ROOMS for name, file in modules(room).items()}
TASKS = [name for name in MODULES if name.startswith("tasks.")]
DOORS = [name for name in TASKS if name.endswith("task")]
"""Modules whose functions are tasks on Prefect's page."""
KNOW_PREFECT = (*DOORS, "tasks.reporting.progress", "tasks.reporting.prefect_artifacts")
KNOW_MLFLOW = ("tasks.tracking", "tasks.promotion", "tasks.serving", "tasks.monitoring.history")
TWO_TOWER = ("tasks.models.two_tower", "tasks.models.towers")


def imported(name: str) -> Iterator[str]:
    """Yield what a module imports anywhere in it: modules, and ``module.name`` for each name."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: import by the full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(name: str) -> set[str]:
    return {target.split(".")[0] for target in imported(name)}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room):
    above = ROOMS[: ROOMS.index(room)]
    wrong = {name for name in modules(room) if rooms_of(name) & {*above, "tests", "benchmarks"}}
    assert wrong == set()


def test_only_doors_know_prefect():
    know = {name for name in [*TASKS, *modules("schemas")] if "prefect" in rooms_of(name)}
    assert know <= set(KNOW_PREFECT)


def test_only_what_is_about_runs_and_versions_knows_mlflow():
    know = [name for name in [*TASKS, *modules("schemas")] if "mlflow" in rooms_of(name)]
    assert [name for name in know if not name.startswith(KNOW_MLFLOW)] == []


def pure() -> list[str]:
    """Return the modules that know neither Prefect nor MLflow, however many steps away."""
    ours = {name: set(imported(name)) for name in MODULES}
    reached = {
        name: {m for t in targets for m in (t, t.rpartition(".")[0]) if m in MODULES}
        for name, targets in ours.items()
    }
    impure = {name for name in MODULES if rooms_of(name) & {"prefect", "mlflow"}}
    while more := {n for n, targets in reached.items() if targets & impure} - impure:
        impure |= more
    return [name for name in MODULES if name not in impure]


def test_what_computes_is_pure():
    """Numbers in, numbers out: they neither run tasks nor track runs, nor use what does."""
    rooms = ("features", "ingest", "metrics", "models", "figures", "demo_world")
    computing = {n for n in TASKS if n.split(".")[1] in rooms and n not in DOORS}
    assert computing <= set(pure())


def test_no_two_modules_have_the_same_name():
    named = Counter(file.stem for file in MODULES.values())
    assert {name for name, times in named.items() if times > 1} <= {"task", "__init__"}


def test_only_the_two_tower_knows_tensorflow():
    users = {name for name in MODULES if rooms_of(name) & {"tensorflow", "keras"}}
    assert users
    assert all(name.startswith(TWO_TOWER) for name in users)


def test_pure_rooms_load_without_the_heavy_tools():
    light = [
        n for n in pure() if n.startswith(("tasks", "schemas")) and not n.startswith(TWO_TOWER)
    ]
    program = f"import sys, {', '.join(light)}\nprint(set(sys.modules) & set({HEAVY}))"
    done = run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_no_flow_hides_a_package():
    """Prefect puts the folder of a flow first on the path."""
    taken = {*packages_distributions(), *sys.stdlib_module_names, *ROOMS}
    assert {file.stem for file in (ROOT / "flows").glob("*")} & taken == set()


def test_tasks_itself_is_empty():
    assert (ROOT / "tasks" / "__init__.py").read_text() == ""


def test_no_room_is_a_lumber_room():
    parts = {part for name in MODULES for part in name.split(".")}
    assert parts & {"utils", "util", "core", "helpers", "common", "misc"} == set()


def test_polars_takes_no_path_for_a_pattern():
    """Otherwise a root called ``[ab]`` is two others."""
    for name, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                kept = [k for k in node.keywords if ast.unparse(k) == "glob=False"]
                reads = re.fullmatch(r"(pl|polars)\.(read|scan)_\w+", called)
                assert kept or not reads, f"{name}: {called} must have glob=False"


def test_nothing_is_pickled_or_evaluated():
    for name, file in MODULES.items():
        assert not rooms_of(name) & {"pickle", "cloudpickle", "dill", "joblib", "marshal"}, name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", None)
                assert called not in {"eval", "exec"}, name
                allowed = [k.value for k in node.keywords if k.arg == "allow_pickle"]
                assert all(isinstance(v, ast.Constant) and v.value is False for v in allowed), name
                assert ast.unparse(node.func) not in {"np.load", "sparse.load_npz"}, (
                    f"{name}: arrays are kept as safetensors, tasks/models/array_file.py"
                )
