"""Every route of a deployment's web server, and which of them answer strangers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tests.appliance.deployment import Deployment

# How many routes each family has at least, all versions of one counted as one: less would mean that
# they aren't found any more, as nobody sends requests to what isn't listed.
FAMILIES = {"/api/v2/": 100, "/ui/": 20, "/execution/": 45, "/auth/fab/v1/": 10, "/auth/": 60}

# What has to answer strangers, and why that is harmless.
PUBLIC = {
    "it describes the APIs as their documentation does": {
        f"{api}/{page}"
        for api in ("", "/auth", "/execution")
        for page in ("docs", "docs/oauth2-redirect", "openapi.json", "redoc")
    }
    | {"/execution/changelog"},
    "it tells whether the server lives, and its version": {
        "/api/v2/monitor/health",
        "/api/v2/version",
        "/execution/health",
        "/execution/health/ping",
    },
    "it is the way in or out, and asks for a password itself": {
        "/api/v2/auth/login",
        "/api/v2/auth/logout",
        "/auth/api/v1/security/login",
        "/auth/login/",
        "/auth/logout",
        "/auth/logout/",
        "/auth/token",
        "/auth/token/cli",
    },
    "it leads to the page, an empty frame that the API fills": {"/auth/", "/auth/back", "/{rest_of_path:path}"},
    "it says that nothing is there": {"/api/v1/{_:path}", "/api/{_:path}", "/health"},
    "it has the scripts and styles that everybody gets": {
        "/auth/static/<path:filename>",
        "/auth/static/appbuilder/<path:filename>",
        "/static",
    },
}

# Flask-AppBuilder looks for an action before it asks who it is, and these have none to be found: error 500.
WITHOUT_ACTIONS = re.compile(r"/auth/(actions|permissions|resources)/action(/.*|_post)")

# The actions that there are.
ACTIONS = {"users": "resetpasswords", "roles": "copyrole"}

_LIST_ROUTES = """
import json
from airflow.api_fastapi.app import create_app
found = []
def walk(routes, prefix, version=None):
    for route in routes:
        path = prefix + getattr(route, "path", "")
        app = getattr(route, "app", None)
        versions = getattr(getattr(app, "router", None), "versioned_routers", None)
        pages = getattr(getattr(app, "app", None), "url_map", None)
        if versions:
            app._cadwyn_initialize()
            walk(app.router.unversioned_routes, path)
            for name, router in versions.items():
                walk(router.routes, path, name)
        elif getattr(route, "routes", None):
            walk(route.routes, path, version)
        elif pages:
            found.extend((method, path + rule.rule, version) for rule in pages.iter_rules() for method in rule.methods)
        else:
            # What is mounted without routes, as files are.
            found.extend((method, path, version) for method in getattr(route, "methods", None) or ("GET", "HEAD"))
walk(create_app().routes, "")
print(json.dumps(found))
"""


@dataclass(frozen=True, order=True)
class Route:
    """A method and a path with the names of what varies in it; of the tasks' API one of its versions, too."""

    path: str
    method: str
    version: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Airflow-API-Version": self.version} if self.version else {}

    @property
    def is_public(self) -> bool:
        return any(self.path in paths for paths in PUBLIC.values())

    @property
    def action(self) -> str:
        """The name of an action of a page of Flask-AppBuilder's, if it has any."""
        return next((name for view, name in ACTIONS.items() if self.path.startswith(f"/auth/{view}/")), "1")

    def filled(self, **values: str) -> str:
        """Return the path with ``values`` by name, and 1 in place of everything else that varies."""
        path = self.path.replace("<string:name>", self.action)
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", value)
        return re.sub(r"\{.*?\}|<.*?>", "1", path)


def list_routes(deployment: Deployment) -> list[Route]:
    """Return everything that the web server answers, but OPTIONS, which runs nothing of a route's own."""
    printed = deployment.compose_with_input(_LIST_ROUTES, "exec", "-T", "webserver", "python", "-")
    listed = json.loads(printed.splitlines()[-1])
    return sorted(Route(path, method, version or "") for method, path, version in listed if method != "OPTIONS")
