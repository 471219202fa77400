"""The table and the page of a run, made only from its records."""

from recbole_apa.evaluation.report.pages import render
from recbole_apa.evaluation.report.run_page import write_report
from recbole_apa.evaluation.report.run_table import text_table, verdict

__all__ = ["render", "text_table", "verdict", "write_report"]
