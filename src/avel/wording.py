"""Words that many messages need."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number and what it counts, such as ``1 video`` and ``2 videos``.

    Args:
        count: how many.
        noun: of one.
        plural: of any other number; the noun with an s if left out, or for a noun in -y as of *category*, with -ies.
    """
    if plural is None:
        plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}"
