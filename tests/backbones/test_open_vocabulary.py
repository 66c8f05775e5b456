"""Towers of a few numbers in the files, and in the form, that real networks have; fetched from a server here."""

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from numpy.testing import assert_allclose

from avel.backbones.clap_mel import BANDS, FRAMES, SAMPLE_RATE, SAMPLES, clap_mel, filled
from avel.backbones.engine import EngineOptions
from avel.backbones.open_vocabulary import OpenVocabulary, OpenVocabularyPictures, OpenVocabularySounds, Shares
from avel.errors import WeightsError

pytest.importorskip("onnx")
from tiny_vocabulary import make_vocabulary

OPTIONS = EngineOptions(precision="float32")
PHRASES, OTHERS = ("siren", "drone"), ("rain", "a dog", "music", "wind")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as listener:
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("AVEL_WEIGHTS_DIR", "AVEL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "weights"


def coloured(*colours):
    """(T, 2, 32, 32, 3), a colour a segment."""
    return np.stack([np.broadcast_to(np.array(colour, np.uint8), (2, 32, 32, 3)) for colour in colours])


def tone(hertz, seconds=2.0):
    return np.sin(2 * np.pi * hertz * np.arange(round(SAMPLE_RATE * seconds)) / SAMPLE_RATE).astype(np.float32)


def test_files_are_fetched_and_what_is_seen_and_heard_is_told_by_words(server, tmp_path, cache):
    files, url = server
    vocabulary = OpenVocabulary(make_vocabulary(tmp_path, url, files))
    see = OpenVocabularyPictures(vocabulary, PHRASES, OTHERS, OPTIONS)
    seen = see(coloured((250, 0, 0), (0, 0, 250), (0, 250, 0)))
    assert seen.shape == (3, 1, 2)
    assert (seen.argmax(axis=2) == [[0], [1], [0]]).all()
    assert_allclose(seen.max(axis=2)[:2], 1, atol=1e-3)
    assert seen[2].max() < 0.01  # green is none of them: others fit better
    hear = OpenVocabularySounds(vocabulary, PHRASES, OTHERS, OPTIONS)
    heard = hear(np.stack([tone(6000), tone(200)]))
    assert heard.shape == (2, 2)
    assert_allclose(heard, np.eye(2), atol=0.1)
    assert see.labels == hear.labels == PHRASES
    assert (cache / "texts.onnx").exists()
    for name in ("pictures.onnx", "sounds.onnx", "texts.onnx", "tokenizer.json"):
        (files / name).unlink()
    OpenVocabularyPictures(vocabulary, PHRASES, OTHERS, OPTIONS)  # from the cache


def test_a_sound_longer_than_the_networks_window_counts_where_it_is_surest(tmp_path):
    vocabulary = OpenVocabulary(make_vocabulary(tmp_path))  # files beside the description
    hear = OpenVocabularySounds(vocabulary, PHRASES, OTHERS, OPTIONS)
    both = np.concatenate([tone(6000, 10), tone(200, 10)])[None]
    assert_allclose(hear(both), [[1, 1]], atol=1e-2)


def test_shares_of_phrases():
    axes = np.eye(4, dtype=np.float32)
    shares = Shares(axes[:1], axes[:4], scale=1.0)
    # Compared with two of the three texts that are unlike it, and not with itself: e^1 / (e^1 + 2 e^0).
    assert_allclose(shares(axes[:1]), [[np.e / (np.e + 2)]], rtol=1e-5)
    assert_allclose(shares(-axes[:1]), [[np.exp(-1) / (np.exp(-1) + 2)]], rtol=1e-5)
    assert np.isfinite(Shares(axes[:1], axes, scale=10_000.0)(axes)).all()


def test_clap_mel():
    assert filled(np.ones((1, SAMPLES // 4), np.float32)).mean() == 1
    assert filled(np.ones((1, 7 * SAMPLES // 10), np.float32)).mean() == pytest.approx(0.7)
    silent, low, high = clap_mel(filled(np.stack([0 * tone(440), tone(440), tone(9000)])))
    assert silent.shape == (FRAMES, BANDS)
    assert_allclose(silent, -100, rtol=1e-6)
    # Slaney: 440 Hz is 6.6 mel; 66 edges from 0.75 to 53.4 mel are 0.81 apart, so it lies near the middle of band 6.
    assert low[100].argmax() == 6
    assert high[100].argmax() > 50


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[sounds.texts]", "[sounds.text]", "sounds.texts: Field required"),
        ("side = 32", "side = 8", "pictures.side: Input should be greater than or equal to 32"),
        ("side = 32", "sides = 32", "pictures.side: Field required"),
        ('file_name = "pictures.onnx"', 'file_name = "../pictures.onnx"', "network.file_name: String should match"),
        ('template = "{}"', 'template = "sound"', "sounds.texts.template: String should match"),
        ("scale = 20", "scale = nan", "pictures.scale: Input should be"),
        ("[pictures]", "[pictures", "it is not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_description_is_said(tmp_path, old, new, message):
    path = make_vocabulary(tmp_path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(WeightsError, match=re.escape(message)) as error:
        OpenVocabulary(path)
    assert str(path) in str(error.value)


def test_descriptions_that_cannot_be_read(tmp_path):
    with pytest.raises(WeightsError, match=r"none.toml: cannot be read \(No such file"):
        OpenVocabulary(tmp_path / "none.toml")
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * 100_001)
    with pytest.raises(WeightsError, match="larger than 100000 bytes"):
        OpenVocabulary(path)
    path.write_bytes(b"\xff")
    with pytest.raises(WeightsError, match="is no description of an open vocabulary"):
        OpenVocabulary(path)


def test_a_file_that_is_another_or_missing_is_not_used(tmp_path):
    vocabulary = OpenVocabulary(make_vocabulary(tmp_path))
    (tmp_path / "texts.onnx").write_bytes(b"another")
    with pytest.raises(WeightsError, match=r"'vocabulary.toml: texts.onnx' .* are not available") as error:
        OpenVocabularyPictures(vocabulary, PHRASES, OTHERS, OPTIONS)
    assert "it has 7 bytes instead of" in str(error.value)
    assert "\nPut the file, called texts.onnx, into a folder" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('output = "image_embeds"', 'output = "nothing"', ValueError, "has no tensor called 'nothing'"),
        ("pictures.onnx", "texts.onnx", WeightsError, "asks for input_ids, attention_mask; this tower is given pixel"),
    ],
)
def test_networks_that_are_not_as_described(tmp_path, old, new, error, message):
    path = make_vocabulary(tmp_path)
    text = path.read_text()
    if old == "pictures.onnx":
        line = next(line for line in text.splitlines() if "texts.onnx" in line)
        text = re.sub(r"network = .*pictures.onnx.*", line, text)
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(error, match=message):
        OpenVocabularyPictures(OpenVocabulary(path), PHRASES, OTHERS, OPTIONS)


def test_files_that_are_no_networks(tmp_path):
    path = make_vocabulary(tmp_path)
    text = path.read_text()
    (tmp_path / "broken.json").write_bytes(b"{}")
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}
    broken = f'{{file_name = "broken.json", size_bytes = 2, sha256 = "{digest}"}}'
    path.write_text(re.sub(r"tokenizer = .*", f"tokenizer = {broken}", text))
    with pytest.raises(WeightsError, match=r"broken.json, of the network .* is not a tokenizer"):
        OpenVocabularyPictures(OpenVocabulary(path), PHRASES, OTHERS, OPTIONS)
    path.write_text(re.sub(r"network = .*", f"network = {broken}", text))
    with pytest.raises(WeightsError, match=r"broken.json, of the network .* cannot be read as ONNX"):
        OpenVocabularyPictures(OpenVocabulary(path), PHRASES, OTHERS, OPTIONS)
