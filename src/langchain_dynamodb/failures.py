"""What failed calls of the SDK raise, translated into what this package raises. Pure decisions, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import ClientConnectorError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
)

from .errors import (
    AccessDeniedError,
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
_NO_CREDENTIALS = (CredentialRetrievalError, NoCredentialsError, PartialCredentialsError, ProfileNotFound)
_NEVER_ARRIVED = (ConnectTimeoutError, ProxyConnectionError, SSLError)


class ConditionFailed(Exception):
    """The condition of a write did not hold; an answer to act on, never shown to a user.

    `item` is the item that failed it, where the engine returns it. `retried` means that an earlier attempt of this
    very call may have been applied, so that the condition may have failed because of that one.
    """

    def __init__(self, item: dict[str, Any] | None, *, retried: bool) -> None:
        super().__init__("the condition did not hold")
        self.item = item
        self.retried = retried


def never_arrived(error: Exception | None) -> bool:
    """Whether a request that ended with this error cannot have reached DynamoDB."""
    if isinstance(error, EndpointConnectionError):  # also raised for a connection lost after sending
        return isinstance(error.kwargs.get("error"), ClientConnectorError)
    return isinstance(error, (RepositoryClosedError, *_NEVER_ARRIVED))


def call_error(
    error: Exception, operation: str, request: Mapping[str, Any], *, sent: bool, retried: bool, unknown: bool
) -> Exception:
    """What to raise for the `error` of a call; itself, where it is none of the SDK's.

    `sent` says whether anything was, `retried` whether an earlier attempt may have been applied, `unknown` whether
    that leaves the outcome of a write open.
    """
    if isinstance(error, ClientError):
        return _refusal(error, retried, unknown, _table(request))
    if isinstance(error, _NO_CREDENTIALS):
        return _no_credentials(error, unknown)
    if isinstance(error, RepositoryClosedError) and not unknown:
        return error
    if isinstance(error, BotoCoreError) or sent:
        action = "".join(part.capitalize() for part in operation.split("_"))
        told = f"{action} on table {_table(request)!r} got no usable answer: {type(error).__name__}: {error} "
        told += "(Does DynamoDB answer at this region or endpoint_url?)"
        return StorageError(told, outcome_unknown=unknown)
    return error  # nothing was sent: the request itself is wrong


def opening_error(error: Exception, region_name: str | None, endpoint_url: str | None) -> Exception:
    """What to raise where no client could be made; the `error` itself, where it is none of the SDK's."""
    if isinstance(error, NoRegionError):
        return SettingsError("No AWS region is configured: pass region_name= or set AWS_DEFAULT_REGION.")
    if isinstance(error, _NO_CREDENTIALS):
        return _no_credentials(error)
    if isinstance(error, InvalidRegionError):
        return SettingsError(f"No client could be made for region_name={region_name!r}: {error}")
    if isinstance(error, (BotoCoreError, ClientError)):
        return StorageError(f"No client could be made: {error}")
    if isinstance(error, ValueError):
        return SettingsError(f"No client could be made for endpoint_url={endpoint_url!r}: {error}")
    return error


def _table(request: Mapping[str, Any]) -> str | None:
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


def _no_credentials(error: Exception, unknown: bool = False) -> AccessDeniedError:
    return AccessDeniedError(f"{error} (set up AWS credentials or pass aws_session=)", outcome_unknown=unknown)
