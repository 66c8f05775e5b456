"""Run the server until somebody ends it."""

import contextlib
import socket
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uvicorn

from avel.errors import AvelError
from avel.library.library import VideoLibrary
from avel.web.app import make_app
from avel.web.collection import open_collection
from avel.web.media import default_cache
from avel.web.security import Access
from avel.web.services import Services
from avel.web.uploads import UploadLimits
from avel.wording import counted

EVERYWHERE = ("0.0.0.0", "::")
LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    given: Sequence[str],
    *,
    output: str | None = None,
    library: str | None = None,
    host: str | None = None,
    port: int = 8765,
    settings: Mapping[str, Any] | None = None,
    limits: UploadLimits | None = None,
    open_browser: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until it is ended by Ctrl-C or a signal.

    Args:
        given: videos, folders or results; see `avel.web.collection.open_collection`.
        output: folder for results.
        library: folder of a library of ``avel index``, whose moments the page looks for.
        host: address to listen on instead of this machine alone; a token is needed then.
        port: to listen on; 0 for any that is free.
        settings: of the `avel.localization.localizer.Localizer`, where they are not the usual ones.
        limits: of uploads.
        open_browser: whether to open the page in this machine's browser.
        say: called with what a user should know.

    Raises:
        AvelError: if the port is taken, or nothing that was given, or the library, can be opened.
        ValueError: if an argument is impossible.
    """
    collection = open_collection(given, output)
    for reason in collection.failures.values():
        say(f"warning: {reason}")
    if given and not collection.items:
        raise AvelError("There is no video and no result to show. Name others, or none to upload videos in the page.")
    searched = None if library is None else VideoLibrary(library, device=str((settings or {}).get("device", "auto")))
    address = host or "127.0.0.1"
    access = access_to(host)
    listener = _listen(address, port)
    services = Services(collection, default_cache(), settings=settings, limits=limits, searched=searched, say=say)
    named = socket.gethostname() if address in EVERYWHERE else address
    shown = f"[{named}]" if ":" in named else named
    link = f"http://{shown}:{listener.getsockname()[1]}/" + (f"?token={access.token}" if access.needs_link else "")
    say(f"{counted(len(collection.items), 'video')}. Open {link} in a browser; Ctrl-C ends it.")
    if open_browser:
        webbrowser.open(link)
    config = uvicorn.Config(
        make_app(services, access),
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=2,
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):  # which is how a user ends it
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        services.close()


def access_to(host: str | None) -> Access:
    """Who may ask, by the address that is listened on."""
    if host is None:
        return Access(frozenset(LOCAL))
    everywhere = host in EVERYWHERE
    names = {*LOCAL, host.lower(), *((socket.gethostname().lower(), socket.getfqdn().lower()) if everywhere else ())}
    return Access(frozenset(names), any_address=everywhere, needs_link=True)


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()  # before the address is told: whoever opens it at once waits and is not refused
    except OSError as error:
        listener.close()
        raise AvelError(
            f"Cannot listen on {address}, port {port}: {error.strerror or error}. Choose another one with --port."
        ) from error
    return listener
