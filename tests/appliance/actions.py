"""What users may try to do to a deployment: by the API and by the forms, each valid and on something that exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from tests.appliance.deployment import DAG_ID
from tests.appliance.users import Browser

VIEWER, KEPT, PASSWORD = "viewer", "kept", "only-for-looking"

_DAG = f"/api/v2/dags/{DAG_ID}"
_FAB = "/auth/fab/v1"
_RIGHT = {"action": {"name": "can_edit"}, "resource": {"name": "Variables"}}


@dataclass(frozen=True)
class Action:
    """A request with its body: of JSON for the API, of fields for a form."""

    method: str
    path: str
    body: dict[str, Any] | None = None

    def by(self, client: httpx.Client) -> httpx.Response:
        return client.request(self.method, self.path, json=self.body)

    def submitted_by(self, browser: Browser) -> httpx.Response:
        return browser.submit(self.path, **(self.body or {}))


def user(name: str, role: str) -> dict[str, Any]:
    names = {"username": name, "first_name": name, "last_name": name, "email": f"{name}@example.org"}
    return {**names, "password": PASSWORD, "roles": [{"name": role}]}


def variable(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": value}


def connection(name: str, kind: str) -> dict[str, Any]:
    return {"connection_id": name, "conn_type": kind}


def make_things(admin: httpx.Client) -> None:
    """Make the viewer, and what is there to be changed."""
    for path, body in (
        (f"{_FAB}/users", user(VIEWER, "Viewer")),
        (f"{_FAB}/users", user(KEPT, "Viewer")),
        (f"{_FAB}/roles", {"name": KEPT, "actions": []}),
        ("/api/v2/variables", variable(KEPT, "as it is")),
        ("/api/v2/connections", connection(KEPT, "http")),
        ("/api/v2/pools", {"name": KEPT, "slots": 1}),
    ):
        admin.post(path, json=body).raise_for_status()


def first(client: httpx.Client, path: str, name: str) -> dict[str, Any]:
    """Return the first entry of a list."""
    found: dict[str, Any] = client.get(path).raise_for_status().json()[name][0]
    return found


def forever(client: httpx.Client) -> list[Action]:
    """Return what can't be made good again: it sets tasks going, or makes an administrator of the viewer."""
    file_token = client.get(_DAG).json()["file_token"]
    return [
        Action("PATCH", f"{_FAB}/users/{VIEWER}", {"roles": [{"name": "Admin"}]}),
        Action("PATCH", f"{_FAB}/roles/Viewer?update_mask=actions", {"name": "Viewer", "actions": [_RIGHT]}),
        Action("PATCH", _DAG, {"is_paused": False}),
        Action("PATCH", f"/api/v2/dags?dag_id_pattern={DAG_ID}", {"is_paused": False}),
        Action("PUT", f"/api/v2/parseDagFile/{file_token}"),
        Action("DELETE", _DAG),
    ]


def on_runs(client: httpx.Client) -> Iterator[Action]:
    """Yield what can be done to a paused DAG's runs, tasks and XComs, deletions last."""
    xcom = first(client, f"{_DAG}/dagRuns/~/taskInstances/~/xcomEntries", "xcom_entries")
    run_id, task_id, map_index = xcom["run_id"], xcom["task_id"], xcom["map_index"]
    run = f"{_DAG}/dagRuns/{run_id}"
    task = f"{run}/taskInstances/{task_id}"
    # Only what is mapped has an index in its path.
    mapped = task if map_index < 0 else f"{task}/{map_index}"
    entry = {"task_id": task_id, "map_index": map_index, "new_state": "failed"}
    moment = "2024-01-01T00:00:00Z"
    yield Action("POST", f"{_DAG}/dagRuns", {"logical_date": None})
    yield Action("PATCH", mapped, {"new_state": "failed"})
    yield Action("PATCH", f"{run}/taskInstances", {"actions": [{"action": "update", "entities": [entry]}]})
    yield Action("PATCH", run, {"state": "failed"})
    yield Action("PATCH", run, {"note": "changed"})
    yield Action("POST", f"{_DAG}/clearTaskInstances", {"dry_run": False, "only_failed": False, "dag_run_id": run_id})
    yield Action("POST", f"{run}/clear", {"dry_run": False})
    yield Action("POST", f"{_DAG}/clearDagRuns", {"dag_runs": [{"dag_run_id": run_id}], "dry_run": False})
    yield Action("POST", "/api/v2/backfills", {"dag_id": DAG_ID, "from_date": moment, "to_date": moment})
    asset = first(client, "/api/v2/assets?only_active=false", "assets")["id"]
    yield Action("POST", "/api/v2/assets/events", {"asset_id": asset, "extra": {}})
    yield Action("PATCH", f"{task}/xcomEntries/{xcom['key']}", {"value": 1, "map_index": map_index})
    yield Action("POST", f"{task}/xcomEntries", {"key": "new", "value": 1, "map_index": map_index})
    yield Action("DELETE", f"{task}/xcomEntries/new?map_index={map_index}")
    yield Action("DELETE", f"{task}?map_index={map_index}")
    gone = {"actions": [{"action": "delete", "entities": [{"dag_run_id": run_id}]}]}
    yield Action("PATCH", f"{_DAG}/dagRuns", gone)


def on_settings() -> Iterator[Action]:
    """Yield what can be done to variables, connections and pools, deletions last."""
    changed = {
        "variables": (variable("new", "x"), variable(KEPT, "changed")),
        "connections": (connection("new", "http"), connection(KEPT, "ftp")),
        "pools": ({"name": "new", "slots": 1}, {"name": KEPT, "slots": 100, "include_deferred": False}),
    }
    for kind, (new, other) in changed.items():
        yield Action("POST", f"/api/v2/{kind}", new)
        yield Action("PATCH", f"/api/v2/{kind}/{KEPT}", other)
        yield Action("DELETE", f"/api/v2/{kind}/{KEPT}")
        yield Action("PATCH", f"/api/v2/{kind}", {"actions": [{"action": "delete", "entities": ["new"]}]})
    yield Action("POST", "/api/v2/connections/defaults")


def on_users() -> Iterator[Action]:
    """Yield what would make more of a viewer, or less of others, deletions last."""
    yield Action("POST", f"{_FAB}/users", user("new", "Admin"))
    yield Action("PATCH", f"{_FAB}/users/{KEPT}", {"roles": [{"name": "Admin"}]})
    yield Action("PATCH", f"{_FAB}/users/{KEPT}", {"password": "another-password"})
    yield Action("DELETE", f"{_FAB}/users/new")
    yield Action("POST", f"{_FAB}/roles", {"name": "new", "actions": [_RIGHT]})
    yield Action("PATCH", f"{_FAB}/roles/{KEPT}?update_mask=actions", {"name": KEPT, "actions": [_RIGHT]})
    yield Action("DELETE", f"{_FAB}/roles/new")


def by_forms(users: Mapping[str, str], roles: Mapping[str, str]) -> Iterator[Action]:
    """Yield the same by the forms of the page's administration; ids by name are what they ask for."""
    passwords = {"password": "another-password", "conf_password": "another-password"}
    yield Action("POST", "/auth/users/add", {**_fields("other"), **passwords, "roles": roles["Admin"]})
    yield role_by_form(KEPT, users, roles)
    yield Action("POST", f"/auth/resetpassword/form?pk={users[KEPT]}", passwords)
    yield Action("POST", "/auth/roles/add", {"name": "other", "permissions": "1"})
    yield Action("POST", f"/auth/roles/edit/{roles[KEPT]}", {"name": KEPT, "permissions": "1"})
    yield Action("POST", "/auth/roles/action_post", {"action": "copyrole", "rowid": roles["Admin"]})
    yield Action("POST", f"/auth/roles/delete/{roles[KEPT]}")
    yield Action("POST", f"/auth/users/delete/{users[KEPT]}")


def role_by_form(name: str, users: Mapping[str, str], roles: Mapping[str, str]) -> Action:
    """Return what gives a user another role."""
    return Action("POST", f"/auth/users/edit/{users[name]}", {**_fields(name), "roles": roles["Op"]})


def _fields(name: str) -> dict[str, str]:
    names = {"first_name": name, "last_name": name, "username": name, "email": f"{name}@example.org"}
    return {**names, "active": "y"}
