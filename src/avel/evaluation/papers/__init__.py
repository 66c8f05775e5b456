"""The tables of the papers, a file each."""

from collections.abc import Mapping

from avel.evaluation.papers.base import Paper, Row
from avel.evaluation.papers.liang2024 import LIANG2024
from avel.evaluation.papers.lin2020 import LIN2020
from avel.evaluation.papers.tian2018 import TIAN2018

__all__ = ["PAPERS", "Paper", "Row"]

PAPERS: Mapping[str, Paper] = {paper.name: paper for paper in (TIAN2018, LIN2020, LIANG2024)}
