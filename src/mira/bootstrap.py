"""The very first start: the secret of the installation, an operator, a workspace with credits, and its keys.

Everything is made once; the marker that it was is written last, so a start that was cut is made whole by the next.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from mira.cli.program import FirstRun
from mira.config import MIN_SECRET_CHARACTERS, Config
from mira.core.caller import Face
from mira.core.money import nanocredits
from mira.errors import ConfigError
from mira.store.keyring import Keyring
from mira.store.ledger import Ledger
from mira.store.settings import Settings
from mira.store.users import Users
from mira.store.workspaces import Workspaces

OPERATOR_EMAIL = "operator@localhost"
WORKSPACE_ID = "ws_default"
DONE = "bootstrap"
INSTANCE = "instance"
SECRET = "secret-fingerprint"  # noqa: S105 - the name of a setting


def installation_secret(config: Config) -> str:
    """`MIRA_SECRET_KEY`, or the one in the data folder, made at the first start."""
    if config.secret_key is not None:
        return config.secret_key
    path = config.home / "secret"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(f"the secret {path} cannot be written: {error.strerror}") from None
    secret = path.read_text().strip()
    if len(secret) < MIN_SECRET_CHARACTERS:
        raise ConfigError(f"the secret in {path} is too short; restore it from a backup, or set MIRA_SECRET_KEY")
    return secret


def make_home(home: Path) -> None:
    """Makes the data folder, open to its owner only."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the data folder {home} cannot be made: {error.strerror}; set MIRA_HOME") from None


async def check_secret(settings: Settings, fingerprint: str) -> None:
    """Refuses to start with another secret than the one that the keys were made with: none of them would open."""
    known = await settings.get(SECRET)
    if known is None:
        await settings.set(SECRET, fingerprint)
    elif known != fingerprint:
        raise ConfigError(
            "MIRA_SECRET_KEY (or the file `secret` in the data folder) is not the one that this database was made "
            "with; with another one no key would be known"
        )


async def instance_name(settings: Settings) -> str:
    """The name by which this installation is known to other Miras: made once, the same in all processes of a database.

    It stands in the database and not in the configuration, which two Miras in a row may share.
    """
    name = await settings.get(INSTANCE)
    if name is None:
        await settings.claim(INSTANCE, secrets.token_hex(6))
        name = await settings.get(INSTANCE)
        assert name is not None
    return name


async def bootstrap(
    config: Config,
    *,
    settings: Settings,
    workspaces: Workspaces,
    keyring: Keyring,
    ledger: Ledger,
    users: Users,
    hash_password: Callable[[str], str],
    now_ms: Callable[[], int],
) -> FirstRun | None:
    """Makes the first rows; returns their secrets on the very first start, else None."""
    if await settings.get(DONE) is not None:
        return None
    try:
        credits_nanocredits = nanocredits(config.bootstrap_credits)
    except ValueError as error:
        raise ConfigError(f"MIRA_BOOTSTRAP_CREDITS: {error}") from None
    if credits_nanocredits < 0:
        raise ConfigError("MIRA_BOOTSTRAP_CREDITS must not be negative")
    if await workspaces.get(WORKSPACE_ID) is None:
        await workspaces.create(WORKSPACE_ID, "default", now_ms())
    if credits_nanocredits:
        await ledger.top_up(WORKSPACE_ID, credits_nanocredits, "bootstrap")
    key, _ = await keyring.create(WORKSPACE_ID, "first key", Face.PROXY, secret=config.bootstrap_key)
    if config.bootstrap_inference_key is not None:
        await keyring.create(WORKSPACE_ID, "first inference key", Face.INFERENCE, secret=config.bootstrap_inference_key)
    password = secrets.token_urlsafe(12)
    hashed = hash_password(password)
    await users.create("user_operator", OPERATOR_EMAIL, hashed, "operator", now_ms())
    await users.set_password(OPERATOR_EMAIL, hashed)
    await settings.set(DONE, "1")
    return FirstRun(OPERATOR_EMAIL, password, None if config.bootstrap_key else key)
