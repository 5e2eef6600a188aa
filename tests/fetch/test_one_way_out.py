"""There is one way out to addresses that clients name: whoever opens another one fails here."""

import ast
from collections.abc import Iterator
from pathlib import Path

import mira

SOURCE = Path(mira.__file__).parent
#: What opens URLs or sockets, and the only modules that may use it. None of them sees a URL of a client: commands speak
#: to their own gateway, the local node to its packs and its process, the API listens.
OPENERS = {
    "urllib.request": {"nodes/local/download.py", "nodes/local/runtime.py", "cli/doctor.py"},
    "http.client": {"nodes/local/download.py", "nodes/local/fetch.py", "cli/client.py"},
    "socket": {
        "api/lent.py",
        "api/server.py",
        "api/supervisor.py",
        "cli/client.py",
        "cli/doctor.py",
        # Listens on the loopback for the gateway that started it.
        "nodes/local/media/program.py",
        "process.py",
        "store/postgres_writer.py",
        "transport/resolver.py",
    },
    "httpx": set(),
    "httpx2": set(),
    "httpcore": set(),
    "requests": set(),
    "aiohttp": set(),
    "urllib3": set(),
    "ftplib": set(),
    # Dials what it is told to: only the root puts it and the guard together.
    "mira.transport.pinned": {"app.py", "transport/pools.py"},
    "mira.transport.client": {"transport/pools.py", "transport/pinned.py"},
    # The guard and what goes through it; the route knows only the shapes and the service that has the guard.
    "mira.fetch": {"app.py", "process.py", "api/fetch.py", "api/services.py", "api/table.py"},
    "mira.fetch.egress": {"app.py"},
    "mira.fetch.urls": set(),
}
#: Calls of event loops and pools that dial, and who may make them.
DIALLERS = {
    "open_connection": {"transport/pinned.py"},
    "create_connection": {"transport/dialer.py"},
    "sock_connect": set(),
    "Pool": {"transport/pools.py", "transport/pinned.py"},
    "PinnedOpener": {"transport/pools.py"},
    "Egress": {"app.py"},
    "urlopen": {"cli/doctor.py"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def called(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name


def test_nothing_else_in_mira_imports_what_opens_urls() -> None:
    found = {
        (opener, place)
        for place, tree in modules()
        for name in imported(tree)
        for opener, allowed in OPENERS.items()
        if (name == opener or name.startswith(f"{opener}.")) and place not in allowed
        # A package may know itself.
        if not (opener.startswith("mira.fetch") and place.startswith("fetch/"))
    }
    assert found == set()


def test_nothing_else_in_mira_dials() -> None:
    found = {
        (name, place)
        for place, tree in modules()
        for name in called(tree)
        if name in DIALLERS and place not in DIALLERS[name]
    }
    assert found == set()


def test_every_exception_is_used() -> None:
    used: set[tuple[str, str]] = set()
    for place, tree in modules():
        names, calls = set(imported(tree)), set(called(tree))
        used |= {
            (opener, place)
            for opener in OPENERS
            if any(name == opener or name.startswith(f"{opener}.") for name in names)
        }
        used |= {(name, place) for name in DIALLERS.keys() & calls}
    granted = {(name, place) for table in (OPENERS, DIALLERS) for name, places in table.items() for place in places}
    assert granted - used == set()
