from .pages import render as render
from .run_page import write_report as write_report
from .run_table import text_table as text_table
from .run_table import verdict as verdict
