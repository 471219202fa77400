"""How Sphinx builds the book: ``sphinx-build -W --keep-going -b html docs build/docs``, from the root of a checkout."""

import recbole_apa

project = "recbole-apa"
author = "the recbole-apa developers"
release = version = recbole_apa.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build"]
html_theme = "furo"
html_title = f"recbole-apa {release}"

# names in backticks that are no links: most are files, options and words of the command line
default_role = "code"
myst_heading_anchors = 3
# a test executes the notebook (tests, test_tour.py); the book shows it as it was committed
nb_execution_mode = "off"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
