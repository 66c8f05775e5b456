"""Files that are there whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avel.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path``, which it replaces when the block ends without an exception.

    Missing folders are made. Whatever was at ``path`` stays as it was until then, and no temporary file is left.

    Raises:
        OutputError: if the operating system refuses, or if ``path`` is not a place for a regular file.
    """
    temporary = path.with_name(f".avel-{secrets.token_hex(6)}.tmp")
    try:
        # Not a test of permissions: a device or a pipe would be silently replaced by a file.
        if path.exists() and not path.is_file():
            raise OutputError(f"Cannot write {path}: it is not a regular file. Choose another name or folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise OutputError(
            f"Cannot write {path}: {error.strerror or error}. Check its folder's permissions and free space, "
            "or choose another folder."
        ) from error
    finally:
        if temporary.is_file():
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    r"""Write text as UTF-8 with the line ends it has.

    A file name that is not valid UTF-8 holds lone surrogates in Python; they are written as ``\udcxx``, which is what
    JSON wants.

    Raises:
        OutputError: if it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
