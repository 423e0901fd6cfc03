"""What failed calls of the SDK raise, translated into what this package raises. Pure decisions, no I/O."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from typing import Any

import botocore.exceptions
from aiohttp import ClientConnectorError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    InvalidConfigError,
    InvalidRegionError,
    MetadataRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    RefreshWithMFAUnsupportedError,
    SSLError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
)

from ..errors import (
    AccessDeniedError,
    BlobUnavailableError,
    ChatHistoryError,
    KeyUnavailableError,
    RepositoryClosedError,
    SettingsError,
    StorageError,
    TableNotFoundError,
    ThrottledError,
)

_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_WRONG_KEY = {"IncorrectKeyException", "InvalidCiphertextException"}
_NO_KEY = {
    "DisabledException": "the key is disabled",
    "InvalidKeyUsageException": "it is no symmetric key for encryption",
    "KMSInvalidStateException": "the key is about to be deleted, or is not ready",
    "KeyUnavailableException": "the key is not available just now",
    "NotFoundException": "there is no such key in this account and region (any more)",
}
_OBJECTS_LATER = {"ConditionalRequestConflict", "NoSuchUpload", "RequestTimeout", "SlowDown"}
_ABOUT_OBJECTS = {
    "AccessDenied": "allow it in the policies of the caller and of the bucket (docs/permissions.md)",
    "NoSuchBucket": "there is no such bucket; check bucket= and region_name= of S3Blobs",
    "SlowDown": "too many requests at once; try again later",
}
_NO_CREDENTIALS: tuple[type[Exception], ...] = (
    ConfigNotFound,
    ConfigParseError,
    CredentialRetrievalError,
    InvalidConfigError,  # of a profile
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
    getattr(botocore.exceptions, "LoginError", NoCredentialsError),  # of `aws login`, since botocore 1.41
)
_UNREACHABLE = (HTTPClientError, MetadataRetrievalError, botocore.exceptions.ConnectionError)
_NEVER_ARRIVED = (ProxyConnectionError, SSLError)
_LASTING = (NoCredentialsError, RefreshWithMFAUnsupportedError)
_SIGN_IN = {
    "AssumeRole": "sts:AssumeRole",
    "AssumeRoleWithSAML": "sts:AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity": "sts:AssumeRoleWithWebIdentity",
    "GetRoleCredentials": "sso:GetRoleCredentials",
    "CreateToken": "sso-oauth:CreateToken",
    "CreateOAuth2Token": "signin:CreateOAuth2Token",
}
_SOURCES = "Check what they come from: aws_session=, the profile, the role, the environment."


class ConditionFailed(Exception):
    """The condition of a write did not hold; an answer to act on, never shown to a user.

    `item` is the item that failed it, where the engine returns it. `retried` means that an earlier attempt of this
    very call may have been applied, so that the condition may have failed because of that one.
    """

    def __init__(self, item: dict[str, Any] | None, *, retried: bool) -> None:
        super().__init__("the condition did not hold")
        self.item = item
        self.retried = retried


class WrongKey(Exception):
    """KMS says that this key, with this encryption context, has not encrypted this; the caller tells its user."""


class NoObject(Exception):
    """S3 has no object of this name; the caller tells its user."""


class ObjectExists(Exception):
    """S3 has an object of this name already, and was to write only a new one."""


def never_arrived(error: Exception | None) -> bool:
    """Whether a request that ended with this error cannot have reached DynamoDB."""
    if isinstance(error, ConnectTimeoutError):  # aiobotocore also calls those so that its httpx session has in writing
        return _kind(error) != "WriteTimeout"
    if isinstance(error, EndpointConnectionError):  # also raised for a connection lost after sending
        cause = error.kwargs.get("error")
        return isinstance(cause, (ClientConnectorError, socket.gaierror)) or _kind(error) == "ConnectError"
    return isinstance(error, (RepositoryClosedError, *_NEVER_ARRIVED))


def _kind(error: BotoCoreError) -> str | None:
    """The class of the httpx error behind it, by its name: httpx (or httpx2) need not be installed."""
    cause = type(error.kwargs.get("error"))
    return cause.__name__ if cause.__module__.partition(".")[0] in ("httpx", "httpx2") else None


def keeps_failing(error: Exception) -> bool:
    """Whether a client that failed with this would do so for ever, though another one might find credentials."""
    return isinstance(error, _LASTING)


def call_error(
    error: Exception,
    operation: str,
    request: Mapping[str, Any],
    *,
    asking: bool,
    sent: bool,
    retried: bool,
    unknown: bool,
) -> Exception:
    """What to raise for the `error` of a call; itself, where it is none of the SDK's.

    `asking` says that it came while credentials were asked for, `sent` whether anything was sent, `retried` whether an
    earlier attempt may have been applied, `unknown` whether that leaves the outcome of a write open.
    """
    what = f"{action_of(operation)} on table {table_of(request)!r}"
    if asking:
        return _no_credentials(error, f"{what} was not sent", unknown)
    if isinstance(error, ClientError):
        return _refusal(error, retried, unknown, table_of(request))
    if isinstance(error, ChatHistoryError) and not unknown:
        return error
    if sent and isinstance(error, TypeError) and _is_mocked():
        return SettingsError(
            f"{what} was answered by moto's mock_aws, which works with boto3, but not with asyncio (aiobotocore): use "
            "langchain_dynamodb.local.run_engine() or the pytest fixture langchain_dynamodb_environment instead"
        )
    if isinstance(error, BotoCoreError) or sent:
        told = f"{what} got no usable answer: {type(error).__name__}: {error} "
        told += "(Does DynamoDB answer at this region or endpoint_url?)"
        return StorageError(told, outcome_unknown=unknown)
    return error  # nothing was sent: the request itself is wrong


def key_error(
    error: Exception, operation: str, request: Mapping[str, Any], *, asking: bool, sent: bool, **_: bool
) -> Exception:
    """The same for a call of KMS, which changes nothing."""
    what = f"{action_of(operation)} with key {request['KeyId']!r} of KMS"
    if asking:
        return _no_credentials(error, f"{what} was not sent")
    if isinstance(error, ClientError):
        return _key_refusal(error, what)
    if isinstance(error, BotoCoreError) or (sent and not isinstance(error, ChatHistoryError)):
        told = f"{what} got no usable answer: {type(error).__name__}: {error} (Does KMS answer in this region?)"
        return StorageError(told)
    return error


def _key_refusal(error: ClientError, what: str) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _WRONG_KEY:
        return WrongKey(code)
    if code in _THROTTLED or code == "LimitExceededException":
        return ThrottledError(f"KMS throttled {what} through all retries ({code}). Retry later.", code=code)
    if code in _DENIED:
        action = f"kms:{error.operation_name}"
        told = f"AWS refused {what} ({code}). Check that the policies of the caller and of the key allow {action}"
        return KeyUnavailableError(f"{told}, with this encryption context.", code=code)
    if code in _NO_KEY:
        told = f"{what} is impossible ({code}): {_NO_KEY[code]}. What it has encrypted cannot be read without it."
        return KeyUnavailableError(told, code=code)
    return StorageError(f"{what} failed ({code}): {error}", code=code)


def object_error(
    error: Exception, operation: str, request: Mapping[str, Any], *, asking: bool, sent: bool, **_: bool
) -> Exception:
    """The same for a call of S3: what is written there nobody sees before its page is."""
    name, bucket = request.get("Key"), request["Bucket"]
    what = f"{''.join(part.capitalize() for part in operation.split('_'))} of "
    what += f"object {name!r} in bucket {bucket!r} of S3" if name else f"objects in bucket {bucket!r} of S3"
    if asking:
        return _no_credentials(error, f"{what} was not sent")
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "NoSuchKey":
            return NoObject(code)
        if code == "PreconditionFailed":
            return ObjectExists(code)
        told = f"{what} was refused ({code}): {_ABOUT_OBJECTS.get(code, error)}"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        again = status >= 500 or code in _OBJECTS_LATER
        return BlobUnavailableError(told, bucket=bucket, object=name, code=code, retryable=again)
    if isinstance(error, BotoCoreError) or (sent and not isinstance(error, ChatHistoryError)):
        told = f"{what} got no usable answer: {type(error).__name__}: {error} "
        told += "(Does S3 answer at this region, or at the endpoint of S3Blobs? Try again.)"
        return BlobUnavailableError(told, bucket=bucket, object=name, retryable=True)
    return error


def opening_error(error: Exception, region_name: str | None, endpoint_url: str | None) -> Exception:
    """What to raise where no client could be made."""
    if isinstance(error, ChatHistoryError):
        return error
    if isinstance(error, NoRegionError):
        return SettingsError("No AWS region is configured: pass region_name= or set AWS_DEFAULT_REGION.")
    if isinstance(error, InvalidRegionError):
        return SettingsError(f"No client could be made for region_name={region_name!r}: {error}")
    if isinstance(error, (ClientError, *_NO_CREDENTIALS)):
        return _no_credentials(error, "No client could be made")
    if isinstance(error, BotoCoreError):
        return StorageError(f"No client could be made: {error}")
    if type(error) is ValueError and str(error).startswith("Invalid"):
        return SettingsError(f"No client could be made for endpoint_url={endpoint_url!r}: {error}")
    return StorageError(f"No client could be made: {_unshown(error)}")


def action_of(operation: str) -> str:
    """AWS's name of a client's method: ``"update_item"`` is ``"UpdateItem"``."""
    return "".join(part.capitalize() for part in operation.split("_"))


def table_of(request: Mapping[str, Any]) -> str | None:
    """The table that a request is about."""
    return request.get("TableName") or next(iter(request.get("RequestItems", {})), None)


def _refusal(error: ClientError, retried: bool, unknown: bool, table: str | None) -> Exception:
    response: Mapping[str, Any] = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    if code == "ConditionalCheckFailedException":
        return ConditionFailed(response.get("Item"), retried=retried)
    facts: dict[str, Any] = {"code": code, "outcome_unknown": unknown}
    if code == "ResourceNotFoundException":
        return TableNotFoundError(
            f"There is no table {table!r} in this account and region. Check table_name, region_name and "
            "endpoint_url, or create it: `sessions.create_table()` of a (with `await`: Async)SessionRepository.",
            **facts,
        )
    if code in _DENIED:
        return AccessDeniedError(
            f"AWS refused {error.operation_name} on table {table!r} ({code}). Check that the credentials are valid "
            f"and that their policy allows dynamodb:{error.operation_name} on this table.",
            **facts,
        )
    if code in _THROTTLED:
        return ThrottledError(
            f"DynamoDB throttled {error.operation_name} on table {table!r} through all retries ({code}). "
            "Retry later, raise the table's capacity or pass config= with more retries.",
            **facts,
        )
    return StorageError(f"{error.operation_name} on table {table!r} failed: {error}", **facts)


def _no_credentials(error: Exception, told: str, unknown: bool = False) -> StorageError:
    """Credentials could not be obtained: for good (`AccessDeniedError`), or so that it may be tried again."""
    told = f"{told}: no credentials. "
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        told += f"{_SIGN_IN.get(error.operation_name, error.operation_name)} was refused ({code}). {_SOURCES}"
        kind = ThrottledError if code in _THROTTLED else AccessDeniedError if status < 500 else StorageError
        return kind(told, outcome_unknown=unknown)
    if isinstance(error, _UNREACHABLE):
        return StorageError(f"{told}{type(error).__name__}: {error}", outcome_unknown=unknown)
    if isinstance(error, BotoCoreError):
        told += f"{error} (Set up AWS credentials, or pass aws_session=; a history's is boto3_session=.)"
        return AccessDeniedError(told, outcome_unknown=unknown)
    return StorageError(f"{told}{_unshown(error)} {_SOURCES}", outcome_unknown=unknown)


def _unshown(error: Exception) -> str:
    """An error of code that is not the SDK's, such as a credential provider: its text may hold a secret."""
    return f"{type(error).__name__}, which is this error's __cause__ and says more."


def _is_mocked() -> bool:
    """Whether moto's ``mock_aws`` is active: it answers requests with objects that cannot be awaited."""
    stubber = getattr(sys.modules.get("moto.core.models"), "botocore_stubber", None)
    return bool(getattr(stubber, "enabled", False))
