"""A browser as far as the portal's API needs one: a cookie jar and the token for changes."""

from typing import Any

import httpx2
from tests.support.gateway import PATIENCE_S, Gateway

PASSWORD = "a password of these tests"


class Browser:
    """Speaks to a gateway's portal. `session` is what it last said of who is signed in."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False)
        self.session: dict[str, Any] = {}

    def sign_in(self, email: str, password: str) -> "Browser":
        return self.take(self.http.post("/portal/v1/session", json={"email": email, "password": password}))

    def take(self, response: httpx2.Response) -> "Browser":
        """Goes on with the session that an answer tells."""
        assert response.status_code == 200, response.text
        self.session = response.json()
        return self

    @property
    def csrf(self) -> dict[str, str]:
        return {"x-csrf-token": self.session["csrf_token"]}

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        headers = {**self.csrf, **more.pop("headers", {})} if method != "GET" else more.pop("headers", {})
        return self.http.request(method, path, json=body, headers=headers, **more)

    def get(self, path: str) -> Any:
        response = self.ask("GET", path)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        return response.json()

    def change(self, method: str, path: str, body: Any = None) -> Any:
        response = self.ask(method, path, body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    @property
    def signed_in(self) -> bool:
        return bool(self.http.get("/portal/v1/session").json()["signed_in"])

    def close(self) -> None:
        self.http.close()


def invited(gateway: Gateway, email: str, workspace_id: str = "ws_default", **more: Any) -> Browser:
    """A new member of a workspace, signed in."""
    made = gateway.admin("POST", f"/workspaces/{workspace_id}/invitations", {"email": email, **more})
    browser = Browser(gateway.url)
    token = made["url"].rpartition("/")[2]
    return browser.take(
        browser.http.post("/portal/v1/invitations/accept", json={"token": token, "password": PASSWORD, "name": "N."})
    )
