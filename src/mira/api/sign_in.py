"""Whether a password is right, with as few tries as it takes to notice that somebody guesses."""

import asyncio
from collections.abc import Callable

from mira.api.front import counted_as
from mira.store.sign_ins import MOST_PER_ACCOUNT, MOST_PER_ADDRESS, SignIns
from mira.store.users import User, Users, account_name

#: argon2 takes 19 MiB and 80 ms each time.
AT_ONCE = 2


class SignIn:
    """Checks passwords, five tries an account and twenty an address within a quarter of an hour.

    `verify(hash, password)` is argon2id's, slow by design, and as slow for no hash at all, so that unknown accounts
    cannot be told apart. It runs in a thread.
    """

    def __init__(self, users: Users, tries: SignIns, verify: Callable[[str | None, str], bool]) -> None:
        self._users = users
        self._tries = tries
        self._verify = verify
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def check(self, email: str, password: str, address: str | None) -> User | None:
        """The user whose password this is, None where it is wrong; MiraError RATE_LIMITED after too many tries.

        `address` is the client's, None where there is none to count.
        """
        account, place = account_name(email), counted_as(address)
        limits = {account: MOST_PER_ACCOUNT} | ({place: MOST_PER_ADDRESS} if place is not None else {})
        await self._tries.begin(limits)
        user = await self._users.find(email)
        async with self._slots:
            right = await asyncio.to_thread(self._verify, user.password_hash if user else None, password)
        if not right or user is None or user.disabled:
            return None
        await self._tries.succeeded(account, place)
        return user
