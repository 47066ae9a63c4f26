"""Headers that every answer of the web server carries, against pages that frame or misread it."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin
from starlette.datastructures import MutableHeaders
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


class ResponseHeadersPlugin(AirflowPlugin):
    """Registers the middleware with Airflow's web server."""

    name = "response_headers"
    fastapi_root_middlewares: list[Any] = [{"middleware": ResponseHeaders, "name": "Response headers"}]  # noqa: RUF012 - Airflow's own form
