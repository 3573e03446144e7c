"""How text messages are counted and cut: GSM-7 and UCS-2, at every boundary."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Message, RefusedError
from channels.characters import characters
from channels.phone import e164
from channels.sms import Segments, body, cut, segments

GSM, WIDE = "GSM-7", "UCS-2"
ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
ESCAPED = "^{}\\[~]|€\f"

COUNTED = {
    "nothing": ("", 0, GSM),
    "one": ("a", 1, GSM),
    "160 in one": ("a" * 160, 1, GSM),
    "161 in two": ("a" * 161, 2, GSM),
    "306 in two": ("a" * 306, 2, GSM),
    "307 in three": ("a" * 307, 3, GSM),
    "the whole alphabet": (ALPHABET, 1, GSM),
    "an escape counts two: 80 in one": ("€" * 80, 1, GSM),
    "an escape counts two: 81 in two": ("€" * 81, 2, GSM),
    "an escape is not split: 152 in two": ("€" * 152, 2, GSM),
    "an escape is not split: 153 in three": ("€" * 153, 3, GSM),
    "an escape at the edge goes to the next": ("a" * 152 + "€" + "a" * 151, 2, GSM),
    "and takes one more part with it": ("a" * 152 + "€" + "a" * 152, 3, GSM),
    "70 in one": ("ą" * 70, 1, WIDE),
    "71 in two": ("ą" * 71, 2, WIDE),
    "134 in two": ("ą" * 134, 2, WIDE),
    "135 in three": ("ą" * 135, 3, WIDE),
    "a pair counts two: 35 in one": ("😀" * 35, 1, WIDE),
    "a pair counts two: 36 in two": ("😀" * 36, 2, WIDE),
    "a pair is not split: 66 in two": ("😀" * 66, 2, WIDE),
    "a pair is not split: 67 in three": ("😀" * 67, 3, WIDE),
    "one wide character widens all": ("a" * 70 + "ą", 2, WIDE),
    "a small cedilla is not in it": ("ç", 1, WIDE),
    "a backtick is not in it": ("`", 1, WIDE),
    "the escape itself is no character of it": ("\x1b", 1, WIDE),
}


@pytest.mark.mission("E-33")
@pytest.mark.parametrize(("text", "count", "encoding"), COUNTED.values(), ids=COUNTED)
def test_a_text_travels_in_so_many_parts(text, count, encoding):
    assert segments(text) == Segments(count, encoding)


@pytest.mark.parametrize("character", ESCAPED)
def test_an_extension_character_counts_two(character):
    assert segments(character * 80) == Segments(1, GSM)
    assert segments(character * 81) == Segments(2, GSM)


CUT = {
    "what fits stays": ("a" * 160, 1, "a" * 160),
    "160 characters with the dots": ("a" * 161, 1, "a" * 157 + "..."),
    "306 with the dots": ("a" * 307, 2, "a" * 303 + "..."),
    "an escape does not fit into one septet": ("a" * 156 + "€€€", 1, "a" * 156 + "..."),
    "70 with the ellipsis": ("ą" * 71, 1, "ą" * 69 + "…"),
    "a pair does not fit into one unit": ("ą" * 68 + "😀😀", 1, "ą" * 68 + "…"),
    "a mark stays with its letter": ("ą" * 67 + "x\u0323\u0330yz", 1, "ą" * 67 + "…"),
    "a family stays together": ("ą" * 64 + "👩‍👩‍👧" + "ą", 1, "ą" * 64 + "…"),
    "a wide end costs no more than itself": ("a" * 200 + "😀", 1, "a" * 157 + "..."),
    "a wide start widens all": ("😀" + "a" * 200, 1, "😀" + "a" * 67 + "…"),
    "no space before the dots": ("a" * 150 + " " * 20 + "b", 1, "a" * 150 + "..."),
}


@pytest.mark.mission("E-33")
@pytest.mark.parametrize(("text", "most", "kept"), CUT.values(), ids=CUT)
def test_a_text_is_cut_between_two_characters(text, most, kept):
    assert cut(text, most) == kept


MIXED = st.text(alphabet=st.sampled_from("ab €[é ąx\u0323\u0301😀👩\u200d👧👍\U0001f3fd🇩🇪\ufe0f\n"), max_size=400)


@given(MIXED | st.text(max_size=400).filter(str.isprintable), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_a_cut_text_never_has_too_many_parts_and_never_a_torn_character(text, most):
    kept = cut(text, most)
    assert segments(kept).count <= most
    if kept != text:
        whole = [one.rstrip() for one in characters(text)]
        start = kept.removesuffix("..." if segments(kept).encoding == GSM else "…")
        shown = [one.rstrip() for one in characters(start)]
        assert shown == whole[: len(shown)]


def said(text: str, **values: str) -> str:
    return body(Message("d", "t", "e", "ssl_failure", text=text, **values), 1)


SAID = {
    "typography that would widen all": ("“Disk” is full – it’s 98 %…", '"Disk" is full - it\'s 98 %...'),
    "typography in a text that is wide anyway": ("“Płyta” – 98 %", "“Płyta” – 98 %"),
    "an accent apart from its letter": ("Cafe\u0301", "Café"),
    "line breaks": ("a\r\n\r\n\r\n\r\nb", "a\n\nb"),
    "control characters": ("a\x00\x07b", "ab"),
    "160 characters": ("x" * 200, "x" * 157 + "..."),
}


@pytest.mark.parametrize(("text", "sent"), SAID.values(), ids=SAID)
def test_a_message_becomes_what_fits_into_one_part(text, sent):
    assert said(text) == sent


def test_without_a_text_the_title_is_said_and_without_both_the_type_of_the_event():
    assert said(" ", title="Disk full") == "Disk full"
    assert said("\x00", title="\n") == "ssl_failure"


@pytest.mark.mission("E-31")
@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("+4915112345678", "+4915112345678"),
        ("+49 (151) 123-45678", "+4915112345678"),
        ("+1 415 555 2671", "+14155552671"),
    ],
)
def test_a_number_becomes_e164(given, number):
    assert e164(given) == number


@pytest.mark.parametrize("written", ["", "someone", "015112345678", "+49", "+999123456789", "+4930 ext. 7", "+1" * 50])
def test_what_is_no_number_is_refused_without_a_word_of_it(written):
    with pytest.raises(RefusedError, match=r"not a (possible )?phone number") as caught:
        e164(written)
    assert caught.value.fate == "none"
