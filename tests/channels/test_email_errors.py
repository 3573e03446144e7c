"""What every documented answer of the email providers means: one table a provider, asked over real HTTP."""

from __future__ import annotations

import json
import time

import pytest

from channels.base import AccountError, Address, Fate, Message, NotSentError, OutcomeUnknownError, RefusedError
from workers.receivers.desks import postmark, resend, sendgrid, ses
from workers.receivers.script import Reply

TO = Address("someone@example.org", "Some One")
MAIL = Message("delivery-1", "acme", "event", "ssl_expiry", title="Hi", text="private-body")

RETRY, THROTTLED, ACCOUNT = "retry", "throttled", "account"
REFUSED, SUPPRESS, UNKNOWN = "refused", "suppress", "unknown"


def meaning(error) -> str:
    """The word for an error, with all that goes with it."""
    match error:
        case AccountError():
            return ACCOUNT
        case NotSentError():
            assert error.provider_failed != error.throttled
            return THROTTLED if error.throttled else RETRY
        case RefusedError():
            assert not error.provider_failed
            return SUPPRESS if error.fate is Fate.SUPPRESS else REFUSED
        case OutcomeUnknownError():
            return UNKNOWN
    raise AssertionError(error)


def rows(kind, *table):
    return [pytest.param(kind(*answer), expected, id=" ".join(map(str, answer))[:70]) for expected, *answer in table]


FORMAT = "The email address needs to follow the `email@example.com` or `Name <email@example.com>` format."
NOT_VERIFIED = "The example.org domain is not verified. Please, add and verify your domain."
TESTING = "You can only send testing emails to your own email address (someone@example.org)."

RESEND = rows(  # https://resend.com/docs/api-reference/errors
    resend.problem,
    (REFUSED, 400, "invalid_idempotency_key", "The key must be between 1-256 chars."),
    (REFUSED, 400, "validation_error", "We found an error with one or more fields in the request."),
    (ACCOUNT, 401, "missing_api_key", "Missing API key in the authorization header."),
    (ACCOUNT, 401, "restricted_api_key", "This API key is restricted to only send emails."),
    (ACCOUNT, 403, "invalid_api_key", "API key is invalid."),
    (ACCOUNT, 403, "suspended_api_key", "This API key is suspended."),
    (ACCOUNT, 403, "validation_error", TESTING),
    (ACCOUNT, 403, "validation_error", NOT_VERIFIED),
    (ACCOUNT, 404, "not_found", "The requested endpoint does not exist."),
    (ACCOUNT, 405, "method_not_allowed", "Method is not allowed for the requested path."),
    (REFUSED, 409, "invalid_idempotent_request", "Same idempotency key used with a different request payload."),
    (UNKNOWN, 409, "concurrent_idempotent_requests", "Same key used while original request is still in progress."),
    (REFUSED, 422, "invalid_attachment", "Attachment must have either a `content` or `path`."),
    (ACCOUNT, 422, "invalid_from_address", "Invalid `from` field."),
    (ACCOUNT, 422, "validation_error", f"Invalid `from` field. {FORMAT}"),
    (SUPPRESS, 422, "validation_error", f"Invalid `to` field. {FORMAT}"),
    (SUPPRESS, 422, "invalid_to_address", "Invalid `to` field."),
    (REFUSED, 422, "validation_error", "Tags should only contain ASCII letters, numbers, underscores, or dashes."),
    (REFUSED, 422, "invalid_parameter", "The `parameter` must be a valid UUID."),
    (REFUSED, 422, "missing_required_field", "The request body is missing one or more required fields."),
    (ACCOUNT, 429, "daily_quota_exceeded", "You have reached your daily email quota."),
    (ACCOUNT, 429, "monthly_quota_exceeded", "You have reached your monthly email quota."),
    (THROTTLED, 429, "rate_limit_exceeded", "Too many requests."),
    (REFUSED, 451, "security_error", "We may have found a security issue with the request."),
    (RETRY, 500, "application_error", "An unexpected error occurred."),
    (RETRY, 500, "internal_server_error", "An unexpected error occurred."),
)

SENDGRID = rows(  # https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors, .../how-to-use-the-.../errors
    sendgrid.problem,
    (REFUSED, 400, "Bad Request"),
    (SUPPRESS, 400, "Does not contain a valid address.", "personalizations.0.to.0.email"),
    (REFUSED, 400, "The name may not contain the characters , or ;", "personalizations.0.to.0.name"),
    (REFUSED, 400, "The to array is required for all personalization objects.", "personalizations.0.to"),
    (ACCOUNT, 400, "The from email does not contain a valid address.", "from.email"),
    (ACCOUNT, 400, "The from object must be provided for every email send.", "from"),
    (REFUSED, 400, "The subject is required.", "subject"),
    (REFUSED, 400, "The attachment content must be base64 encoded.", "attachments.0.content"),
    (ACCOUNT, 401, "The provided authorization grant is invalid, expired, or revoked"),
    (ACCOUNT, 401, "Maximum credits exceeded"),
    (ACCOUNT, 403, "The from address does not match a verified Sender Identity.", "from"),
    (ACCOUNT, 404, "not found"),
    (ACCOUNT, 405, "method not allowed"),
    (REFUSED, 413, "The JSON payload is too large."),
    (THROTTLED, 429, "too many requests"),
    (ACCOUNT, 451, "Unavailable due to data residency restrictions"),
    (RETRY, 500, "internal server error"),
    (RETRY, 503, "not available"),
)

NOT_LISTED = "You tried to send to recipient(s) that have been marked as inactive: someone@example.org."

POSTMARK = rows(  # https://postmarkapp.com/developer/api/overview#error-codes
    postmark.problem,
    (ACCOUNT, 401, 10, "Request does not contain a valid Server token."),
    (RETRY, 503, 100, "Maintenance"),
    (SUPPRESS, 422, 300, "Invalid 'To' address: 'someone@example.org'."),
    (SUPPRESS, 422, 300, "Error parsing 'To': Illegal email domain."),
    (ACCOUNT, 422, 300, "Invalid 'From' address."),
    (REFUSED, 422, 300, "Provide either email TextBody or HtmlBody or both."),
    (ACCOUNT, 422, 400, "The 'From' address you supplied is not a Sender Signature on your account."),
    (ACCOUNT, 422, 401, "The 'From' address is not confirmed."),
    (REFUSED, 422, 402, "Received invalid JSON input."),
    (REFUSED, 422, 403, "Invalid request field(s)."),
    (ACCOUNT, 422, 405, "You are not allowed to send: your account has run out of credits."),
    (SUPPRESS, 422, 406, NOT_LISTED),
    (SUPPRESS, 200, 406, NOT_LISTED),
    (REFUSED, 422, 409, "JSON required."),
    (REFUSED, 422, 410, "Too many batch messages."),
    (REFUSED, 422, 411, "Forbidden attachment type."),
    (ACCOUNT, 422, 412, "While your account is pending approval, all recipients must share the 'From' domain."),
    (ACCOUNT, 422, 413, "Account may not send."),
    (THROTTLED, 429, 429, "Rate limit exceeded."),
    (ACCOUNT, 422, 1235, "The 'MessageStream' provided does not exist on this server."),
    (ACCOUNT, 422, 1236, "Sending is not supported on this message stream."),
    (REFUSED, 413, 0, "Payload too large."),
    (RETRY, 500, 0, "Internal server error."),
)

CHECK = "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: x@example.org"

SES = rows(  # https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html, .../CommonErrors.html
    ses.problem,
    (ACCOUNT, 400, "AccountSuspendedException", "permanently restricted"),
    (REFUSED, 400, "BadRequestException", "Missing final '@domain'"),
    (ACCOUNT, 400, "LimitExceededException", "Daily message quota exceeded"),
    (ACCOUNT, 400, "MailFromDomainNotVerifiedException", "no MX record"),
    (ACCOUNT, 400, "MessageRejected", CHECK),
    (REFUSED, 400, "MessageRejected", "Email contains a virus"),
    (SUPPRESS, 400, "MessageRejected", "Address blacklisted."),
    (SUPPRESS, 400, "MessageRejected", "someone@example.org is on the suppression list for your account"),
    (ACCOUNT, 400, "MessageRejected", "Sending suspended for this account."),
    (ACCOUNT, 400, "SendingPausedException", "Email sending is disabled for your account"),
    (ACCOUNT, 404, "NotFoundException", "Configuration set <x> does not exist."),
    (THROTTLED, 429, "TooManyRequestsException", "Maximum sending rate exceeded."),
    (ACCOUNT, 429, "TooManyRequestsException", "Daily message quota exceeded."),
    (THROTTLED, 429, "TooManyRequestsException", "Too Many Requests"),
    (THROTTLED, 400, "ThrottlingException", "Rate exceeded"),
    (ACCOUNT, 400, "AccessDeniedException", "User is not authorized to perform ses:SendRawEmail"),
    (ACCOUNT, 403, "AccessDeniedException", "User is not authorized to perform ses:SendEmail"),
    (ACCOUNT, 403, "ExpiredTokenException", "The security token included in the request is expired"),
    (ACCOUNT, 400, "IncompleteSignature", "The request signature does not conform to AWS standards."),
    (ACCOUNT, 403, "InvalidSignatureException", "Signature expired"),
    (ACCOUNT, 403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    (ACCOUNT, 400, "NotAuthorized", "You do not have permission to perform this action."),
    (ACCOUNT, 403, "OptInRequired", "The AWS access key ID needs a subscription for the service."),
    (ACCOUNT, 400, "RequestExpired", "The request reached the service more than 15 minutes after the date stamp"),
    (ACCOUNT, 403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    (ACCOUNT, 404, "UnknownOperationException", ""),
    (RETRY, 500, "InternalFailure", "An unknown error"),
    (RETRY, 503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
)


@pytest.fixture
def failing(lab, email_provider, run):
    """Sends a mail to a desk that answers so, and returns the error."""

    def sending(name: str, reply: Reply):
        async def scenario() -> None:
            provider = email_provider(name)
            try:
                await provider.send(MAIL, TO)
            finally:
                await provider.close()

        lab.script(name, reply)
        with pytest.raises((NotSentError, RefusedError, OutcomeUnknownError)) as caught:
            run(scenario())
        for private in ("someone", "example.org", "private-body", resend.KEY, sendgrid.KEY, postmark.TOKEN, ses.SECRET):
            assert private not in caught.value.detail
        assert str(reply.status) in caught.value.detail
        return caught.value

    return sending


@pytest.mark.mission("E-24")
@pytest.mark.parametrize(("reply", "expected"), RESEND)
def test_resend(reply, expected, failing):
    assert meaning(failing("resend", reply)) == expected


@pytest.mark.mission("E-24")
@pytest.mark.parametrize(("reply", "expected"), SENDGRID)
def test_sendgrid(reply, expected, failing):
    assert meaning(failing("sendgrid", reply)) == expected


@pytest.mark.mission("E-24")
@pytest.mark.parametrize(("reply", "expected"), POSTMARK)
def test_postmark(reply, expected, failing):
    assert meaning(failing("postmark", reply)) == expected


@pytest.mark.mission("E-24")
@pytest.mark.parametrize(("reply", "expected"), SES)
def test_ses(reply, expected, failing):
    assert meaning(failing("ses", reply)) == expected


# What the web in front of an API answers, in words of its own: by status, for all four.
WEB = [
    (301, RETRY),
    (400, REFUSED),
    (401, ACCOUNT),
    (404, ACCOUNT),
    (408, RETRY),
    (413, REFUSED),
    (429, THROTTLED),
    (500, RETRY),
    (502, UNKNOWN),
    (503, RETRY),
    (504, UNKNOWN),
    (200, UNKNOWN),  # nobody of them answers so
]


@pytest.mark.parametrize("name", ["resend", "sendgrid", "ses", "postmark"])
@pytest.mark.parametrize(("status", "expected"), WEB)
@pytest.mark.parametrize(
    "body", [b"<html>x</html>", b"[]", b'{"name": 5, "ErrorCode": "x", "errors": {}}', b"[" * 60000]
)
def test_an_answer_that_is_not_the_apis_means_what_its_status_says(name, status, expected, body, failing):
    assert meaning(failing(name, Reply(status, body))) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("resend", ACCOUNT), ("sendgrid", ACCOUNT), ("ses", ACCOUNT), ("postmark", RETRY)]
)
def test_a_403_from_the_network_before_postmark_says_nothing_of_the_account(name, expected, failing):
    assert meaning(failing(name, Reply(403, b"<html><h1>403 Forbidden</h1></html>"))) == expected


@pytest.mark.parametrize("name", ["resend", "sendgrid", "ses", "postmark"])
def test_who_is_too_fast_waits_as_long_as_the_provider_says(name, failing):
    assert failing(name, Reply(429, b"{}", {"Retry-After": "7"})).retry_after == 7


def test_sendgrid_names_the_second_at_which_its_window_ends(failing):
    error = failing("sendgrid", Reply(429, b"{}", {"X-RateLimit-Reset": str(int(time.time()) + 30)}))
    assert 25 < error.retry_after <= 30


@pytest.mark.parametrize("reset", ["", "0", "soon", "-5", "99999999999", "9" * 400])
def test_a_window_that_cannot_be_is_ignored(reset, failing):
    assert failing("sendgrid", Reply(429, b"{}", {"X-RateLimit-Reset": reset})).retry_after is None


def test_the_code_is_shown_and_the_sentence_is_not(failing):
    reply = Reply(422, json.dumps({"ErrorCode": 406, "Message": "someone@example.org, private-body"}).encode())
    assert failing("postmark", reply).detail.startswith("HTTP 422 406: the recipient is inactive")


def test_a_code_that_is_a_sentence_is_not_shown(failing):
    reply = Reply(422, json.dumps({"name": "no, someone@example.org"}).encode())
    assert failing("resend", reply).detail == "HTTP 422: refused"
