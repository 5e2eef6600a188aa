"""Keys are stored as digests, node credentials and requests of jobs encrypted: a copy of the database opens nothing.

Both derive from the process's secret (`MIRA_SECRET_KEY`), each under a label of its own.
"""

import hmac
import os
from hashlib import sha256
from typing import Any

NONCE_BYTES = 12


class SecretBox:
    """Digests keys and seals node credentials with one secret of at least 32 characters."""

    def __init__(self, secret: str) -> None:
        self._pepper = hmac.digest(secret.encode(), b"mira key digest", "sha256")
        self._seal = hmac.digest(secret.encode(), b"mira node credentials", "sha256")
        self._webhooks = hmac.digest(secret.encode(), b"mira webhooks", "sha256")

    def digest(self, key: str) -> bytes:
        """HMAC-SHA256 of a whole key: what the database knows of it."""
        return hmac.digest(self._pepper, key.encode("utf-8", "surrogatepass"), "sha256")

    def seal(self, text: str, label: str) -> bytes:
        """Encrypts a credential; `label` (the node's name) must be the same when it is opened."""
        nonce = os.urandom(NONCE_BYTES)
        sealed: bytes = self._cipher().encrypt(nonce, text.encode(), label.encode())
        return nonce + sealed

    def open(self, sealed: bytes, label: str) -> str:
        """Decrypts a credential; ValueError where the secret or the label is another one."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - 5 MB that most processes never need

        try:
            plain = self._cipher().decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], label.encode())
        except InvalidTag:
            raise ValueError("the credential was sealed with another MIRA_SECRET_KEY") from None
        return str(plain.decode())

    def webhook_secret(self, workspace_id: str) -> bytes:
        """What a workspace's webhooks are signed with: always the same, and stored nowhere."""
        return hmac.digest(self._webhooks, workspace_id.encode(), "sha256")

    def fingerprint(self) -> str:
        """Eight characters that change with the secret, to notice a wrong one at the start."""
        return sha256(self._pepper).hexdigest()[:8]

    def _cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see `open`

        return AESGCM(self._seal)
