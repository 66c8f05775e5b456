"""Checks what ``make dist`` built: whether the wheel holds what avel needs when it runs, and nothing else.

Run: ``python release/check_dist.py dist``. It prints sizes, and ends with 1 where something is missing or too much.
"""

import re
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from avel.version import __version__

NEEDED = (
    r"avel/py\.typed",
    r"avel/web/static/index\.html",
    r"avel/web/static/app\.js",
    r"avel/web/static/app\.css",
    r"avel/web/static/licences\.txt",
    r"avel/outputs/templates/report\.html\.j2",
    r"avel/evaluation/templates/evaluation\.html\.j2",
    r"avel/data/everyday_categories\.toml",
    r"avel/data/ave_categories\.toml",
    r"avel/data/audioset_identifiers\.csv",
    r"avel/data/imagenet_classes\.txt",
    r"avel/data/kinetics400_classes\.txt",
    r"avel/data/SOURCES\.md",
    r"avel/backbones/weights/catalogue\.toml",
    r"avel/backbones/data/embedded_audio_tagger\.safetensors",
    r"avel/backbones/calibration/README\.md",
    r"avel-[^/]+\.dist-info/licenses/LICENSE",
    r"avel-[^/]+\.dist-info/licenses/THIRD_PARTY\.md",
    r"avel-[^/]+\.dist-info/entry_points\.txt",
)
"""Patterns of names, each of which a file of the wheel has."""

WANTED = r"avel/.+|avel-[^/]+\.dist-info/.+"
UNWANTED = r"(^|/)(tests?|examples|docs|benchmarks|findings)/|__pycache__|\.(mp4|ogv|mkv|wav|h5|pt|pth|ipynb|pyc)$"
LARGEST_WHEEL_BYTES = 8_000_000


def problems(names: Iterable[str], size_bytes: int) -> list[str]:
    """What is wrong with a wheel.

    Args:
        names: of its files.
        size_bytes: of the wheel.
    """
    names = list(names)
    found = [f"holds no {pattern}" for pattern in NEEDED if not any(re.fullmatch(pattern, name) for name in names)]
    found += [
        f"holds {name}, which nobody needs who runs avel"
        for name in names
        if not re.fullmatch(WANTED, name) or re.search(UNWANTED, name)
    ]
    if size_bytes > LARGEST_WHEEL_BYTES:
        found.append(f"is {size_bytes:,} bytes large; at most {LARGEST_WHEEL_BYTES:,} are allowed")
    return found


def dead_links(metadata: str) -> list[str]:
    """Links of a wheel's description that lead nowhere on the page of a package index."""
    return re.findall(r"\]\((?!https?:|mailto:)([^)]*)\)", metadata)


def main(folder: Path) -> int:
    """Check the wheel and the source distribution of this version in a folder; an exit code."""
    wheel, source = folder / f"avel-{__version__}-py3-none-any.whl", folder / f"avel-{__version__}.tar.gz"
    for path in (wheel, source):
        if not path.is_file():
            print(f"{path}: is not there. Build it: make dist", file=sys.stderr)
            return 1
        print(f"{path.name}: {path.stat().st_size:,} bytes")
    with zipfile.ZipFile(wheel) as archive:
        infos = archive.infolist()
        metadata = archive.read(f"avel-{__version__}.dist-info/METADATA").decode("utf-8")
    print(f"installed: {sum(info.file_size for info in infos):,} bytes in {len(infos)} files; the largest:")
    for info in sorted(infos, key=lambda info: -info.file_size)[:5]:
        print(f"  {info.file_size:>10,} {info.filename}")
    found = problems((info.filename for info in infos), wheel.stat().st_size)
    found += [f"its description links to {link}, which no package index has" for link in dead_links(metadata)]
    for problem in found:
        print(f"{wheel.name}: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
