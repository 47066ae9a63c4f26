"""What strangers, viewers and other programs can't do to a deployment, and where its secrets aren't."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from http.cookies import SimpleCookie
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest
from tests.appliance.deployment import DAG_ID, Deployment, running_deployment, wait_for
from tests.appliance.engine import Docker

from glacier_sync.demo.samples import make_samples

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1200)]

_LOOK_SECONDS = 0.2

VIEWER, VIEWERS_PASSWORD = "viewer", "only-for-looking"

# What has to answer strangers: the way in, what describes the API, and whether it lives.
PUBLIC = re.compile(
    r"(/auth|/execution)?/(docs|redoc|openapi\.json|docs/oauth2-redirect)"
    r"|/execution/changelog|/api/v2/(version|monitor/health)"
    r"|/auth/token(/cli)?|(/auth|/api/v2/auth)/(login|logout)/?"
    # The page itself is an empty frame, which the API fills; what isn't routed is told so.
    r"|/|/\{rest_of_path:path\}|/health|/api/\{_:path\}|/api/v1/\{_:path\}"
    r"|/auth/(|back|static/.*)"
    # These take a user and a password as well.
    r"|/auth/api/v1/security/(login|refresh)"
)

LIST_ROUTES = """
import json
from airflow.api_fastapi.app import create_app
found = []
def walk(routes, prefix):
    for route in routes:
        path = prefix + getattr(route, "path", "")
        pages = getattr(getattr(route, "app", None), "app", None)
        if getattr(route, "routes", None):
            walk(route.routes, path)
        elif hasattr(pages, "url_map"):
            found.extend([method, path + rule.rule] for rule in pages.url_map.iter_rules() for method in rule.methods)
        else:
            found.extend([method, path] for method in getattr(route, "methods", None) or ())
walk(create_app().routes, "")
print(json.dumps(sorted(found)))
"""


@pytest.fixture(scope="module")
def command_lines() -> Iterator[set[str]]:
    """The command lines of all processes, the containers' too, as anybody on the machine could see them meanwhile."""
    seen: set[str] = set()
    ended = Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                # It may have ended meanwhile.
                with suppress(OSError):
                    seen.add(path.read_text(encoding="utf-8", errors="replace"))

    thread = Thread(target=look, daemon=True)
    thread.start()
    yield seen
    ended.set()
    thread.join()


@pytest.fixture(scope="module")
def deployment(
    appliance_image: str, command_lines: set[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment that has brought works to their ends, while command lines were looked at."""
    del command_lines
    with running_deployment(appliance_image, tmp_path_factory.mktemp("security")) as made:
        samples = make_samples(tmp_path_factory.mktemp("samples"))[:2]
        for sample in samples:
            made.restore(sample.key, sample.zip_path)
        wait_for("the DAG is known", made.dag)
        made.api("PATCH", f"dags/{DAG_ID}", is_paused=False)
        made.api("POST", f"dags/{DAG_ID}/dagRuns", logical_date=None)
        keys = {sample.key for sample in samples}
        wait_for(
            "works are settled",
            lambda: keys <= {key for key, phase in made.phases().items() if phase in ("synced", "failed")},
            seconds=600,
        )
        yield made


@pytest.fixture(scope="module")
def routes(deployment: Deployment) -> list[tuple[str, str]]:
    """Every method and path that the web server answers, with the names of what varies in it."""
    printed = deployment.compose_with_input(LIST_ROUTES, "exec", "-T", "webserver", "python", "-")
    return [
        (method, path) for method, path in json.loads(printed.splitlines()[-1]) if method not in ("HEAD", "OPTIONS")
    ]


def filled(path: str) -> str:
    """Return a path with something in place of what varies."""
    return re.sub(r"\{.*?\}|<.*?>", "1", path)


def is_refused(method: str, answer: httpx.Response) -> bool:
    """Tell whether a stranger was sent away: by a status, to where all begin, or for lack of a form's token."""
    sent_on = bool(answer.history) and answer.url.path in ("/", "/auth/login/")
    return answer.status_code in (401, 403) or sent_on or (method == "POST" and "CSRF" in answer.text)


def test_the_anonymous_get_nothing(deployment: Deployment, routes: list[tuple[str, str]]) -> None:
    assert len(routes) > 150
    open_to_all = []
    with httpx.Client(base_url=deployment.url, timeout=60) as client:
        for method, path in routes:
            if PUBLIC.fullmatch(path):
                continue
            answer = client.request(method, filled(path), follow_redirects=True)
            if not is_refused(method, answer):
                open_to_all.append((method, path, answer.status_code, str(answer.url)))
    assert open_to_all == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "variables/x"),
        ("GET", "connections/x"),
        ("GET", "xcoms/dag/run/task/key"),
        ("PATCH", "task-instances/0199b3a5-0000-7000-8000-000000000000/run"),
    ],
)
def test_only_tasks_use_the_api_of_tasks(deployment: Deployment, method: str, path: str) -> None:
    user = token(deployment, "admin", deployment.secret("admin-password"))
    for headers in ({}, {"Authorization": f"Bearer {user}"}):
        answer = httpx.request(method, f"{deployment.url}/execution/{path}", headers=headers, timeout=60)
        assert answer.status_code in (401, 403)


def token(deployment: Deployment, user: str, password: str) -> str:
    answer = httpx.post(f"{deployment.url}/auth/token", json={"username": user, "password": password}, timeout=60)
    return str(answer.raise_for_status().json()["access_token"])


def test_a_viewer_changes_nothing(deployment: Deployment, routes: list[tuple[str, str]]) -> None:
    made = (
        "users",
        "create",
        "-u",
        VIEWER,
        "-p",
        VIEWERS_PASSWORD,
        "-r",
        "Viewer",
        "-f",
        "V",
        "-l",
        "V",
        "-e",
        "v@v.org",
    )
    deployment.compose("exec", "-T", "webserver", "airflow", *made)
    headers = {"Authorization": f"Bearer {token(deployment, VIEWER, VIEWERS_PASSWORD)}"}
    with httpx.Client(base_url=f"{deployment.url}/api/v2", headers=headers, timeout=60) as client:
        assert client.get(f"dags/{DAG_ID}").is_success
        runs = client.get(f"dags/{DAG_ID}/dagRuns").json()["total_entries"]
        bulk = {"actions": [{"action": "delete", "entities": ["x"]}]}
        file_token = client.get(f"dags/{DAG_ID}").json()["file_token"]
        refused = {
            ("PATCH", f"dags/{DAG_ID}"): {"is_paused": True},
            ("DELETE", f"dags/{DAG_ID}"): None,
            ("POST", f"dags/{DAG_ID}/dagRuns"): {"logical_date": None},
            ("POST", f"dags/{DAG_ID}/clearTaskInstances"): {"dry_run": False},
            ("POST", f"dags/{DAG_ID}/clearDagRuns"): {"dag_runs": [{"dag_run_id": "x"}], "dry_run": False},
            ("POST", "backfills"): {
                "dag_id": DAG_ID,
                "from_date": "2024-01-01T00:00:00Z",
                "to_date": "2024-01-02T00:00:00Z",
            },
            ("PUT", f"parseDagFile/{file_token}"): None,
            ("PATCH", "pools/syncs"): {"slots": 100},
            ("PATCH", "pools"): bulk,
            ("PATCH", "connections"): bulk,
            ("PATCH", "variables"): bulk,
            ("PATCH", f"dags/{DAG_ID}/dagRuns"): bulk,
            ("GET", "connections"): None,
            ("GET", "variables"): None,
            ("GET", "config"): None,
        }
        for (method, path), body in refused.items():
            assert client.request(method, path, json=body).status_code == 403, (method, path)
        for method, path in routes:
            # A favourite is a mark of the viewer's own.
            if method == "GET" or not path.startswith("/api/v2/") or path.endswith("favorite"):
                continue
            url = deployment.url + filled(path.replace("{dag_id}", DAG_ID))
            answer = client.request(method, url, json=None if method == "DELETE" else {})
            # Some look at what they are told, or for what is named, before they ask who it is.
            assert answer.status_code in (403, 404, 422), (method, path, answer.status_code)
        assert client.get(f"dags/{DAG_ID}/dagRuns").json()["total_entries"] >= runs
        assert not client.get(f"dags/{DAG_ID}").json()["is_paused"]


def test_the_cookie_stays_with_the_page(deployment: Deployment) -> None:
    credentials = {"username": "admin", "password": deployment.secret("admin-password")}
    with httpx.Client(base_url=deployment.url, timeout=60) as client:
        assert client.post("/auth/login/", data=credentials).status_code == 400, "a login without the form's token"
        form = client.get("/auth/login/").text
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert found
        answer = client.post("/auth/login/", data={**credentials, "csrf_token": found[1]})
        cookies = {
            name: cookie
            for header in answer.headers.get_list("set-cookie")
            for name, cookie in SimpleCookie(header).items()
        }
        assert cookies["_token"].value
        for cookie in cookies.values():
            assert cookie["httponly"], cookie
            assert cookie["samesite"].lower() == "lax", cookie


@pytest.mark.parametrize("path", ["/", "/auth/login/", "/api/v2/dags", "/nowhere"])
def test_every_answer_has_the_headers_against_framing_and_misreading(deployment: Deployment, path: str) -> None:
    headers = httpx.get(f"{deployment.url}{path}", timeout=60).headers
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_no_secret_is_anywhere_else(deployment: Deployment, docker: Docker, command_lines: set[str]) -> None:
    secrets = dict(secret_values(deployment.folder / "secrets"))
    assert {"admin-password", "fernet-key", "jwt-secret", "ledger-database-url"} <= secrets.keys()
    ran = "\n".join(command_lines.copy())
    assert "syncOneWork.sh" in ran
    found = [
        f"{name} in {place}"
        for place, text in (*places(deployment, docker), ("a command line", ran))
        for name, value in secrets.items()
        if value in text
    ]
    assert found == []


def secret_values(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the secrets by the names of their files; of a URL its password."""
    for path in folder.iterdir():
        if text := path.read_text(encoding="utf-8").strip():
            password = re.fullmatch(r"\S+://[^:]+:([^@]+)@\S+", text)
            yield path.name, password[1] if password else text


def places(deployment: Deployment, docker: Docker) -> Iterator[tuple[str, str]]:
    """Yield where a run could have left a secret, with what stands there."""
    yield "the services' logs", deployment.compose("logs", "--no-color")
    for parent in ("logs", "processing", "dags", ".config"):
        for path in (deployment.folder / parent).rglob("*"):
            if path.is_file():
                yield str(path), path.read_text(encoding="utf-8", errors="replace")
    # Airflow's database has the XComs, rendered fields and task logs' references of the run.
    for database in ("airflow", "ledger"):
        dump = deployment.compose("exec", "-T", "postgres", "pg_dump", "-U", "postgres", "--inserts", database)
        assert "INSERT INTO" in dump
        yield f"the database {database}", dump
    for container in deployment.compose("ps", "-q").split():
        yield f"the processes of {container}", docker("top", container, "-eo", "pid,args")
        yield f"the description of {container}", docker("inspect", container)


def test_xcoms_hold_numbers_and_names_only(deployment: Deployment) -> None:
    entries: list[dict[str, Any]] = deployment.api("GET", f"dags/{DAG_ID}/dagRuns/~/taskInstances/~/xcomEntries")[
        "xcom_entries"
    ]
    assert entries
    for entry in entries:
        path = f"dags/{DAG_ID}/dagRuns/{entry['run_id']}/taskInstances/{entry['task_id']}/xcomEntries/{entry['key']}"
        value = deployment.api("GET", f"{path}?map_index={entry['map_index']}")["value"]
        assert "AWS" not in json.dumps(value), entry
        assert "receipt" not in json.dumps(value).lower(), entry
