"""The address that is told."""

import socket

from avel.web import serve


def test_who_opens_the_address_at_once_is_not_refused():
    listener = serve._listen("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname(), timeout=300):
        pass
