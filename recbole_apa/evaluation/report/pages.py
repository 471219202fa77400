"""HTML pages: templates next to this file, all based on ``page.html``."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader


def render(template: str, title: str, **values: object) -> str:
    """A page as text; values are escaped.

    Args:
        template: the file name of the template.
        values: what to fill in; ``plotly`` is the library's source, for pages with plots.
    """
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template(template).render(title=title, **values)
