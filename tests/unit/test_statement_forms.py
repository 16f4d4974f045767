"""The forms of a statement: words to the left and figures to the right, and no name that becomes a link."""

from __future__ import annotations

from opsconsole.view.paper import Paper, Table, as_html, as_markdown

NAME = "https://evil.example/a"
CHARGES = Table("Charges", ("project", "model", "USD"), (("web", NAME, "1.00"),), 2, ("total", "", "1.00"))
PAGE = Paper("Statement", (("customer", "WWW.evil.example bob@evil.example"),), (CHARGES,), ())


def test_words_stand_to_the_left_and_figures_to_the_right() -> None:
    page = as_html(PAGE)
    assert '<th scope="col" class="word">model</th><th scope="col">USD</th>' in page
    assert f'<th scope="row">web</th><td class="word">{NAME}</td><td>1.00</td>' in page
    assert ".word { text-align: left;" in page


def test_a_bare_address_in_markdown_is_no_link() -> None:
    page = as_markdown(PAGE)
    assert r"| web | https\://evil.example/a | 1.00 |" in page
    assert r"customer: WWW\.evil.example bob\@evil.example" in page
