"""Brings a database to the version that this code expects."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from mira.errors import ConfigError
from mira.store.migrations import HEAD


def version(connection: Connection) -> str | None:
    """The version that the database is at, None where it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(connection: Connection, target: str = HEAD) -> None:
    """Brings the database to `target` (a version, or `base` for empty) inside the caller's transaction.

    ConfigError where this Mira does not know the database's version, or the target. Alembic is imported here
    because its 11 MB would otherwise be held by every process for work that is done once per release.
    """
    current = version(connection)
    if current == target:
        return
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise ConfigError(f"the database is at version {current}, which is newer than this Mira: update Mira")
    if target != "base" and target not in known:
        raise ConfigError(f"there is no version {target} of the database; this Mira knows {', '.join(sorted(known))}")
    down = target == "base" or (current is not None and int(target) < int(current))

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._downgrade_revs(target, revision) if down else scripts._upgrade_revs(target, revision)  # noqa: SLF001

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=target) as environment:
        environment.configure(connection=connection)
        environment.run_migrations()
