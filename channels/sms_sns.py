"""Text messages by Amazon SNS (E-31), straight to a number: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html

It takes no idempotency key, so what follows an unknown outcome is the channel's policy. It reports to CloudWatch only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp

from channels import sms
from channels.answers import Meaning, Problem, by_status, error
from channels.base import Address, Capabilities, Limit, Message, OutcomeUnknownError, Provider, Receipt, SendError
from channels.http import Answer, exchange, open_session, retry_after, timeout_of
from channels.phone import e164
from config.settings import Settings, SettingsError

DEADLINE: Final = 10.0  # seconds

# 20 transactional messages a second in an account and region, in most of them
# (https://docs.aws.amazon.com/general/latest/gr/sns.html, "SMS"); more on request: BELLWIRE_RATE_LIMITS.
LIMITS: Final = (Limit(20, 1),)

_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}")
_SENDER_ID: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}")  # no spaces; without a letter it is a number
_CODE: Final = re.compile(rb"<Code>([A-Za-z.]{1,60})</Code>")
_WORDS: Final = re.compile(rb"<Message>(.{0,2000}?)</Message>", re.DOTALL)
_MESSAGE_ID: Final = re.compile(rb"<MessageId>([0-9A-Za-z-]{1,100})</MessageId>")

_THROTTLED: Final = Problem(Meaning.THROTTLED, "too many requests")
_CREDENTIALS: Final = Problem(Meaning.ACCOUNT, "the credentials are not accepted")
_DENIED: Final = Problem(Meaning.ACCOUNT, "the account may not send")
_CLOCK: Final = Problem(Meaning.ACCOUNT, "our clock and Amazon's differ")
_KEY: Final = Problem(Meaning.ACCOUNT, "the encryption key cannot be used")
_PARAMETER: Final = Problem(Meaning.REFUSED, "the number or the text is not accepted")
_FAILED: Final = Problem(Meaning.RETRY, "internal error")
_OPTED_OUT: Final = Problem(Meaning.SUPPRESS, "the recipient has opted out")
_SPENT: Final = Problem(Meaning.ACCOUNT, "the monthly spending limit is reached")

# The errors of Publish, and https://docs.aws.amazon.com/sns/latest/api/CommonErrors.html.
PROBLEMS: Final[Mapping[str, Problem]] = {
    **dict.fromkeys(("Throttling", "ThrottlingException", "Throttled", "RequestLimitExceeded"), _THROTTLED),
    **dict.fromkeys(("KMSThrottling", "KMSThrottlingException", "TooManyRequestsException"), _THROTTLED),
    **dict.fromkeys(("InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature"), _CREDENTIALS),
    **dict.fromkeys(("MissingAuthenticationToken", "UnrecognizedClientException", "InvalidSecurity"), _CREDENTIALS),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId"), _CREDENTIALS),
    **dict.fromkeys(("AuthorizationError", "AccessDenied", "AccessDeniedException", "NotAuthorized"), _DENIED),
    **dict.fromkeys(("OptInRequired", "KMSOptInRequired", "AccountProblem"), _DENIED),
    **dict.fromkeys(("RequestExpired", "RequestTimeTooSkewed"), _CLOCK),
    **dict.fromkeys(("KMSAccessDenied", "KMSDisabled", "KMSInvalidState", "KMSNotFound"), _KEY),
    **dict.fromkeys(("InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid"), _PARAMETER),
    **dict.fromkeys(("ValidationError", "ValidationException", "UserError", "InvalidParameterException"), _PARAMETER),
    **dict.fromkeys(("NotFound", "EndpointDisabled", "PlatformApplicationDisabled"), _PARAMETER),
    **dict.fromkeys(("InternalError", "InternalFailure", "ServiceUnavailable"), _FAILED),
    **dict.fromkeys(("OptedOut", "OptedOutException"), _OPTED_OUT),
}


class SnsProvider(Provider):
    """One AWS account in one region. `Address.value` is a telephone number.

    A number that has opted out is not always refused: SNS may accept the message and deliver nothing.
    """

    channel = "sms"
    name = "sns"
    capabilities = Capabilities(parts=frozenset({"text"}), bulkhead=sms.BULKHEAD, deadline=DEADLINE, limits=LIMITS)
    credentials = {  # noqa: RUF012
        "access_key_id": "aws_access_key_id",
        "secret_access_key": "aws_secret_access_key",
        "region": "aws_region",
        "sender_id": "sns_sender_id",
    }

    def __init__(self, signer: Any, url: str, sender_id: str | None, parts: int) -> None:
        """`signer`: adds the signature to a botocore request; `parts`: how many a text may have."""
        self._signer = signer
        self._url = url
        self._sender_id = sender_id
        self._parts = parts
        self._timeout = timeout_of(self.capabilities.deadline)
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by its switch, with the AWS account."""
        if not settings.sns_enabled:
            return None
        region, sender_id = settings.aws_region or "", settings.sns_sender_id or None
        if not _REGION.fullmatch(region):
            raise SettingsError("BELLWIRE_AWS_REGION: must be a region such as eu-central-1")
        if sender_id and not _SENDER_ID.fullmatch(sender_id):
            raise SettingsError("BELLWIRE_SNS_SENDER_ID: must be 1 to 11 letters, digits or hyphens, one a letter")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        url = (settings.sns_url or f"https://sns.{region}.{suffix}").rstrip("/") + "/"
        return cls(_signer(settings, region), url, sender_id, settings.sms_segments)

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """A tenant's keys switch it on, and the installation's session token does not belong to them."""
        own = settings.model_copy(update={"sns_enabled": True, "aws_session_token": None})
        return super().from_account(own, credentials)

    async def send(self, message: Message, address: Address) -> Receipt:
        """Send the text, cut to the number of parts that is set; see `Provider.send`."""
        number, text = e164(address.value), sms.body(message, self._parts)
        if self._session is None:
            self._session = open_session(self._timeout)
        content = urlencode(_form(number, text, self._sender_id)).encode()
        headers = self._signed(content, message.delivery_id)
        answer = await exchange(self._session, self._url, content, headers, self._timeout)
        found = _MESSAGE_ID.search(answer.body)
        if answer.status == 200 and found:
            return Receipt(found[1].decode(), "HTTP 200", segments=sms.segments(text).count)
        raise _problem(answer)

    def _signed(self, content: bytes, delivery_id: str) -> dict[str, str]:
        """The headers of one request. The last one is how Amazon's own clients name an attempt, for its support."""
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest(method="POST", url=self._url, data=content, headers=headers)
        self._signer.add_auth(request)
        return {**request.headers, "amz-sdk-invocation-id": delivery_id}

    async def close(self) -> None:
        """Close the connections; the next send opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _signer(settings: Settings, region: str) -> Any:
    """Signature version 4. Imported here: it costs each process that needs it some 25 MiB."""
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    if not settings.aws_access_key_id:
        raise SettingsError("BELLWIRE_AWS_ACCESS_KEY_ID: must be set, because BELLWIRE_SNS_ENABLED is")
    if secret is None or not secret.get_secret_value():
        raise SettingsError("BELLWIRE_AWS_SECRET_ACCESS_KEY: must be set, because BELLWIRE_SNS_ENABLED is")
    session_token = token.get_secret_value() if token and token.get_secret_value() else None
    return SigV4Auth(Credentials(settings.aws_access_key_id, secret.get_secret_value(), session_token), "sns", region)


def _form(number: str, text: str, sender_id: str | None) -> dict[str, str]:
    attributes = {"AWS.SNS.SMS.SMSType": "Transactional"}
    if sender_id:
        attributes["AWS.SNS.SMS.SenderID"] = sender_id
    form = {"Action": "Publish", "Version": "2010-03-31", "PhoneNumber": number, "Message": text}
    for number_of, (name, value) in enumerate(attributes.items(), 1):
        entry = f"MessageAttributes.entry.{number_of}"
        form |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
    return form


def _problem(answer: Answer) -> SendError:
    """Two things are told by its words only: that a number has opted out, and that the money is spent."""
    if 200 <= answer.status < 300:
        return OutcomeUnknownError("the answer is not what SNS answers")
    wait = retry_after(answer.headers.get("Retry-After"))
    found, said = _CODE.search(answer.body), _WORDS.search(answer.body)
    if found is None:
        return error(by_status(answer.status), f"HTTP {answer.status}", wait)
    words = said[1].lower() if said else b""
    code = found[1].decode()
    if b"opted out" in words:
        return error(_OPTED_OUT, f"SNS {code}")
    if b"no quota left" in words or b"spend" in words:
        return error(_SPENT, f"SNS {code}")
    return error(PROBLEMS.get(code) or by_status(answer.status), f"SNS {code}", wait)
