"""Who may ask: this machine's own browser, or whoever has the link; and what a page from here may do."""

import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avel.web.answers import JsonAnswer

TOKEN_HEADER = "X-Avel-Token"
COOKIE = "avel_session"
SAFE_METHODS = frozenset({"GET", "HEAD"})
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "style-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        hosts: names and addresses that the page may be asked for under.
        any_address: whether it may be asked for under any address that is a number, since it listens on all of them.
        needs_link: whether a browser has to come by the link with the token first.
        token: which changes need, and the link where there is one.
        session: what a browser is known by, in a cookie.
    """

    hosts: frozenset[str]
    any_address: bool = False
    needs_link: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def allows_host(self, host: str) -> bool:
        """Whether a request's ``Host`` is one of ours; a name that a stranger points at this machine is not."""
        name = _host_name(host)
        if name is None:
            return False
        if name in self.hosts:
            return True
        return self.any_address and _is_address(name)

    def is_token(self, given: str) -> bool:
        """Whether somebody knows the token."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    def is_session(self, given: str) -> bool:
        """Whether a browser has been here before."""
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.session.encode())


class Guard:
    """Refuses what does not come from a page of ours, and tells browsers what our pages may do.

    Args:
        app: what answers.
        access: who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        response = self._refusal(request)
        set_cookie = response is None and self._wants_cookie(request)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if set_cookie or self._came_by_link(request):
                    headers.append("Set-Cookie", self._cookie())
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-cache" if request.url.path.startswith("/static/") else "no-store"
            await send(message)

        await (self.app if response is None else response)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        headers, access = request.headers, self.access
        if not access.allows_host(headers.get("host", "")):
            return PlainTextResponse("This page is not known under that name.", 421)
        if not _same_origin(headers):
            return _error(403, "This comes from another site.")
        if self._came_by_link(request):
            return RedirectResponse(_without_token(request.url), 303)
        is_page = _is_page(request)
        known = access.is_session(request.cookies.get(COOKIE, ""))
        by_token = access.is_token(headers.get(TOKEN_HEADER, ""))
        if access.needs_link and not (known or by_token):
            return PlainTextResponse("Open the link that `avel serve` printed; it holds the token.", 403)
        if not is_page and not (known or by_token):
            return _error(403, "Open the page itself first.")
        if request.method not in SAFE_METHODS and not by_token:
            return _error(403, f"A change needs the header {TOKEN_HEADER} with the token of this session.")
        return None

    def _came_by_link(self, request: Request) -> bool:
        given = request.query_params.get("token")
        return given is not None and _is_page(request) and self.access.is_token(given)

    def _wants_cookie(self, request: Request) -> bool:
        return _is_page(request) and not self.access.is_session(request.cookies.get(COOKIE, ""))

    def _cookie(self) -> str:
        return f"{COOKIE}={self.access.session}; Path=/; HttpOnly; SameSite=Strict"


def _is_page(request: Request) -> bool:
    path = request.url.path
    return request.method in SAFE_METHODS and not path.startswith("/api/")


def _same_origin(headers: Headers) -> bool:
    origin, host = headers.get("origin"), headers.get("host", "")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return False
    return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none") or (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _without_token(url: URL) -> str:
    rest = url.remove_query_params("token")
    return rest.path + (f"?{rest.query}" if rest.query else "")


def _host_name(host: str) -> str | None:
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return name.rstrip(".").lower() if name else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _error(status: int, message: str) -> JsonAnswer:
    return JsonAnswer({"error": message}, status)
