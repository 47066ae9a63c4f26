"""Users of a deployment's page and API, and what they can change there."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx
from tests.appliance.deployment import Deployment

_TIMEOUT_SECONDS = 60

# What users could change, but the times of their logins and of the scheduler's looks.
_TABLES = (
    *("variable", "connection", "slot_pool", "dag_run_note", "task_instance", "xcom", "backfill", "asset_event"),
    *("ab_user_role", "ab_role", "ab_permission_view_role", "ab_permission", "ab_view_menu", "ab_permission_view"),
)
_COLUMNS = {
    "dag": "dag_id, is_paused",
    "dag_run": "run_id, state, conf, queued_at, clear_number",
    "ab_user": "id, first_name, last_name, username, email, password, active",
}


def state(deployment: Deployment) -> set[str]:
    """Return a line for each thing in Airflow's database that users could change."""
    dump = ["pg_dump", "-U", "postgres", "--data-only", "--inserts", *[f"--table={name}" for name in _TABLES]]
    lines = set(deployment.compose("exec", "-T", "postgres", *dump, "airflow").splitlines())
    # pg_dump guards each dump with words of its own.
    lines = {line for line in lines if not line.startswith("\\")}
    return lines.union(*[set(rows(deployment, f"SELECT {what} FROM {name}")) for name, what in _COLUMNS.items()])


def rows(deployment: Deployment, query: str) -> list[str]:
    """Ask Airflow's database."""
    command = ("psql", "-U", "postgres", "-d", "airflow", "-qAtXc", query)
    return deployment.compose("exec", "-T", "postgres", *command).splitlines()


def ids(deployment: Deployment, table: str, name: str) -> dict[str, str]:
    """Return the ids of a table by the names of its rows."""
    return dict(row.split("|") for row in rows(deployment, f"SELECT {name}, id FROM {table}"))


def anybody(deployment: Deployment) -> httpx.Client:
    return httpx.Client(base_url=deployment.url, timeout=_TIMEOUT_SECONDS)


def with_token(deployment: Deployment, user: str, password: str) -> httpx.Client:
    """Sign in as programs do."""
    with anybody(deployment) as client:
        answer = client.post("/auth/token", json={"username": user, "password": password}).raise_for_status()
    client = anybody(deployment)
    client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return client


def admin(deployment: Deployment) -> httpx.Client:
    return with_token(deployment, "admin", deployment.secret("admin-password"))


@dataclass(frozen=True)
class Browser:
    """A browser that shows the deployment's page: its cookies, and the token that its forms have."""

    client: httpx.Client
    form_token: str

    def submit(self, path: str, **fields: object) -> httpx.Response:
        """Send a form of the page's own."""
        own = {"Origin": str(self.client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        return self.client.post(path, data={"csrf_token": self.form_token, **fields}, headers=own)


def browser(deployment: Deployment) -> Browser:
    """Open the page, without signing in."""
    client = anybody(deployment)
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/auth/login/").text)
    assert found
    return Browser(client, found[1])


def signed_in(deployment: Deployment, user: str, password: str) -> Browser:
    """Open the page and sign in."""
    opened = browser(deployment)
    opened.submit("/auth/login/", username=user, password=password)
    assert "_token" in opened.client.cookies
    return opened
