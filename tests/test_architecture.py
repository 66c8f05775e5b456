"""The plan of the house: which room may use which, no circles, and one meaning for each name.

The imports are read from the source, those inside functions and for type checking among them.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

import avel

SOURCE = Path(avel.__file__).parent

GROUND = {"errors", "version", "files", "runtimes", "records", "documents", "templates", "events", "wording"}
"""What anything may use; it uses nothing but itself."""

LAYERS = (
    "media",
    "backbones",
    "features",
    "synchrony",
    "data",
    "models",
    "metrics",
    "matching",
    "training",
    "evaluation",
    "export",
    "localization",
    "library",
    "outputs",
    "batch",
    "web",
    "doctor",
    "cli",
)
"""From the bottom up: each may use those before it."""

NEVER = {
    "features": {"data"},
    "synchrony": {"data"},
    "models": {"media", "backbones", "features", "synchrony"},
}
"""Features and synchrony see no label; models open no file and know of no network that makes features."""

ASIDE = {"testing", "__main__"}
"""What nothing in the package uses."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("avel", exclude_type_checking_imports=False, cache_dir=None)


def room(module: str) -> str:
    """``media`` of ``avel.media.reader``; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imports(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    return [
        (module, used) for module in sorted(graph.modules) for used in graph.find_modules_directly_imported_by(module)
    ]


def circles(arrows: list[tuple[str, str]]) -> list[str]:
    """What is left when all that nothing uses, or that uses nothing, is taken away again and again."""
    left = {(a, b) for a, b in arrows if a != b}
    while True:
        kept = {(a, b) for a, b in left if a in {y for _, y in left} and b in {x for x, _ in left}}
        if kept == left:
            return sorted(f"{a} -> {b}" for a, b in left)
        left = kept


def test_every_room_has_a_layer(graph):
    assert {room(module) for module in graph.modules} - {""} == GROUND | set(LAYERS) | ASIDE


def test_arrows_go_down(graph):
    height = {name: number for number, name in enumerate(LAYERS, start=1)} | dict.fromkeys(GROUND, 0)
    wrong = [
        f"{module} -> {used}"
        for module, used in imports(graph)
        if room(module) in height and room(used) != room(module)
        if room(used) not in height or height[room(used)] > height[room(module)]
    ]
    assert wrong == []


def test_files_make_no_circle(graph):
    assert circles(imports(graph)) == []


def test_rooms_make_no_circle(graph):
    assert circles([(room(a), room(b)) for a, b in imports(graph) if room(a)]) == []


@pytest.mark.parametrize(("name", "never"), NEVER.items())
def test_some_rooms_do_not_know_each_other(graph, name, never):
    assert [f"{a} -> {b}" for a, b in imports(graph) if room(a) == name and room(b) in never] == []


def test_nothing_uses_what_is_for_tests_and_docs(graph):
    assert [f"{a} -> {b}" for a, b in imports(graph) if room(b) in ASIDE and room(a) != room(b)] == []


def test_scipy_is_for_training_and_measuring_alone():
    """Localizing does not install it: NumPy and `avel.backbones.arithmetic` have what it needs."""
    found = {path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py") if "scipy" in imported(path)}
    assert found <= {"metrics", "matching", "training", "evaluation"}


def imported(path: Path) -> set[str]:
    """Packages that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def names() -> Iterator[tuple[str, str]]:
    """Classes, and public names of types, that a module defines: with the module's path."""
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node.name, place
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp | ast.Attribute):
                for target in node.targets:
                    if isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper():
                        yield target.id, place


def test_a_name_has_one_meaning():
    places = defaultdict(list)
    for name, place in names():
        places[name].append(place)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
