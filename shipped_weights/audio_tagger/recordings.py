"""From nothing to a bank of 16 kHz mono recordings: fetch the sources, take their sound out, decode it.

Every source is named, with its licence, in ``sources.toml``. Debian packages are downloaded with ``apt-get download``
and only read, never installed.
"""

import hashlib
import io
import json
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import av
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16000
SHORTEST_SECONDS = 0.08
WHOLE_SECONDS = 30.0
"""A longer recording gives three pieces of `PIECE_SECONDS`."""
PIECE_SECONDS = 10.0
SOUND_FILES = (".ogg", ".oga", ".opus", ".wav", ".flac", ".mp3", ".aiff", ".ds")
SOUND_FONTS = (".sf2", ".sf3")
ARCHIVES = (".zip", ".pk3", ".wz")
CONTAINERS = (".rcc", ".cat")
"""Resource files that hold Ogg and WAV files as they are."""

Samples = npt.NDArray[np.int16]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Recording:
    """One stretch of sound in the bank.

    Attributes:
        name: source and path; the split of a recording depends on this alone.
        start: first sample in the bank.
        length: samples.
        fold: ESC-10's fold (1 to 5), 0 for all else.
        split: "train", "validation" or "test".
        category: what the recording is, where its source says so.
    """

    name: str
    start: int
    length: int
    fold: int
    split: str
    category: str


class Bank:
    """All recordings, end to end in one array."""

    def __init__(self, folder: Path) -> None:
        self.samples: Samples = np.load(folder / "samples.npy", mmap_mode="r")
        self.recordings = [Recording(**entry) for entry in json.loads((folder / "recordings.json").read_text())]

    def waveform(self, recording: Recording) -> npt.NDArray[np.float32]:
        """(S,) float32 in [-1, 1]."""
        stretch = self.samples[recording.start : recording.start + recording.length]
        return stretch.astype(np.float32) / 32768.0


def read_sources() -> dict[str, Any]:
    """The contents of ``sources.toml``."""
    return tomllib.loads((HERE / "sources.toml").read_text())


def split_of(name: str, held_out: tuple[str, ...]) -> str:
    """Of every 100 recordings 5 are for tests, 3 for validation; those that start like one of `held_out` are tests."""
    if name.startswith(held_out):
        return "test"
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100
    return "test" if number < 5 else "validation" if number < 8 else "train"


def decode(data: bytes) -> list[Samples]:
    """Pieces of one sound file, mono at 16 kHz; none where it is no sound or shorter than `SHORTEST_SECONDS`."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    blocks: list[npt.NDArray[np.int16]] = []
    try:
        with av.open(io.BytesIO(data)) as container:
            for packet in container.demux(audio=0):
                with suppress(av.FFmpegError):  # a damaged packet is left out
                    for frame in packet.decode():
                        blocks += [block.to_ndarray()[0] for block in resampler.resample(frame)]
            blocks += [block.to_ndarray()[0] for block in resampler.resample(None)]
    except (av.FFmpegError, IndexError, ValueError):
        pass  # what could be decoded so far counts; game data have a few broken files
    samples = np.concatenate(blocks) if blocks else np.empty(0, np.int16)
    if len(samples) < SHORTEST_SECONDS * SAMPLE_RATE:
        return []
    if len(samples) <= WHOLE_SECONDS * SAMPLE_RATE:
        return [samples]
    piece = int(PIECE_SECONDS * SAMPLE_RATE)
    return [samples[int(at * (len(samples) - piece)) :][:piece] for at in (0.1, 0.45, 0.8)]


def carve(data: bytes) -> Iterator[tuple[str, bytes]]:
    """WAV and Ogg files that lie uncompressed inside a resource file."""
    at = 0
    while (start := data.find(b"RIFF", at)) >= 0:
        at = start + 4
        if data[start + 8 : start + 12] == b"WAVE":
            size = struct.unpack_from("<I", data, start + 4)[0] + 8
            yield f"{start}.wav", data[start : start + size]
            at = start + size
    at = 0
    while (start := data.find(b"OggS", at)) >= 0:
        end = start
        while data[end : end + 4] == b"OggS" and end + 27 <= len(data):
            last = data[end + 5] & 4
            segments = data[end + 26]
            end += 27 + segments + sum(data[end + 27 : end + 27 + segments])
            if last:
                break
        yield f"{start}.ogg", data[start:end]
        at = max(end, start + 4)


def package_file(name: str, folder: Path) -> Path:
    """Download a Debian package, unless it is in `folder` already."""
    found = sorted(folder.glob(f"{name}_*.deb"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", name], cwd=folder, check=True)
        found = sorted(folder.glob(f"{name}_*.deb"))
    return found[-1]


def package_members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Files of a Debian package, of its archives and of its resource files, whose names end with one of `suffixes`."""
    with (
        subprocess.Popen(["dpkg", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as tar,
    ):
        for member in tar:
            suffix = Path(member.name).suffix.lower()
            if not member.isfile() or suffix not in (*suffixes, *ARCHIVES, *CONTAINERS):
                continue
            file = tar.extractfile(member)
            assert file is not None
            if suffix in ARCHIVES:
                inner = _archive_members(file, suffixes)
            elif suffix in CONTAINERS:
                inner = carve(file.read())
            else:
                yield member.name, file.read()
                continue
            for name, content in inner:
                if name.lower().endswith(suffixes):
                    yield f"{member.name}/{name}", content


def _archive_members(file: IO[bytes], suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with tempfile.TemporaryFile() as copy:  # an archive is read from its end, and some do not fit into memory
        shutil.copyfileobj(file, copy)
        if not zipfile.is_zipfile(copy):
            return
        with zipfile.ZipFile(copy) as archive:
            for name in archive.namelist():
                if name.lower().endswith(suffixes):
                    yield name, archive.read(name)


def store(folder: Path, named: list[tuple[str, Samples]]) -> None:
    """One source's decoded recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    lengths = np.array([len(samples) for _, samples in named], np.int64)
    joined = np.concatenate([samples for _, samples in named]) if named else np.empty(0, np.int16)
    np.save(folder / "samples.npy", joined)
    np.save(folder / "lengths.npy", lengths)
    (folder / "names.json").write_text(json.dumps([name for name, _ in named]))


def decode_package(entry: dict[str, Any], debs: Path, folder: Path) -> str:
    """Decode one ``[[package]]`` of ``sources.toml``, as many files as it allows, into `folder`."""
    label = entry.get("label", entry["name"])
    if (folder / label / "names.json").exists():
        return f"{label}: there already"
    wanted, unwanted = re.compile(entry.get("include", "")), re.compile(entry.get("exclude", "$^"))
    members = [
        (name, data)
        for name, data in package_members(package_file(entry["name"], debs), SOUND_FILES)
        if wanted.search(name) and not unwanted.search(name)
    ]
    # Which files are taken must not depend on their order in the archive.
    members.sort(key=lambda member: hashlib.sha256(member[0].encode()).digest())
    named = [
        (f"{label}/{name.removeprefix('./')}#{number}", samples)
        for name, data in members[: entry.get("max_files", 500)]
        for number, samples in enumerate(decode(data))
    ]
    store(folder / label, named)
    return f"{label}: {len(named)} recordings of {len(members)} files"


def decode_folder(label: str, root: Path, folder: Path) -> str:
    """Decode every sound file below `root`."""
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SOUND_FILES)
    if not paths:
        raise FileNotFoundError(f"{root} has no sound files ({', '.join(SOUND_FILES)}).")
    named = [
        (f"{label}/{path.relative_to(root)}#{number}", samples)
        for path in paths
        for number, samples in enumerate(decode(path.read_bytes()))
    ]
    store(folder / label, named)
    return f"{label}: {len(named)} recordings of {len(paths)} files"


def decode_packages(work: Path, jobs: int = 2) -> None:
    """Decode all packages of ``sources.toml`` that hold recordings."""
    entries = [entry for entry in read_sources()["package"] if entry.get("recordings", True)]
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(decode_package, entry, work / "debs", work / "decoded") for entry in entries]
        for future in futures:
            print(future.result(), flush=True)


def build_bank(work: Path) -> None:
    """Join all decoded sources into one bank."""
    sources = read_sources()
    held_out = (
        *(f"{source}/" for source in sources["held_out"]["sources"]),
        *(f"espeak/{language}/" for language in sources["held_out"]["espeak_languages"]),
    )
    recordings: list[Recording] = []
    parts: list[Samples] = []
    start = 0
    for names_path in sorted((work / "decoded").glob("*/names.json")):
        lengths = np.load(names_path.with_name("lengths.npy"))
        parts.append(np.load(names_path.with_name("samples.npy")))
        for name, length in zip(json.loads(names_path.read_text()), lengths.tolist(), strict=True):
            fold, category = 0, ""
            if name.startswith("esc10/"):
                fold = int(name.split("/")[-1][0])
                category = name.split("/")[1].split(" - ")[1]
            elif "/covered-" in name:
                category = name.split("@")[1].split("#")[0]
            split = "train" if fold else split_of(name, held_out)
            recordings.append(Recording(name, start, length, fold, split, category))
            start += length
    (work / "bank").mkdir(parents=True, exist_ok=True)
    np.save(work / "bank" / "samples.npy", np.concatenate(parts))
    (work / "bank" / "recordings.json").write_text(json.dumps([asdict(recording) for recording in recordings]))


def minutes(work: Path) -> dict[str, dict[str, float]]:
    """Minutes of sound in the bank, by source and split."""
    result: dict[str, dict[str, float]] = {}
    for recording in Bank(work / "bank").recordings:
        splits = result.setdefault(recording.name.split("/")[0], {})
        splits[recording.split] = splits.get(recording.split, 0.0) + recording.length / SAMPLE_RATE / 60
    return result
