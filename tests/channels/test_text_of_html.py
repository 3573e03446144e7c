"""The text of mails whose text nobody wrote."""

from __future__ import annotations

import pytest

from channels.text_of_html import text_of_html

LINKED = '<p>Look at <a href="https://a.example.org/x?a=1&amp;b=2">the site</a>.</p>'


@pytest.mark.mission("E-25")
@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Ends</h1><p>In 7&nbsp;days.</p><script>x()</script>", "Ends\n\nIn 7 days."),
        (LINKED, "Look at the site: https://a.example.org/x?a=1&b=2."),
        ('<a href="https://a.org/">https://a.org/</a>', "https://a.org/"),
        ('<a href="https://a.org/">a.org</a>', "https://a.org/"),
        ('<a href="mailto:x@a.org">x@a.org</a>', "x@a.org"),
        ('<a href="mailto:x@a.org">Write</a>', "Write: mailto:x@a.org"),
        ('<a href="#top">Up</a> <a href="javascript:x()">Run</a>', "Up Run"),
        ("<table><tr><td>Host<td>a.org<tr><td><td>443<td></table>", "Host  a.org\n443"),
        (
            '<table><tr><td><a href="https://a.org/1">One</a><td><a href="https://a.org/2">Two</a></table>',
            "One: https://a.org/1\nTwo: https://a.org/2",
        ),
        ('<table width="100%"><tr><td align="center">Foot</table>', "Foot"),
        ('<div style="display:none">Hidden</div><p>Shown', "Shown"),
        ("<ul><li>one<li>two</ul>", "  * one\n  * two"),
        ("", ""),
    ],
)
def test_a_document_says_its_words_and_the_addresses_of_its_links(html: str, text: str) -> None:
    assert text_of_html(html) == text
