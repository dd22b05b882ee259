"""The rules of the house, read from the imports: one way down, a pure middle, nothing of the upper floors below."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "analytics_client"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}

#: Modules of the package that each room may import, besides itself. What is missing here may import nothing of ours.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "merging": set(),
    "outcome": set(),
    "notices": set(),
    "timestamps": {"errors"},
    "stamps": {"timestamps"},
    "scopes": {"merging"},
    "dialects": set(),
    "message": {"errors", "merging", "scopes", "timestamps"},
    "normalise": {"message"},
    "encoding": {"dialects", "errors", "message", "normalise"},
    "config": {"dialects", "errors"},
    "delivery": {"config", "dialects", "errors", "notices", "outcome", "timestamps", "version"},
    "pipeline": {
        "config",
        "encoding",
        "errors",
        "message",
        "notices",
        "outcome",
        "scopes",
        "stamps",
        "version",
    },
    "disabled": {"outcome"},
    "client": {"config", "delivery", "dialects", "disabled", "errors", "message", "notices", "outcome", "pipeline"},
    "implicit": {"client", "config", "errors", "notices"},
    "__init__": {"client", "delivery", "dialects", "errors", "implicit", "outcome", "scopes", "version"},
    "collector": {"version"},
    # The public package and the scope in force; the importer for Spark and for Django's command.
    "contrib": {"__init__", "scopes", "importer", "import_command"},
    "demo": {"client"},
    "importer": {"__init__", "config", "delivery", "errors"},
    "import_command": {"__init__", "importer"},
    "commands": {"__init__", "collector", "demo", "import_command"},
    "cli": {"commands"},
}

PURE = [
    "merging",
    "message",
    "timestamps",
    "normalise",
    "encoding",
    "dialects.base",
    "dialects.segment",
    "dialects.rudderstack",
    "dialects.segmentstream",
    "delivery.retry",
    "delivery.chunks",
    "delivery.lanes",
    "delivery.queue",
    "delivery.gate",
    "delivery.wire",
    "importer.binding",
    "importer.casts",
    "importer.dates",
    "importer.flags",
    "importer.ids",
    "importer.jsontext",
    "importer.mapping",
    "importer.messages",
    "importer.source",
    "importer.words",
]
IMPURE_MODULES = {"threading", "socket", "sqlite3", "requests", "urllib3", "time", "random", "asyncio", "subprocess"}
IMPURE_CALLS = {"now", "utcnow", "today", "urandom", "uuid4", "uuid1", "monotonic", "perf_counter", "getenv"}


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0] or "__init__"


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it, but for those that only the type checker sees."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by dots"
            assert node.module is not None
            found |= {node.module}
            found |= {f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in OURS}
    return found


OURS = {f"analytics_client.{name}" for name in MODULES}


def own_imports(module: str) -> set[str]:
    """The rooms of the package that a module imports."""
    rooms = set()
    for name in imports(MODULES[module]):
        if name == "analytics_client":
            # `from analytics_client import scopes` names a module, found by itself; anything else is the public face.
            tree = ast.parse(MODULES[module].read_text())
            public = [
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module == "analytics_client"
                for alias in node.names
                if f"analytics_client.{alias.name}" not in OURS
            ]
            rooms |= {"__init__"} if public else set()
        elif name.startswith("analytics_client."):
            rooms.add(room(name.removeprefix("analytics_client.")))
    return rooms - {room(module)}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    allowed = MAY_IMPORT[room(module) if module != "analytics_client" else "__init__"]
    assert own_imports(module) <= allowed, f"{module} may not import {own_imports(module) - allowed}"


def test_there_are_no_circles() -> None:
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle: {' -> '.join([*above, name])}"
        if name not in done:
            for each in MAY_IMPORT[name]:
                visit(each, (*above, name))
            done.add(name)

    for name in MAY_IMPORT:
        visit(name, ())


def test_delivery_sees_bytes_and_no_messages() -> None:
    below = [name for name in MODULES if room(name) == "delivery"]
    assert below
    for name in below:
        assert not own_imports(name) & {"message", "scopes", "client", "encoding", "normalise"}


@pytest.mark.parametrize("module", PURE)
def test_the_middle_is_pure(module: str) -> None:
    path = MODULES[module]
    assert not {name.split(".")[0] for name in imports(path)} & IMPURE_MODULES
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name))
    }
    # A clock handed in is called `now`, too: as a plain name it is a parameter, not a clock of the module's own.
    methods = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not methods & (IMPURE_CALLS - {"now"})
    assert not (called - methods) & (IMPURE_CALLS - {"now"})


@pytest.mark.parametrize("module", MODULES)
def test_every_file_says_what_it_owns_in_its_first_ten_lines(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    docstring = ast.get_docstring(tree)
    assert docstring
    first = tree.body[0]
    assert first.lineno == 1
    assert len(docstring.splitlines()[0]) > 20


@pytest.mark.parametrize("module", MODULES)
def test_no_room_has_grown_two_jobs(module: str) -> None:
    lines = len(MODULES[module].read_text().splitlines())
    assert lines <= 400, f"{module} has {lines} lines: split it"


HEAVY = [
    "requests",
    "urllib3",
    "backoff",
    "dateutil",
    "asyncio",
    "sqlite3",
    "multiprocessing",
    "importlib.metadata",
    "numpy",
    "http.client",
    "email",
    "ssl",
    "socket",
]


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    return set(result.stdout.split())


def test_importing_the_package_loads_light_modules_only() -> None:
    loaded = loaded_after("import analytics_client")
    assert "orjson" in loaded
    assert not loaded & set(HEAVY)
    third_party = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    # Site packages' own start-up files (editable installs) do not count.
    assert {name for name in third_party if not name.startswith("_")} == {"analytics_client", "orjson"}


def test_making_a_client_loads_what_delivery_needs_at_once() -> None:
    made = loaded_after("import analytics_client\nanalytics_client.Client('key', flush_interval=9).close()")
    assert {"requests", "urllib3", "backoff", "ssl"} <= made
    assert not made & {"dateutil", "sqlite3", "numpy"}


def test_a_disabled_client_loads_nothing_more() -> None:
    loaded = loaded_after("import analytics_client\nanalytics_client.Client('key', enabled=False).track('u', 'E')")
    assert not loaded & set(HEAVY)


def test_importing_touches_no_logging_but_our_own() -> None:
    code = (
        "import logging, analytics_client\n"
        "assert not logging.root.handlers\n"
        "assert logging.root.level == logging.WARNING\n"
        "ours = logging.getLogger('analytics_client')\n"
        "assert [type(each) for each in ours.handlers] == [logging.NullHandler]\n"
        "assert ours.level == logging.NOTSET and ours.propagate\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
