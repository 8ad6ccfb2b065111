"""Sphinx settings of the book. `momentum book` builds it: ``sphinx -c book SOURCES SITE``.

The sources are put together by `sources.assemble` just before Sphinx looks for them. Nothing is executed
and nothing is fetched: notebooks are shown as they were committed, and MathJax comes from an installed
package.
"""

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.images import get_image_size

BOOK = Path(__file__).resolve().parent
ROOT = BOOK.parent
sys.path.insert(0, str(BOOK))

import notebook_pages  # noqa: E402 - found beside this file
import reference  # noqa: E402
import sources  # noqa: E402

project = "SGD with momentum, written once"
author = "its contributors"
copyright = "its contributors, MIT license"
html_title = project
language = "en"
root_doc = "index"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
templates_path = ["templates"]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 3  # README is linked into
suppress_warnings = ["mystnb.mime_priority"]

default_role = "py:obj"  # single backticks of docstrings
add_module_names = False
autodoc_typehints = "none"  # the docstrings say types, shapes and units
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "sphinx_book_theme"
html_theme_options = {
    "navbar_persistent": [],  # the sidebar has the search
    "show_toc_level": 2,
    "use_fullscreen_button": False,
    "navigation_with_keys": False,
}
html_static_path = ["static"]
html_extra_path = []  # the explorers, once they are written
html_css_files = ["book.css"]
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_copy_source = True  # what the download button gives: the notebook itself
html_sourcelink_suffix = ""
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"svg": {"scale": 0.95}}  # beside this text
#: Parts of MathJax that a page may ask for: the whole package is three times as large.
MATHJAX = ("tex-svg.js", "input/tex/extensions", "a11y", "sre")


def assemble(app, config):
    """Write all sources, before Sphinx looks for them."""
    sources.assemble(ROOT, Path(app.srcdir))
    config.html_extra_path = [str(Path(app.srcdir) / "extra")]


def read(app, docname, source):
    """What a page of the collection needs to be a page of the book, put in as it is read."""
    source[0] = notebook_pages.prepared(ROOT, docname, source[0])


def visit_image(translator, node):
    """Images with their size, so that no text jumps, and loaded when they come into view."""
    file = Path(translator.builder.srcdir, node["uri"])
    type(translator).visit_image(translator, node)
    paper = translator.builder.current_docname == "sheet"  # a printer does not scroll
    told = "" if paper else ' loading="lazy" decoding="async"'
    if not node.hasattr("width") and (size := get_image_size(file)):
        told += f' width="{size[0]}" height="{size[1]}"'
    for place in (-1, -2):  # an image of its own is wrapped
        translator.body[place] = translator.body[place].replace("<img ", f"<img{told} ")


def depart_image(translator, node):
    """As the writer does."""
    type(translator).depart_image(translator, node)


def link_names(app, doctree):
    """Lead the public names in a text, set as code, to where they are documented."""
    if app.env.docname.startswith("api/"):
        return
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removesuffix("()")
        if name in reference.homes() and not is_linked(literal):
            told = {"refdomain": "py", "reftype": "obj", "refexplicit": True, "refwarn": True}
            told |= {"reftarget": reference.homes()[name], "refdoc": app.env.docname}
            literal.replace_self(pending_xref("", literal.deepcopy(), **told))


def is_linked(node):
    """Whether a node stands in a link, or in a title, which must not hold one."""
    while (node := node.parent) is not None:
        if isinstance(node, nodes.reference | nodes.title | pending_xref):
            return True
    return False


def copy_mathjax(app, error):
    """Put MathJax beside the pages, once."""
    if error is not None:
        return
    here = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    there = Path(app.outdir) / "_static" / "mathjax"
    for part in MATHJAX:
        if not (there / part).exists():
            (there / part).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (here / part).is_dir() else shutil.copyfile
            copy(here / part, there / part)


def setup(app):
    """Connect the above."""
    own = b"".join(file.read_bytes() for file in sorted(BOOK.glob("*.py")))
    app.add_config_value("book_code", hashlib.sha256(own).hexdigest(), "env")  # edited: all is read anew
    app.connect("config-inited", assemble)
    app.connect("source-read", read)
    app.connect("doctree-read", link_names)
    app.connect("autodoc-process-docstring", sources.escape_docstring, priority=400)  # before napoleon
    app.connect("build-finished", copy_mathjax)
    app.add_node(nodes.image, override=True, html=(visit_image, depart_image))
