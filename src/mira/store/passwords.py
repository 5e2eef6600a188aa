"""Passwords of users: hashed slowly, so that a stolen database does not give them away."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher


class Passwords:
    """argon2id at 19 MiB, two passes: about 80 ms a time."""

    def hash(self, password: str) -> str:
        """The hash to keep."""
        return self._hasher().hash(password)

    def verify(self, known: str | None, password: str) -> bool:
        """Whether the password is right; as slow where there is no account, or one without a password."""
        from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415 - only who signs in needs it

        if not known:
            self.hash(password)
            return False
        try:
            return self._hasher().verify(known, password)
        except (Argon2Error, InvalidHashError):
            return False

    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher  # noqa: PLC0415 - only who signs in needs it

        return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
