"""Telephone numbers as providers want them."""

from __future__ import annotations

from channels.base import RefusedError


def e164(number: str) -> str:
    """The number in E.164 form: ``+4930901820``. Possible is enough; whether it exists, only the provider knows.

    Raises:
        RefusedError: not a number with its country code; nothing follows for the address.
    """
    import phonenumbers  # 5 MiB, for processes that send to numbers only

    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        raise RefusedError("not a phone number with its country code") from None
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        raise RefusedError("not a possible phone number")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
