"""The pages that people open: templates beside this file, all on ``page.html``."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader


def render(template: str, title: str, **values: object) -> str:
    """A page as text; what is put in is escaped.

    Args:
        template: its file name.
        values: what it shows; ``plotly`` is the library's own source, for pages with drawings.
    """
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template(template).render(title=title, **values)
