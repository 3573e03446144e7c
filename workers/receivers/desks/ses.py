"""Amazon SES's desk: ``POST /v2/email/outbound-emails``, every signature checked.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

import email
import email.policy
import re
from base64 import b64decode
from email.utils import parseaddr
from hmac import compare_digest
from typing import Any, Final

from workers.receivers.lab import Desk, Request, json_reply
from workers.receivers.script import Reply

KEY_ID: Final = "AKIADEMORECEIVER"
SECRET: Final = "demo-secret-of-the-local-receiver"  # noqa: S105 - opens nothing but this receiver
REGION: Final = "eu-central-1"
UNVERIFIED: Final = "unverified.example"  # the one domain of a sender that this account has not verified
CONFIGURATION_SET: Final = "bellwire"

_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_SIGNATURE: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/ses/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]+)"
)


class SesDesk(Desk):
    """Takes mails for one key in one region. `sent`: the delivery ids that it took."""

    name = "ses"

    def __init__(self) -> None:
        self.sent: list[str] = []

    def identify(self, request: Request) -> tuple[str, str]:
        content = request.json()
        if not isinstance(content, dict) or "Content" not in content:
            return "", ""
        tags = {one.get("Name"): one.get("Value") for one in content.get("EmailTags") or ()}
        to = (content.get("Destination") or {}).get("ToAddresses") or [""]
        return str(tags.get("delivery_id", "")), parseaddr(to[0])[1]

    def answer(self, request: Request) -> Reply:
        if request.path != "/v2/email/outbound-emails" or request.method != "POST":
            return problem(404, "UnknownOperationException", "")
        wrong = _check_signature(request) or _check_mail(request.json())
        if wrong is not None:
            return wrong
        self.sent.append(self.identify(request)[0])
        return json_reply(200, {"MessageId": f"0107{len(self.sent):012x}-000000"})


def _check_signature(request: Request) -> Reply | None:
    """Sign the request as it came once more, with the library that signs for Amazon's own."""
    found = _SIGNATURE.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return problem(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    key, region, names, signature = found.groups()
    if (key, region) != (KEY_ID, REGION):
        return problem(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    if not compare_digest(signature, _signature(request, names.split(";"))):
        said = "The request signature we calculated does not match the signature you provided."
        return problem(403, "InvalidSignatureException", said)
    return None


def _signature(request: Request, names: list[str]) -> str:
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    signer = SigV4Auth(Credentials(KEY_ID, SECRET), "ses", REGION)
    url = f"http://{request.headers.get('host', '')}/ses{request.path}"
    headers = {name: request.headers.get(name, "") for name in names if name != "host"}
    again = AWSRequest("POST", url, headers=headers, data=request.body)
    again.context["timestamp"] = request.headers.get("x-amz-date", "")
    return str(signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again))


def _check_mail(content: Any) -> Reply | None:
    if not isinstance(content, dict) or not isinstance(content.get("Content"), dict):
        return problem(400, "BadRequestException", "1 validation error detected")
    to = (content.get("Destination") or {}).get("ToAddresses") or []
    if not to or not all(parseaddr(one)[1].count("@") == 1 for one in to):
        return problem(400, "BadRequestException", "Missing final '@domain'")
    if content.get("ConfigurationSetName") not in {CONFIGURATION_SET, None}:
        said = f"Configuration set <{content['ConfigurationSetName']}> does not exist."
        return problem(404, "NotFoundException", said)
    for tag in content.get("EmailTags") or ():
        if not _TAG.fullmatch(tag.get("Name", "")) or not _TAG.fullmatch(tag.get("Value", "")):
            return problem(400, "BadRequestException", "Only alphanumeric ASCII characters, '_', '-' are allowed.")
    return _check_sender(content)


def _check_sender(content: dict[str, Any]) -> Reply | None:
    sender = content.get("FromEmailAddress")
    raw = content["Content"].get("Raw")
    if raw is not None:
        mail = email.message_from_bytes(b64decode(raw.get("Data", "")), policy=email.policy.default)
        sender = sender or str(mail["From"] or "")
    if not sender:
        return problem(400, "BadRequestException", "Missing required header 'From'.")
    if parseaddr(sender)[1].endswith(f"@{UNVERIFIED}"):
        said = "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: "
        return problem(400, "MessageRejected", said + parseaddr(sender)[1])
    return None


def problem(status: int, name: str, message: str) -> Reply:
    """An error as SES words it."""
    return json_reply(status, {"message": message}, **{"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/"})
