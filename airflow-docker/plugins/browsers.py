"""What browsers are told with every answer, and what isn't done for them in a user's name."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# OWASP Secure Headers Project: what a page that is nobody else's sends. Airflow's own
# pages frame those of its plugins, which are of the same origin.
HEADERS = {
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}


class ResponseHeaders:
    """ASGI middleware that adds the headers to every HTTP answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class OwnPagesOnly:
    """ASGI middleware that refuses what the page of another origin has a browser do with the user's cookie.

    To the cookie's SameSite, other ports and subdomains of the host are the same site.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] == "http":
            if scope["method"] == "HEAD":
                # Flask-AppBuilder deletes without the form's token for every method but GET and POST.
                scope = {**scope, "method": "GET"}
            elif scope["method"] not in ("GET", "OPTIONS") and _is_foreign(Headers(scope=scope)):
                refusal = JSONResponse({"detail": "This comes from the page of another origin"}, status_code=403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    if "cookie" not in headers:
        return False
    # Browsers tell the first by TLS and on their own machine only.
    if site := headers.get("Sec-Fetch-Site"):
        return site not in ("same-origin", "none")
    origin = headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("Host")


class BrowsersPlugin(AirflowPlugin):
    """Registers the middlewares with Airflow's web server; the last is the first to see a request."""

    name = "browsers"
    fastapi_root_middlewares: list[Any] = [  # noqa: RUF012 - Airflow's own form
        {"middleware": OwnPagesOnly, "name": "Own pages only"},
        {"middleware": ResponseHeaders, "name": "Response headers"},
    ]
