"""When a provider's figures are bad enough to try the others first."""

from __future__ import annotations

import pytest

from domain.deliverability import is_poor, rate, reordered

CASES = {
    "nothing was sent": (0, 0, 0, False),
    "all is well": (10_000, 100, 3, False),
    "too few to judge, though all of them bounced": (199, 199, 50, False),
    "enough to judge": (200, 11, 0, True),
    "just at five per cent": (200, 10, 0, False),
    "bounces over five per cent": (10_000, 501, 0, True),
    "just at one complaint in a thousand": (10_000, 0, 10, False),
    "complaints over one in a thousand": (10_000, 0, 11, True),
    "one complaint is one person": (200, 0, 1, False),
    "two are not": (200, 0, 2, True),
    "both": (1_000, 500, 500, True),
    "more receipts than sends, of the hour before": (200, 400, 0, True),
}


@pytest.mark.mission("E-20")
@pytest.mark.parametrize(("accepted", "bounced", "complained", "poor"), CASES.values(), ids=CASES)
def test_a_provider_is_poor_beyond_what_amazon_and_google_put_up_with(
    accepted: int, bounced: int, complained: int, poor: bool
) -> None:
    assert is_poor(accepted, bounced, complained) is poor


ORDERS = {
    "nobody": ((), ("smtp", "resend", "ses")),
    "the first": (("smtp",), ("resend", "ses", "smtp")),
    "the last": (("ses",), ("smtp", "resend", "ses")),
    "two keep their order": (("resend", "smtp"), ("ses", "smtp", "resend")),
    "all": (("ses", "resend", "smtp"), ("smtp", "resend", "ses")),
    "one that is not in the order": (("postmark",), ("smtp", "resend", "ses")),
}


@pytest.mark.mission("E-20")
@pytest.mark.parametrize(("demoted", "expected"), ORDERS.values(), ids=ORDERS)
def test_the_poor_ones_are_tried_last_and_never_left_out(demoted: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert reordered(("smtp", "resend", "ses"), frozenset(demoted)) == expected


def test_a_rate_of_nothing_is_none() -> None:
    assert rate(0, 0) is None
    assert rate(5, 100) == 0.05
