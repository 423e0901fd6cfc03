"""A keyring whose key is in AWS KMS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._checks import short
from .._dynamodb.client_settings import ConnectionSettings
from .._dynamodb.connection import Connection
from .._dynamodb.failures import WrongKey
from ..errors import InvalidInputError, KeyUnavailableError
from .ciphers import cryptography
from .keyrings import DataKey, KeyLimits, check_old, checked_limits


@dataclass(frozen=True, init=False)
class KmsKeyring:
    """A symmetric key of AWS KMS, by id, ARN or alias.

    To begin sessions takes kms:GenerateDataKey, to read or change them kms:Decrypt.

    `context` is KMS's encryption context: key policies may depend on it, and CloudTrail shows it. Only with the very
    same one can a session be read. `old` keys unwrap what they have wrapped, and wrap no more; that KMS rotates a key
    needs nothing. `aws_session`, `region_name`, `endpoint_url` and `config` are those of KMS, as of the repository.

    Raises `InvalidInputError`, and `SettingsError` where cryptography is not installed.
    """

    key_id: str
    old: tuple[str, ...]
    context: tuple[tuple[str, str], ...]
    limits: KeyLimits
    settings: ConnectionSettings = field(repr=False)
    _connection: Connection = field(repr=False, compare=False)

    def __init__(
        self,
        key_id: str,
        *,
        context: Mapping[str, str] | None = None,
        old: Sequence[str] = (),
        limits: KeyLimits | None = None,
        aws_session: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        config: Any = None,
    ) -> None:
        cryptography()
        check_old(old)
        for one in (key_id, *old):
            if not isinstance(one, str) or not one:
                raise InvalidInputError(f"{short(one)} must be a key of KMS: its id, its ARN or an alias (alias/...)")
        settings = ConnectionSettings(endpoint_url, region_name, aws_session, config, "kms")
        set_field = object.__setattr__
        set_field(self, "key_id", key_id)
        set_field(self, "old", tuple(old))
        set_field(self, "context", _checked_context(context or {}))
        set_field(self, "limits", checked_limits(limits))
        set_field(self, "settings", settings)
        set_field(self, "_connection", Connection(settings))

    @property
    def present(self) -> KmsKeyring:
        """The same without the old keys: it unwraps what needs no new key."""
        of = self.settings
        return KmsKeyring(
            self.key_id,
            context=dict(self.context),
            limits=self.limits,
            aws_session=of.aws_session,
            region_name=of.region_name,
            endpoint_url=of.endpoint_url,
            config=of.config,
        )

    async def generate(self) -> DataKey:
        """See `Keyring`. One request."""
        request = {"KeyId": self.key_id, "KeySpec": "AES_256", **self._context}
        response = await self._connection.call("generate_data_key", request)
        return DataKey(response["Plaintext"], response["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes) -> bytes | None:
        """See `Keyring`. One request, and one for each key that has not wrapped it."""
        unavailable: KeyUnavailableError | None = None
        for key_id in (self.key_id, *self.old):
            # Named, so that nobody can make us use a key of theirs.
            request = {"KeyId": key_id, "CiphertextBlob": wrapped, **self._context}
            try:
                plain: bytes = (await self._connection.call("decrypt", request))["Plaintext"]
            except WrongKey:
                continue
            except KeyUnavailableError as error:  # another one may have wrapped it
                unavailable = unavailable or error
                continue
            return plain
        if unavailable:
            raise unavailable
        return None

    async def aclose(self) -> None:
        """Let go of the client of KMS, which otherwise ends with the event loop; the next use makes another."""
        await self._connection.aclose()
        self._connection.reopen()

    @property
    def _context(self) -> dict[str, Any]:
        return {"EncryptionContext": dict(self.context)} if self.context else {}


def _checked_context(context: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(context, Mapping) or not all(isinstance(s, str) and s for pair in context.items() for s in pair):
        raise InvalidInputError("context= must be a mapping of texts to texts, none of them empty")
    return tuple(sorted(context.items()))
