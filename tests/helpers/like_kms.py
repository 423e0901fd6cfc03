"""A keyring for measurements: its wrapped keys are as large as those of AWS KMS, and calls of it are counted."""

from __future__ import annotations

from typing import Any

from langchain_dynamodb.cost import KMS_WRAPPED_BYTES
from langchain_dynamodb.encryption import DataKey, LocalKeyring


class LikeKms(LocalKeyring):
    """A local key; filler makes what it wraps as large as KMS does."""

    def __init__(self, key: bytes, **options: Any) -> None:
        super().__init__(key, **options)
        object.__setattr__(self, "calls", [])

    async def generate(self) -> DataKey:
        """See `Keyring`."""
        self.calls.append("generate")  # type: ignore[attr-defined]
        plain, wrapped = await super().generate()
        return DataKey(plain, wrapped.ljust(KMS_WRAPPED_BYTES, b"\0"))

    async def unwrap(self, wrapped: bytes) -> bytes | None:
        """See `Keyring`."""
        self.calls.append("unwrap")  # type: ignore[attr-defined]
        return await super().unwrap(wrapped[: 12 + 32 + 16])
