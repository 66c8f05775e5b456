"""Pages that are made of notebooks, which run while the site is built, so that they show what the program does.

MkDocs loads this file as a hook. A notebook ``tutorials/NAME.ipynb`` becomes the page ``tutorials/NAME.md``, in the
site's own look and without a script; the notebook lies beside it, as it is here, to be downloaded.
"""

from pathlib import Path

import nbformat
from jinja2 import DictLoader
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from nbconvert.preprocessors import ExecutePreprocessor

ROOT = Path(__file__).parent.parent

TEMPLATE = """\
{% extends "markdown/index.md.j2" %}
{% block data_html scoped %}
<div>
{{ output.data["text/html"] }}
</div>
{% endblock data_html %}
"""
"""Outputs in HTML have an element around them, without which Markdown takes indented ones for code."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook (MkDocs calls this)."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb") and file.abs_src_path is not None:
            page = file.src_uri.replace(".ipynb", ".md")
            files.append(File.generated(config, page, content=executed(Path(file.abs_src_path))))
    return files


def executed(path: Path) -> str:
    """A notebook as Markdown, with what its cells print and show.

    The cells run in the repository's root, by this Python, within five minutes each.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell raises an error.
    """
    notebook = nbformat.read(path, as_version=4)
    runner = ExecutePreprocessor(timeout=300, kernel_name="python3")
    runner.preprocess(notebook, {"metadata": {"path": str(ROOT)}})
    exporter = MarkdownExporter(extra_loaders=[DictLoader({"page": TEMPLATE})], template_file="page")
    text: str = exporter.from_notebook_node(notebook)[0]
    return text
