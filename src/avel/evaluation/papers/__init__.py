"""The tables of the papers, a file each, and that of avel's own model."""

from collections.abc import Mapping

from avel.evaluation.papers.base import Claim, Paper, Row
from avel.evaluation.papers.duan2021 import DUAN2021
from avel.evaluation.papers.liang2024 import LIANG2024
from avel.evaluation.papers.lin2020 import LIN2020
from avel.evaluation.papers.recommended import RECOMMENDED
from avel.evaluation.papers.tian2018 import TIAN2018
from avel.evaluation.papers.xuan2020 import XUAN2020

__all__ = ["PAPERS", "Claim", "Paper", "Row"]

PAPERS: Mapping[str, Paper] = {
    paper.name: paper for paper in (TIAN2018, XUAN2020, LIN2020, DUAN2021, LIANG2024, RECOMMENDED)
}
