"""Email through Amazon SES, version 2 of its API (E-20). Requests are signed by botocore and sent by our own HTTP."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from channels.answers import Meaning, Problem, by_status
from channels.base import Capabilities, Limit
from channels.email import BULKHEAD, DEADLINE, PARTS, ApiProvider, text_at
from channels.http import Answer
from channels.letter import Letter, base_url, default_sender, secret_key
from channels.mime import Mailbox, compose
from config.settings import Settings, SettingsError

# Its errors by name; others mean what their status says, and 403 is always about the credentials.
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors, .../CommonErrors.html
PROBLEMS: Final[Mapping[str, Problem]] = {
    "AccountSuspendedException": Problem(Meaning.ACCOUNT, "the account is suspended"),
    "SendingPausedException": Problem(Meaning.ACCOUNT, "sending is paused"),
    "MailFromDomainNotVerifiedException": Problem(Meaning.ACCOUNT, "the sender's domain is not verified"),
    "NotFoundException": Problem(Meaning.ACCOUNT, "the configuration set is not there"),
    "LimitExceededException": Problem(Meaning.ACCOUNT, "a limit of the account"),
    "AccessDeniedException": Problem(Meaning.ACCOUNT, "the key may not send"),
    "NotAuthorized": Problem(Meaning.ACCOUNT, "the key may not send"),
    "IncompleteSignature": Problem(Meaning.ACCOUNT, "the signature is not accepted"),
    "RequestExpired": Problem(Meaning.ACCOUNT, "this machine's clock is wrong"),
    "UnknownOperationException": Problem(Meaning.ACCOUNT, "the API is not there (BELLWIRE_SES_URL)"),
    "TooManyRequestsException": Problem(Meaning.THROTTLED, "too many requests"),
    "ThrottlingException": Problem(Meaning.THROTTLED, "too many requests"),
    "Throttling": Problem(Meaning.THROTTLED, "too many requests"),
    "BadRequestException": Problem(Meaning.REFUSED, "a field is not accepted"),
    "MessageRejected": Problem(Meaning.REFUSED, "the content is not accepted"),
}
# What the message says comes before the name. https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html
SAYINGS: Final[tuple[tuple[re.Pattern[str], Problem], ...]] = (
    (re.compile(r"(?i)maximum sending rate exceeded"), Problem(Meaning.THROTTLED, "too many mails a second")),
    (re.compile(r"(?i)daily (message|sending) quota"), Problem(Meaning.ACCOUNT, "the day's mails are used up")),
    # The sender, or in the sandbox the recipient too: either way a person has to act at Amazon.
    (
        re.compile(r"(?i)is not verified"),
        Problem(Meaning.ACCOUNT, "not verified: the sender, or we are in the sandbox"),
    ),
    (re.compile(r"(?i)sending (is )?(paused|suspended|disabled)"), Problem(Meaning.ACCOUNT, "sending is paused")),
    (re.compile(r"(?i)blacklisted|suppression list"), Problem(Meaning.SUPPRESS, "on the provider's suppression list")),
)

_REGION: Final = re.compile(r"[a-z]{2,4}(-[a-z]{2,12}){1,3}-\d{1,2}")


class SesProvider(ApiProvider):
    """One account in one region. Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html.

    The whole mail is ours (`channels.mime`), but SES replaces its ``Message-ID`` and ``Date``.
    """

    name = "ses"
    capabilities = Capabilities(
        parts=PARTS,
        bulkhead=BULKHEAD,
        deadline=DEADLINE,
        receipts=True,
        # The usual rate of an account that left the sandbox; each has its own, which BELLWIRE_RATE_LIMITS can tell us:
        # https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas.html
        limits=(Limit(14, 1),),
    )
    credentials = MappingProxyType(
        {
            "access_key_id": "aws_access_key_id",
            "secret_access_key": "aws_secret_access_key",
            "region": "aws_region",
            "configuration_set": "ses_configuration_set",
            "topic_arns": "ses_topic_arns",
        }
    )

    def __init__(self, signer: Any, url: str, from_: Mailbox, configuration_set: str | None) -> None:
        super().__init__(f"{url}/v2/email/outbound-emails", from_)
        self._signer = signer
        self._configuration_set = configuration_set

    @classmethod
    def from_settings(cls, settings: Settings) -> Self | None:
        """Configured by the access key and the region. Loads botocore's signing, not its clients."""
        key, region = settings.aws_access_key_id, settings.aws_region
        secret = secret_key(settings.aws_secret_access_key, "BELLWIRE_AWS_SECRET_ACCESS_KEY")
        if not key and not secret:
            return None
        given = {"ACCESS_KEY_ID": key, "SECRET_ACCESS_KEY": secret, "REGION": region}
        if not key or not secret or not region:
            missing = next(name for name, value in given.items() if not value)
            raise SettingsError(f"BELLWIRE_AWS_{missing}: must be set, because another of the AWS account's is")
        if not re.fullmatch(r"\w{4,128}", key, re.ASCII):
            raise SettingsError("BELLWIRE_AWS_ACCESS_KEY_ID: must be letters and digits")
        if not _REGION.fullmatch(region):  # it becomes part of a host's name
            raise SettingsError("BELLWIRE_AWS_REGION: must look like eu-central-1")
        token = secret_key(settings.aws_session_token, "BELLWIRE_AWS_SESSION_TOKEN")
        url = base_url(settings.ses_url or f"https://email.{region}.amazonaws.com", "BELLWIRE_SES_URL")
        return cls(_signer(key, secret, token, region), url, default_sender(settings), settings.ses_configuration_set)

    @classmethod
    def from_account(cls, settings: Settings, credentials: Mapping[str, str]) -> Self | None:
        """A tenant's keys, which the installation's session token does not belong to; see `Provider.from_account`."""
        wanted = ("access_key_id", "secret_access_key", "region")
        if credentials.keys() <= cls.credentials.keys() and not all(map(credentials.get, wanted)):
            return None
        return super().from_account(settings.model_copy(update={"aws_session_token": None}), credentials)

    def headers(self, mail: Letter, body: bytes) -> dict[str, str]:
        """Signature version 4 over the body, for fifteen minutes."""
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

        request = AWSRequest("POST", self._url, headers={"Content-Type": "application/json"}, data=body)
        self._signer.add_auth(request)
        return dict(request.headers.items())

    def request(self, mail: Letter) -> bytes:
        content: dict[str, Any] = {
            "Destination": {"ToAddresses": [mail.to.address]},
            "Content": {"Raw": {"Data": b64encode(compose(mail.message, mail.sender, mail.to)).decode()}},
            "EmailTags": [{"Name": name, "Value": value} for name, value in mail.name_tags],
        }
        if self._configuration_set:
            content["ConfigurationSetName"] = self._configuration_set
        return json.dumps(content).encode()

    def accepted(self, answer: Answer) -> str | None:
        return (text_at(answer, "MessageId") or None) if answer.status == 200 else None

    def problem(self, answer: Answer) -> tuple[str, Problem]:
        """The name is in a header, as ``Name:http://...``, or in the body."""
        name = answer.headers.get("x-amzn-ErrorType") or text_at(answer, "__type") or text_at(answer, "code")
        name = name.partition(":")[0].rpartition("#")[2]
        said = text_at(answer, "message") or text_at(answer, "Message")
        spoken = next((problem for pattern, problem in SAYINGS if name and pattern.search(said)), None)
        return name, spoken or PROBLEMS.get(name) or by_status(answer.status)


def _signer(key: str, secret: str, token: str | None, region: str) -> Any:
    from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    return SigV4Auth(Credentials(key, secret, token), "ses", region)
