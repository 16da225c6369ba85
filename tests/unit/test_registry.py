import code
import functools
import importlib
import re
import runpy
import subprocess
import sys

import pytest
from django.tasks.exceptions import InvalidTask
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


TWICE = DECLARES + "\n@task\ndef work(): return 'copied'\n"

WRAPPED_TWICE = """
from functools import wraps
from mainspring import task

def logged(func):
    @wraps(func)
    def called(*args):
        return func(*args)
    return called

def work():
    return "done"

loud = task(logged(work))
quiet = task(logged(work))
"""

STATIC = "class Reports:\n    @staticmethod\n    @task\n    def work(): pass\n"

MADE_BY_A_FACTORY = """
from functools import wraps
from mainspring import task

def as_task(func, greeting):
    @task
    @wraps(func)
    def called(*args):
        return greeting, func(*args)
    return called

def work():
    return "done"

made = [as_task(work, greeting) for greeting in ("hello", "goodbye")]
"""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (TWICE, r"one at .*tasks\.py:2, the other at .*tasks\.py:5\."),
        (WRAPPED_TWICE, r"one at .*tasks\.py:14, the other at .*tasks\.py:15\."),
        (MADE_BY_A_FACTORY, r"both at .*tasks\.py:15\."),
        (
            "from mainspring import task\n" + 2 * STATIC,
            r"'newproject.tasks.Reports.work': one at .*:2, the other at .*:6\.",
        ),
    ],
    ids=["copied", "wrapped", "factory", "class"],
)
def test_two_functions_under_one_path_are_refused(project, source, said):
    (project / "tasks.py").write_text(source)
    with pytest.raises(InvalidTask, match=r"Two different functions are declared") as refused:
        importlib.import_module("newproject.tasks")
    assert re.search(said, str(refused.value))


def test_functions_that_a_decorator_renames_are_two_tasks(project):
    (project / "tasks.py").write_text(
        MADE_BY_A_FACTORY.replace("    @task\n", "").replace(
            "    return called\n",
            "    called.__qualname__ = f'{func.__name__}_{greeting}'\n    return task(called)\n",
        )
    )
    importlib.import_module("newproject.tasks")
    assert registry.resolve("newproject.tasks.work_hello").call() == ("hello", "done")
    assert registry.resolve("newproject.tasks.work_goodbye").call() == ("goodbye", "done")


def test_a_second_function_is_refused_later_as_well(project):
    (project / "tasks.py").write_text(MADE_BY_A_FACTORY.partition("made =")[0])
    module = importlib.import_module("newproject.tasks")
    first = module.as_task(module.work, "hello")
    with pytest.raises(InvalidTask, match=r"both at .*tasks\.py:6\."):
        module.as_task(module.work, "goodbye")
    assert registry.resolve("newproject.tasks.work") is first


def test_a_task_whose_function_cannot_be_changed_stays_as_it_is(project):
    (project / "tasks.py").write_text(MADE_BY_A_FACTORY.partition("made =")[0])
    module = importlib.import_module("newproject.tasks")
    first = module.as_task(module.work, "hello")

    @functools.wraps(module.work)
    def other():
        return "other"

    copy = first.using(priority=5)
    with pytest.raises(InvalidTask, match="Two different functions"):
        copy.update(func=other)
    with pytest.raises(InvalidTask, match="Two different functions"):
        first.using(func=other)
    assert copy == first.using(priority=5)
    first.update(func=other)  # the task itself: what the path means now
    assert registry.resolve("newproject.tasks.work").call() == "other"


def test_an_edited_module_may_be_reloaded(project):
    source = project / "tasks.py"
    source.write_text(DECLARES)
    module = importlib.import_module("newproject.tasks")
    source.write_text("# moved\n\n" + DECLARES.replace("done", "edited"))
    importlib.invalidate_caches()
    for _ in range(2):
        importlib.reload(module)
        assert registry.resolve("newproject.tasks.work") is module.work
    assert module.work.call() == "edited"
    source.write_text(TWICE + "# longer than before\n")
    with pytest.raises(InvalidTask, match="Two different functions"):
        importlib.reload(module)
    source.write_text(DECLARES)
    importlib.reload(module)
    assert module.work.call() == "done"


def test_a_module_may_be_imported_again(project):
    (project / "tasks.py").write_text(DECLARES)
    first = importlib.import_module("newproject.tasks")
    del sys.modules["newproject.tasks"]
    again = importlib.import_module("newproject.tasks")
    assert again is not first
    assert registry.resolve("newproject.tasks.work") is again.work
    ran = runpy.run_path(str(project / "tasks.py"), run_name="newproject.tasks")
    assert registry.resolve("newproject.tasks.work") is ran["work"]


def test_a_file_that_runs_again_in_the_same_namespace_declares_anew(project):
    # As IPython's %run and debuggers do it: no import system, one dict.
    namespace = {"__name__": "newproject.tasks"}
    for _ in range(2):
        exec(compile(DECLARES, "tasks.py", "exec"), namespace)
        assert registry.resolve("newproject.tasks.work") is namespace["work"]
    with pytest.raises(InvalidTask, match=r"one at tasks\.py:2, the other at tasks\.py:5"):
        exec(compile(TWICE, "tasks.py", "exec"), namespace)


def test_a_prompt_may_declare_a_task_again(project):
    prompt = code.InteractiveInterpreter({"__name__": "newproject.prompt"})
    prompt.runsource("from mainspring import task")
    for answer in ("first", "second"):
        prompt.runsource(f"@task\ndef work(): return {answer!r}\n", symbol="single")
        assert registry.resolve("newproject.prompt.work").call() == answer


def test_a_script_is_refused_and_a_prompt_after_it_is_not(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from django.conf import settings\n"
        "settings.configure(TASKS={'default': {\n"
        "    'BACKEND': 'mainspring.backends.memory.MemoryBackend'}})\n" + DECLARES
    )
    again = "@task\ndef work(): return 'again'\n\nprint(work.call())\n"
    ran = subprocess.run(
        [sys.executable, "-q", "-i", script],
        input=again,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "again", ran.stderr
    with script.open("a") as more:
        more.write(again)
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert re.search(r"one at .*script\.py:5, the other at .*script\.py:7\.", ran.stderr)
