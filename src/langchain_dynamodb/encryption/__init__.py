"""Client-side encryption: keyrings, which make and unwrap the keys that sessions are encrypted with.

Needs the extra ``encryption``. docs/howto/encryption.md says what it protects, and what not.
"""

from __future__ import annotations

from .keyrings import DataKey, KeyLimits, Keyring, LocalKeyring
from .kms import KmsKeyring

__all__ = ["DataKey", "KeyLimits", "Keyring", "KmsKeyring", "LocalKeyring"]
