"""The package of code packed with a model: what scoring reaches, under a name of its own."""

import ast
import os
import sys
from subprocess import run

import pytest

from schemas.model_settings import MODEL_CONFIGS
from tasks.artifacts.code_fingerprint import PROJECT
from tasks.tracking.scoring_package import moved, scoring_package

PLAIN = tuple(name for name, config in MODEL_CONFIGS.items() if not config.is_blend)
LIGHT = tuple(name for name in PLAIN if name != "two_tower")
PACKED = {
    **{name: (name,) for name in PLAIN},
    "hybrid": ("hybrid", *PLAIN),
    "hybrid of light ones": ("hybrid", *LIGHT),
}
"""Every model, a blend with its components."""
SCORING = {"numpy", "scipy", "polars", "pydantic", "safetensors", "mlflow", "pandas"}


def foreign(names: tuple[str, ...]) -> set[str]:
    return {n for n in scoring_package(*names).libraries if n not in sys.stdlib_module_names}


@pytest.mark.parametrize("names", PACKED.values(), ids=PACKED)
def test_it_needs_what_scoring_needs_and_tensorflow_only_for_its_network(names):
    network = {"tensorflow", "keras"} if "two_tower" in names else set()
    assert foreign(names) == SCORING | network


@pytest.mark.parametrize("names", PACKED.values(), ids=PACKED)
def test_it_imports_nothing_of_ours_but_itself_and_all_of_that_is_in_it(names):
    package = scoring_package(*names)
    for path, text in [*package.files.items(), ("what MLflow runs", package.served)]:
        tree = ast.parse(text)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not {"tasks", "schemas"} & {str(node.module).split(".")[0] for node in imports}, path
        loaded = {node for node in tree.body if isinstance(node, ast.ImportFrom)}
        for node in loaded:
            dotted = str(node.module)
            if dotted.split(".")[0] == package.name:
                file = dotted.removeprefix(f"{package.name}.").replace(".", "/")
                assert {f"{file}.py", f"{file}/__init__.py"} & package.files.keys(), path


def test_training_stays_out():
    files = scoring_package("hybrid", *PLAIN).files
    assert "tasks/models/towers/network.py" in files  # users it never saw go through it
    assert "tasks/models/towers/objectives.py" not in files
    assert not [file for file in files if file.endswith("task.py")]


def test_each_model_brings_its_own_code_alone():
    files = {name: set(scoring_package(name).files) for name in PLAIN}
    assert "tasks/models/als.py" in files["als"]
    assert "tasks/models/als.py" not in files["content"]


def test_equal_code_has_an_equal_name_in_every_process_and_other_code_another():
    program = (
        "from tasks.tracking.scoring_package import scoring_package\n"
        "package = scoring_package('als')\nprint(package.name, *package.files)"
    )
    done = run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
    )
    package = scoring_package("als")
    assert done.stdout.split() == [package.name, *package.files]
    assert package.name.isidentifier()
    assert package.name != scoring_package("content").name


def test_imports_are_moved_wherever_they_stand():
    text = (
        "from pathlib import Path\n"
        "from schemas.errors import (\n    ModelError,\n)\n"
        "def load():\n    from tasks.models import base  # late\n    from tasksmith import x\n"
    )
    assert moved(text, "own") == (
        "from pathlib import Path\n"
        "from own.schemas.errors import (\n    ModelError,\n)\n"
        "def load():\n    from own.tasks.models import base  # late\n    from tasksmith import x\n"
    )


def test_what_cannot_be_moved_is_refused():
    with pytest.raises(LookupError, match=r"line 2: write from \.\.\. import"):
        moved("import os\nimport tasks.models.base\n", "own")
