"""What people write is read as Markdown: as harmless HTML in emails, without its marks everywhere else."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.prose import LONGEST, Prose, unmarked
from pipeline.render import Context, render
from pipeline.stylesheet import Stylesheet

Make = Callable[..., Context]

PROSE = Prose(Stylesheet(".prose-p{margin:0}.prose-a{color:blue}"))
ALLOWED = {"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "blockquote", "a"}
OURS = {"style", "class", "rel"}
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</td></tr></table></body>",
    "<!--[if mso]><v:rect><![endif]-->",
    "<style>*{display:none}</style>",
    "<p style='position:fixed'>x</p>",
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&#58;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "[x](//evil.example.org)",
    '[x](https://a.org/"onclick=alert(1)//)',
    '[x](<https://a.org/" onclick="alert(1)>)',
    "![x](https://evil.example.org/pixel.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    '![x"onerror=alert(1)](https://a.org/p.png "t" )',
    "<https://a.org/<script>>",
    "```\n</pre><script>alert(1)</script>\n```",
    "`</code><script>`",
    "[ref]: javascript:alert(1)\n[x][ref]",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "{{ 7 * 7 }}{% raw %}",
    "\u202etxt.exe\x00\x1b",
]


class Parsed(HTMLParser):
    """The elements of a fragment, its links, and its words."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "background")]
        if tag not in ("br", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends something else"

    def handle_data(self, data: str) -> None:
        self.text += data


def check(text: str) -> Parsed:
    """What holds for every text."""
    parsed = Parsed(str(PROSE.html(text)))
    assert parsed.open == []
    assert parsed.tags <= ALLOWED
    assert parsed.attributes <= OURS | {"href", "start"}
    assert not [link for link in parsed.links if not re.match(r"(?:https?://|mailto:)[^\s<>\"]+$", link)]
    return parsed


@pytest.mark.mission("E-25")
@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("**now**", "<p><strong>now</strong></p>", "now"),
        ("so *now*", "<p>so <em>now</em></p>", "so now"),
        ("run `ls`", "<p>run <code>ls</code></p>", "run ls"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>', "3. a\n4. b"),
        ("- a\n  - b", "<ul><li>a<ul><li>b</li></ul></li></ul>", "- a\n  - b"),
        ("> so", "<blockquote><p>so</p></blockquote>", "> so"),
        ("```\na  b\n```", "<pre>a  b</pre>", "a  b"),
        ("# Head\nbody", "<p><strong>Head</strong></p><p>body</p>", "Head\nbody"),
        ("a\nb\n\nc", "<p>a<br>b</p><p>c</p>", "a\nb\n\nc"),
        ("*a*\nb\n\nc", "<p><em>a</em><br>b</p><p>c</p>", "a\nb\n\nc"),
        ("import_job *.a.org and *.b.org", "<p>import_job *.a.org and *.b.org</p>", "import_job *.a.org and *.b.org"),
        ("#60512 & <b>", "<p>#60512 &amp; &lt;b&gt;</p>", "#60512 & <b>"),
        ("\\*as it is\\*", "<p>*as it is*</p>", "*as it is*"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>", "2 * 3 * 4"),
        ("---", "<p>---</p>", "---"),
        ("text\n---", "<p>text<br>---</p>", "text\n---"),
        ("    indented", "<p>indented</p>", "    indented"),
        ("", "", ""),
        ("````", "<p>````</p>", "````"),
    ],
)
def test_markdown_is_shown_in_an_email_and_left_out_elsewhere(text: str, html: str, plain: str) -> None:
    made = re.sub(r' (?:style|class)="[^"]*"', "", str(PROSE.html(text)))
    assert made.replace("\n", "") == html
    assert unmarked(text) == plain


@pytest.mark.mission("E-25")
@pytest.mark.parametrize(
    ("text", "links", "said"),
    [
        ("[the page](https://a.org/x)", ["https://a.org/x"], "the page (https://a.org/x)"),
        ("[https://bank.org](https://evil.org)", ["https://evil.org"], "https://bank.org (https://evil.org)"),
        ("<https://a.org>", ["https://a.org"], "https://a.org"),
        ("<ute@a.org>", ["mailto:ute@a.org"], "ute@a.org"),
        ("[x](ftp://a.org)", [], "x (ftp://a.org)"),
        ("[x](/inbox)", [], "x (/inbox)"),
        ("[x](javascript:alert(1))", [], "[x](javascript:alert(1))"),
        ("![cat](https://a.org/cat.png)", [], "cat (https://a.org/cat.png)"),
        ("**[a](https://a.org)**", ["https://a.org"], "a (https://a.org)"),
    ],
)
def test_a_link_says_where_it_leads(text: str, links: list[str], said: str) -> None:
    parsed = check(text)
    assert parsed.links == links
    assert ("a" in parsed.tags) is bool(links)
    assert parsed.text.strip() == said
    assert unmarked(text) == said


@pytest.mark.mission("D-35")
@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("around", ["{}", "**{}**", "- {}", "`{}`", "[{}](https://a.org)", "# {}"])
def test_no_attack_gets_through(attack: str, around: str) -> None:
    check(around.replace("{}", attack))


@pytest.mark.mission("D-35")
@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize(
    ("event_type", "template", "field"),
    [
        ("support.ticket-created", "ticket", "message"),
        ("conversation.message_posted", "chat_message", "text"),
        ("order.created", "order.created", "note"),
        ("obligation_due", "obligation", "note"),
    ],
)
def test_no_attack_changes_an_email(context: Make, event_type: str, template: str, field: str, attack: str) -> None:
    html = render("email", template, context(event_type, {field: f"Hello\n\n{attack}"})).html or ""
    assert Parsed(html).open == []
    assert not re.search(r"<(?:script|img|svg|iframe|object|form|link)\b", html)
    assert html.count("<style>") == 1
    assert not re.search(r"<[^>]*\son[a-z]+\s*=", html)


@pytest.mark.mission("D-35")
@given(text=st.text(alphabet=st.sampled_from("*_`~[]()<>!#-+.1 \n\\|&;:/\"'=abé"), max_size=120))
@example("[a](<b\n<https://c>")
@settings(max_examples=400, deadline=None)
def test_no_text_makes_other_elements_or_breaks_them(text: str) -> None:
    check(text)


@given(text=st.text(alphabet=st.sampled_from("*_`[]()<>!#-1. \n\\ab"), max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_word_is_lost(text: str) -> None:
    written = len(re.findall(r"[ab]", text))
    for shown in (check(text).text, unmarked(text)):
        assert len(re.findall(r"[ab]", shown)) >= written


@pytest.mark.parametrize("text", ["> " * 15 + "deep", "- " * 30 + "deep", "words\n\n" + "> " * 30 + "deep"])
def test_what_is_nested_too_deep_is_shown_as_it_is(text: str) -> None:
    assert "deep" in check(text).text
    assert unmarked(text) == text


def test_what_is_full_of_marks_is_shown_as_it_is() -> None:
    text = "*a* " * 201 + "b"
    assert check(text).tags == {"p"}
    assert unmarked(text) == text


@pytest.mark.parametrize(
    "piece", ["[", "![", "*a_ ", "`", "> ", "- ", "*", "a**b", "[a](<b", "<", "\\", "`a``b```", "[a](", "_*", "\n\n> "]
)
def test_no_text_keeps_the_parser_busy(piece: str) -> None:
    text = (piece * LONGEST)[:LONGEST]
    started = time.process_time()
    PROSE.html(text)
    unmarked(text)
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("value", [None, 7, True, [1, "*a*"], {"a": "*b*"}, "x" * 100_000, "\ud800*a*"])
def test_whatever_is_no_text_is_put_into_words(value: object) -> None:
    check(value)  # type: ignore[arg-type]
    assert len(unmarked(value)) <= LONGEST


@pytest.mark.mission("E-25")
def test_a_comment_is_formatted_in_the_email_and_plain_everywhere_else(context: Make) -> None:
    data = {"ticket_number": "#1", "message": "Please **restart** it:\n\n1. stop `web_1`\n2. start it"}
    made = context("support.ticket-created", data)
    email = render("email", "ticket", made)
    assert "<strong>restart</strong>" in (email.html or "")
    plain = "Please restart it:\n\n1. stop web_1\n2. start it"
    assert plain in email.text
    assert plain in render("in_app", "ticket", made).text
    assert "Please restart it:" in render("sms", "ticket", made).text
    assert "*" not in render("push", "ticket", made).text
    assert "Please restart it:" in render("telegram", "ticket", made).text
