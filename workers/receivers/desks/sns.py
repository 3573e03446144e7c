"""Amazon SNS, as far as text messages straight to a number go.

Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html and its CommonErrors.html
"""

from __future__ import annotations

import hmac
import re
from hashlib import md5
from typing import Final

from workers.receivers.desks import ses
from workers.receivers.lab import Desk, Request
from workers.receivers.script import Reply

# One account for both, as with Amazon: the settings have room for one.
ACCESS_KEY_ID: Final = ses.KEY_ID
SECRET_ACCESS_KEY: Final = ses.SECRET
REGION: Final = ses.REGION

_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/sns/aws4_request, SignedHeaders=([a-z0-9;-]+), "
    r"Signature=([0-9a-f]{64})"
)
_NAMESPACE: Final = "http://sns.amazonaws.com/doc/2010-03-31/"
_TYPES: Final = {"Promotional", "Transactional"}


class SnsDesk(Desk):
    """One account in one region."""

    name = "sns"

    def identify(self, request: Request) -> tuple[str, str]:
        """The invocation that a client names; without one, recipient and text stand for it."""
        form = request.form()
        if form.get("Action") != "Publish":
            return "", ""
        number = form.get("PhoneNumber", "")
        return request.headers.get("amz-sdk-invocation-id") or f"{number} {form.get('Message', '')}", number

    def answer(self, request: Request) -> Reply:
        form = request.form()
        return _not_signed(request) or _refusal(form) or _published(form)


def problem(status: int, code: str, words: str) -> Reply:
    """An error in the form of the Query API."""
    body = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>{"Sender" if status < 500 else "Receiver"}</Type>'
        f"<Code>{code}</Code><Message>{words}</Message></Error><RequestId>0b7c7a6e</RequestId></ErrorResponse>"
    )
    return Reply(status, body.encode(), {"Content-Type": "text/xml"})


def _not_signed(request: Request) -> Reply | None:
    """Check signature version 4 over the headers that the client says it signed."""
    given = request.headers.get("authorization")
    if given is None:
        return problem(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    parts = _AUTHORIZATION.fullmatch(given)
    if parts is None:
        return problem(400, "IncompleteSignature", "Authorization header is not complete")
    if parts[1] != ACCESS_KEY_ID:
        return problem(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    if parts[3] != REGION or not any(_is_signature(parts, request, path) for path in ("/sns/", "/sns")):
        return problem(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
    return None


def _is_signature(parts: re.Match[str], request: Request, path: str) -> bool:
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    signer = SigV4Auth(Credentials(ACCESS_KEY_ID, SECRET_ACCESS_KEY), "sns", REGION)
    headers = {name: request.headers.get(name, "") for name in parts[4].split(";")}
    url = f"http://{request.headers['host']}{path}"
    signed = AWSRequest(method=request.method, url=url, data=request.body, headers=headers)
    signed.context["timestamp"] = request.headers.get("x-amz-date", "")
    to_sign = signer.string_to_sign(signed, signer.canonical_request(signed))
    return hmac.compare_digest(signer.signature(to_sign, signed), parts[5])


def _refusal(form: dict[str, str]) -> Reply | None:
    if form.get("Action") != "Publish" or form.get("Version") != "2010-03-31":
        return problem(400, "InvalidAction", "The action or operation requested is invalid.")
    number = form.get("PhoneNumber", "")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", number):
        return problem(400, "InvalidParameter", f"Invalid parameter: PhoneNumber Reason: {number} is not valid")
    if not form.get("Message") or len(form["Message"]) > 1600:
        return problem(400, "InvalidParameter", "Invalid parameter: Message")
    attributes = _attributes(form)
    if attributes.get("AWS.SNS.SMS.SMSType", "Promotional") not in _TYPES:
        return problem(400, "InvalidParameter", "Invalid parameter: SMSType")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,11}", attributes.get("AWS.SNS.SMS.SenderID", "x")):
        return problem(400, "InvalidParameter", "Invalid parameter: SenderID")
    return None


def _attributes(form: dict[str, str]) -> dict[str, str]:
    names = {field: value for field, value in form.items() if field.endswith(".Name")}
    return {name: form.get(field.removesuffix("Name") + "Value.StringValue", "") for field, name in names.items()}


def _published(form: dict[str, str]) -> Reply:
    mark = md5(repr(sorted(form.items())).encode(), usedforsecurity=False).hexdigest()
    identity = "-".join((mark[:8], mark[8:12], mark[12:16], mark[16:20], mark[20:]))
    body = (
        f'<PublishResponse xmlns="{_NAMESPACE}"><PublishResult><MessageId>{identity}</MessageId></PublishResult>'
        f"<ResponseMetadata><RequestId>{identity}</RequestId></ResponseMetadata></PublishResponse>"
    )
    return Reply(200, body.encode(), {"Content-Type": "text/xml"})
