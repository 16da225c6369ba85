import importlib
import sys

import pytest
from django.test import override_settings

from mainspring import Task
from mainspring.core import registry
from mainspring.exceptions import TaskNotFound
from tests.unit import tasks


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A package that is part of the project, by the settings' ROOT_URLCONF."""
    package = tmp_path / "newproject"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(ROOT_URLCONF="newproject.urls"):
        yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "newproject"]:
        del sys.modules[name]
    for path in [path for path in registry._tasks if path.startswith("newproject.")]:
        del registry._tasks[path]


DECLARES = "from mainspring import task\n@task\ndef work(): return 'done'\n"


def test_a_declared_task_is_found():
    assert registry.resolve("tests.unit.tasks.add") is tasks.add
    assert registry.declared("tests.unit.tasks.add") is tasks.add
    assert registry.declared("tests.unit.tasks.nothing") is None


def test_a_module_of_the_project_is_imported(project):
    (project / "tasks.py").write_text(DECLARES)
    assert "newproject.tasks" not in sys.modules
    found = registry.resolve("newproject.tasks.work")
    assert type(found) is Task
    assert found is sys.modules["newproject.tasks"].work


def test_a_static_method_is_found(project):
    (project / "tasks.py").write_text(
        "from mainspring import task\n"
        "class Outer:\n"
        "    class Inner:\n"
        "        @staticmethod\n"
        "        @task\n"
        "        def work(): pass\n"
    )
    assert registry.resolve("newproject.tasks.Outer.Inner.work").name == "work"


def test_a_module_that_is_not_of_the_project_is_not_imported():
    for module in ("this", "antigravity", "xml.dom.minidom", "newproject.tasks"):
        sys.modules.pop(module, None)
        with pytest.raises(TaskNotFound, match="is not part of an installed app"):
            registry.resolve(f"{module}.work")
        assert module not in sys.modules


def test_an_imported_module_without_the_task_is_told():
    with pytest.raises(TaskNotFound, match="its module declares no task of that name"):
        registry.resolve("tests.unit.tasks.nothing")
    with pytest.raises(TaskNotFound, match="its module declares no task of that name"):
        registry.resolve("tests.unit.tasks.doubled")  # a function, and no task


def test_a_module_that_is_gone_is_told(project):
    with pytest.raises(TaskNotFound, match=r"importing 'newproject.gone' raised ModuleNotFound"):
        registry.resolve("newproject.gone.work")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_and_tried_again(project, code, said):
    module = project / "broken.py"
    module.write_text(code)
    with pytest.raises(TaskNotFound, match=f"for now: importing 'newproject.broken' raised {said}"):
        registry.resolve("newproject.broken.work")
    module.write_text(DECLARES + "# longer, so that no cached bytecode is taken for it\n" * 5)
    importlib.invalidate_caches()
    assert registry.resolve("newproject.broken.work").call() == "done"


@pytest.mark.parametrize(
    "path", ["", ".", "work", "..", "tests..work", ".tests.work", "tests.\0.x"]
)
def test_a_path_that_is_none_is_told(path):
    with pytest.raises(TaskNotFound, match="There is no task"):
        registry.resolve(path)


def test_a_trusted_module_is_imported(tmp_path, monkeypatch):
    (tmp_path / "newproject.py").write_text(DECLARES)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with pytest.raises(TaskNotFound):
            registry.resolve("newproject.work")
        assert registry.resolve("newproject.work", trusted_module="newproject").name == "work"
    finally:
        sys.modules.pop("newproject", None)
        registry._tasks.pop("newproject.work", None)


def test_copies_change_nothing_and_a_reloaded_module_does(project):
    (project / "tasks.py").write_text(DECLARES)
    first = registry.resolve("newproject.tasks.work")
    first.using(priority=5)
    assert registry.resolve("newproject.tasks.work") is first
    module = importlib.reload(sys.modules["newproject.tasks"])
    assert registry.resolve("newproject.tasks.work") is module.work is not first
