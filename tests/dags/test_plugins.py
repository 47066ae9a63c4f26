"""What the web server tells and does for browsers; the appliance's tests ask a real one."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

_PLUGIN = Path(__file__).parents[2] / "airflow-docker" / "plugins" / "browsers.py"
_METHODS = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]

COOKIE = {"Cookie": "_token=x"}


@pytest.fixture(scope="module")
def server() -> Any:
    """A web server that answers with the method that it is asked by, behind the plugin's middlewares."""
    spec = importlib.util.spec_from_file_location("browsers", _PLUGIN)
    assert spec
    assert spec.loader
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)

    async def method(request: Request) -> PlainTextResponse:
        return PlainTextResponse("", headers={"Asked-By": request.method})

    app = Starlette(routes=[Route("/", method, methods=_METHODS)])
    for middleware in plugin.BrowsersPlugin.fastapi_root_middlewares:
        app.add_middleware(middleware["middleware"])
    return app


def ask(server: Any, method: str, headers: dict[str, str]) -> httpx.Response:
    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(server), base_url="http://page:8089") as client:
            return await client.request(method, "/", headers=headers)

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({}, 200),
        ({"Origin": "http://page:8089"}, 200),
        ({"Origin": "http://page:9999"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        # A proxy in front may name the host otherwise; the browser knows.
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_only_the_pages_of_its_own_origin_act_with_the_cookie(
    server: Any, method: str, headers: dict[str, str], answer: int
) -> None:
    assert ask(server, method, COOKIE | headers).status_code == answer
    assert ask(server, method, headers).status_code == 200, "in nobody's name"
    assert ask(server, "GET", COOKIE | headers).status_code == 200
    assert ask(server, "OPTIONS", COOKIE | headers).status_code == 200


def test_head_does_what_get_does(server: Any) -> None:
    assert ask(server, "HEAD", COOKIE).headers["Asked-By"] == "GET"


@pytest.mark.parametrize("headers", [{}, COOKIE | {"Origin": "null"}])
def test_every_answer_has_the_headers(server: Any, headers: dict[str, str]) -> None:
    answer = ask(server, "POST", headers)
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
