"""What strangers, viewers and other programs can't do to a deployment, and where its secrets aren't."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from tests.appliance.actions import (
    PASSWORD,
    VIEWER,
    Action,
    by_forms,
    forever,
    make_things,
    on_runs,
    on_settings,
    on_users,
    role_by_form,
)
from tests.appliance.deployment import DAG_ID, Deployment, running_deployment, wait_for
from tests.appliance.engine import Docker
from tests.appliance.leaks import leaks, places, secret_values, told_by_the_api, watched_processes
from tests.appliance.routes import FAMILIES, PUBLIC, WITHOUT_ACTIONS, Route, list_routes
from tests.appliance.users import Browser, admin, anybody, browser, ids, rows, signed_in, state, with_token

from glacier_sync.demo.samples import make_samples

pytestmark = pytest.mark.timeout(1200)

# What is a user's own: marks, name, password and tokens.
OWN = ("/favorite", "/unfavorite", "/auth/userinfoeditview/form", "/auth/resetmypassword/form", "/ui/auth/token")

# What tells of secrets and of others.
HIDDEN = ("/api/v2/connections", "/api/v2/variables", "/api/v2/config", "/auth/fab/v1/users", "/auth/fab/v1/roles")

Answers = list[tuple[Route, httpx.Response]]
Told = list[tuple[str, str]]


@pytest.fixture(scope="module")
def processes() -> Iterator[Mapping[str, set[str]]]:
    """The command lines and environments of all processes, as others on the machine could see them meanwhile."""
    with watched_processes() as seen:
        yield seen


@pytest.fixture(scope="module")
def deployment(
    appliance_image: str, processes: Mapping[str, set[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A deployment that has brought works to their ends, while processes were looked at, and does nothing now."""
    del processes
    with running_deployment(appliance_image, tmp_path_factory.mktemp("security")) as made:
        give_distinctive_secrets(made.folder / "secrets")
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
        made.api("PATCH", f"dags/{DAG_ID}", is_paused=True)
        for run in rows(made, "SELECT run_id FROM dag_run WHERE state IN ('queued', 'running')"):
            made.api("PATCH", f"dags/{DAG_ID}/dagRuns/{run}", state="failed")
        at_work = "SELECT 1 FROM {} WHERE state IN ('queued', 'running')"
        wait_for("all has ended", lambda: not any(rows(made, at_work.format(t)) for t in ("dag_run", "task_instance")))
        yield made


def give_distinctive_secrets(folder: Path) -> None:
    """Put credentials and a key, that neither emulator nor server look at, in the place of words and of nothing."""
    credentials = ("aws_access_key_id = AKIA" + secrets.token_hex(8).upper(), f"aws_secret_access_key = {some_text()}")
    (folder / "aws-credentials").write_text("\n".join(("[default]", *credentials, "")), encoding="utf-8")
    key = ("-----BEGIN PRIVATE KEY-----", some_text(), some_text(), "-----END PRIVATE KEY-----", "")
    (folder / "tls-key").write_text("\n".join(key), encoding="utf-8")


def some_text() -> str:
    return secrets.token_urlsafe(30)


@pytest.fixture(scope="module")
def told(deployment: Deployment) -> Told:
    """What users of the page get to see."""
    return list(told_by_the_api(deployment))


def test_no_secret_is_anywhere_else(
    deployment: Deployment, docker: Docker, processes: Mapping[str, set[str]], told: Told
) -> None:
    secret = secret_values(deployment.folder / "secrets")
    files = {place.partition(":")[0] for place in secret.values()}
    assert files >= {"admin-password", "aws-credentials", "fernet-key", "jwt-secret", "ledger-database-url", "tls-key"}
    ran, environments = ("\n".join(texts.copy()) for texts in processes.values())
    assert "syncOneWork.sh" in ran
    assert "ARCHIVE_STANDING=" in environments, "a task's own environment"
    seen = (("a command line", ran), ("an environment", environments))
    assert leaks(secret, (*places(deployment, docker), *told, *seen)) == set()


def test_xcoms_hold_numbers_and_names_only(told: Told) -> None:
    xcoms = {place: text for place, text in told if place.startswith("the XCom ")}
    assert xcoms
    assert {place for place, text in xcoms.items() if "AWS" in text or "receipt" in text.lower()} == set()


@pytest.fixture(scope="module")
def routes(deployment: Deployment) -> list[Route]:
    """Every route that the web server answers."""
    return list_routes(deployment)


@pytest.fixture(scope="module")
def answers_to_anybody(deployment: Deployment, routes: list[Route]) -> Answers:
    """What each route answers to somebody who has opened the page but isn't signed in."""
    opened = browser(deployment)
    answers = []
    with closing(opened.client) as client:
        # What signs out takes the token of the forms with it.
        for route in sorted(routes, key=lambda route: route.is_public):
            form = {"csrf_token": opened.form_token, "action": route.action, "rowid": "1"}
            sent = form if route.method == "POST" and is_form(route) else None
            answers.append((route, client.request(route.method, route.filled(), headers=route.headers, data=sent)))
    return answers


def is_form(route: Route) -> bool:
    return route.path.startswith("/auth/") and not route.path.startswith(("/auth/fab/", "/auth/api/", "/auth/token"))


def is_refused(route: Route, answer: httpx.Response) -> bool:
    """Tell whether somebody was sent away: by a status, or to where one signs in or begins; whatever was done then."""
    if answer.status_code == 302 and is_form(route):
        place = answer.headers["location"].partition("?")[0]
        return place == "/auth/login/" or ("/action" in route.path and place in (".", "/auth/"))
    return answer.status_code in (401, 403) or (answer.status_code == 500 and has_no_action(route))


def has_no_action(route: Route) -> bool:
    return bool(WITHOUT_ACTIONS.fullmatch(route.path))


def test_every_family_of_routes_is_looked_at(routes: list[Route]) -> None:
    found = {
        family: len({(route.path, route.method) for route in routes if route.path.startswith(family)})
        for family in FAMILIES
    }
    assert {family: number for family, number in found.items() if number < FAMILIES[family]} == {}
    others = {route.path for route in routes if not route.path.startswith(tuple(FAMILIES))}
    assert {path for path in others if not any(path in paths for paths in PUBLIC.values())} == set()
    paths = {route.path for route in routes}
    assert {path for public in PUBLIC.values() for path in public} - paths == set(), "public, but not there any more"
    assert len({route.version for route in routes}) > 1, "the tasks' API has versions"


def test_the_anonymous_get_nothing(deployment: Deployment, request: pytest.FixtureRequest) -> None:
    before = state(deployment)
    answers: Answers = request.getfixturevalue("answers_to_anybody")
    open_to_all = [
        (route, answer.status_code, answer.headers.get("location"))
        for route, answer in answers
        if not route.is_public and not is_refused(route, answer)
    ]
    assert open_to_all == []
    assert state(deployment) == before


def test_every_answer_has_the_headers_against_framing_and_misreading(
    deployment: Deployment, answers_to_anybody: Answers
) -> None:
    with anybody(deployment) as client:
        answers = [answer for _, answer in answers_to_anybody] + [client.get("/nowhere"), client.put("/api/v2/dags")]
    expected = {
        "x-frame-options": "SAMEORIGIN",
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
    }
    assert {answer.status_code for answer in answers} >= {200, 302, 401, 404, 405, 422}
    assert [answer.url for answer in answers if not expected.items() <= answer.headers.items()] == []


def test_only_tasks_use_the_api_of_tasks(deployment: Deployment, routes: list[Route]) -> None:
    with admin(deployment) as client:
        let_in = [
            (route, status)
            for route in routes
            if route.path.startswith("/execution/") and not route.is_public
            for status in [client.request(route.method, route.filled(), headers=route.headers).status_code]
            if status not in (401, 403)
        ]
    assert let_in == []


@pytest.fixture(scope="module")
def things(deployment: Deployment) -> None:
    """The viewer, and what is there to be changed."""
    with admin(deployment) as client:
        make_things(client)


@pytest.fixture(scope="module")
def window(deployment: Deployment, things: None) -> Iterator[Browser]:
    """The viewer's browser: one for all, as signing in is limited to five times in 40 seconds."""
    del things
    opened = signed_in(deployment, VIEWER, PASSWORD)
    with closing(opened.client):
        yield opened


@pytest.fixture(scope="module")
def admins_window(deployment: Deployment) -> Iterator[Browser]:
    opened = signed_in(deployment, "admin", deployment.secret("admin-password"))
    with closing(opened.client):
        yield opened


def test_a_viewer_gets_nowhere_by_any_route(deployment: Deployment, routes: list[Route], window: Browser) -> None:
    with with_token(deployment, VIEWER, PASSWORD) as viewer:
        before = state(deployment)
        let_in = []
        for route in routes:
            if route.method in ("GET", "HEAD") or route.is_public or route.path.endswith(OWN):
                continue
            if is_form(route):
                answer = window.submit(route.filled(), action=route.action, rowid="1")
            else:
                body: dict[str, str] | None = None if route.method == "DELETE" else {}
                path = route.filled(dag_id=DAG_ID)
                answer = viewer.request(route.method, path, json=body, headers=route.headers)
            # Some look at what they are told, or for what is named, before they ask who it is.
            looks_first = not is_form(route) and answer.status_code in (404, 422)
            if not looks_first and not is_refused(route, answer):
                let_in.append((route, answer.status_code))
        assert let_in == []
        window.submit("/auth/userinfoeditview/form", first_name=VIEWER, last_name=VIEWER, username="admin", roles="1")
    assert state(deployment) == before


def test_a_viewer_changes_nothing(deployment: Deployment, window: Browser, admins_window: Browser) -> None:
    """What would count is tried as whoever may do it does it: valid, and on what exists."""
    users, roles = ids(deployment, "ab_user", "username"), ids(deployment, "ab_role", "name")
    forms = list(by_forms(users, roles))
    with with_token(deployment, VIEWER, PASSWORD) as viewer, admin(deployment) as client:
        assert viewer.get(f"/api/v2/dags/{DAG_ID}").is_success
        actions = [*on_runs(client), *on_settings(), *on_users()]
        before = state(deployment)
        for action in (*actions, *forever(client), *[Action("GET", path) for path in HIDDEN]):
            assert action.by(viewer).status_code == 403, action
        for form in (*forms, role_by_form(VIEWER, users, roles)):
            assert is_refused(Route(form.path, form.method, ""), form.submitted_by(window)), form
        assert state(deployment) == before

        for action in actions:
            answer = action.by(client)
            assert answer.is_success, (action, answer.text)
        for form in forms:
            before = state(deployment)
            form.submitted_by(admins_window)
            assert state(deployment) != before, form


def test_the_cookie_stays_with_the_page(deployment: Deployment) -> None:
    opened = browser(deployment)
    credentials = {"username": "admin", "password": deployment.secret("admin-password")}
    with anybody(deployment) as client:
        assert client.post("/auth/login/", data=credentials).status_code == 400, "a login without the form's token"
    answer = opened.submit("/auth/login/", **credentials)
    cookies = {
        name: cookie
        for header in answer.headers.get_list("set-cookie")
        for name, cookie in SimpleCookie(header).items()
    }
    assert cookies["_token"].value
    for cookie in cookies.values():
        assert cookie["httponly"], cookie
        assert cookie["samesite"].lower() == "lax", cookie


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"Origin": "http://127.0.0.1:9", "Sec-Fetch-Site": "same-site"}, id="another port"),
        pytest.param({"Origin": "https://example.org", "Sec-Fetch-Site": "cross-site"}, id="another site"),
        pytest.param({"Origin": "http://127.0.0.1:9"}, id="another port, in an old browser"),
        pytest.param({"Origin": "null"}, id="a sandboxed frame"),
    ],
)
def test_no_other_page_acts_with_the_cookie(
    deployment: Deployment, things: None, admins_window: Browser, sent: dict[str, str]
) -> None:
    """The cookie's SameSite=Lax still sends it with links, and with everything from other ports of the same host."""
    del things
    client = admins_window.client
    users = ids(deployment, "ab_user", "username")
    before = state(deployment)
    # A request whose method or content type forms don't have is asked for first, and CORS is for nobody.
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = client.options(f"/api/v2/dags/{DAG_ID}/dagRuns", headers=sent | asked)
    assert not any(name.startswith("access-control-") for name in allowed.headers)
    # What needs no body, or takes one as forms can send it, isn't asked for.
    for path in ("/api/v2/connections/defaults", f"/api/v2/dags/{DAG_ID}/dagRuns", "/auth/users/add"):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
            answer = client.post(path, content='{"logical_date": null}', headers=sent | {"Content-Type": kind})
            assert answer.status_code == 403
        assert client.post(path, headers=sent).status_code == 403
    # Looking changes nothing: neither a link nor what a script may fetch without being asked.
    for method in ("GET", "HEAD"):
        client.request(method, f"/auth/users/delete/{users[VIEWER]}", headers=sent)
    assert state(deployment) == before
    # The page itself may.
    own = {"Origin": deployment.url, "Sec-Fetch-Site": "same-origin"}
    for path in ("favorite", "unfavorite"):
        assert client.post(f"/api/v2/dags/{DAG_ID}/{path}", headers=own).is_success
