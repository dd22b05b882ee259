"""How the documentation is built: Sphinx, Markdown, and the docstrings of the public names."""

project = "analytics_client"
author = "The analytics_client authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = project
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["_build"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
# Links of the pages to files of the repository are for its reader there.
suppress_warnings = ["myst.xref_missing"]
