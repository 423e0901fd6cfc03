"""Everything this package raises.

::

    ChatHistoryError
    ├── InvalidInputError (also a ValueError)      the call was wrong; nothing was written
    │   ├── InvalidCursorError                     a cursor of another listing, or damaged
    │   ├── UnsupportedMessageError                a value that cannot be stored exactly; names its path
    │   ├── MessageTooLargeError                   above a size limit; nothing was written
    │   └── SettingsError                          the repository's settings, not the data, have to change
    ├── IdempotencyError                           the same idempotency key with other messages
    ├── VersionConflictError                       expected_version is not the session's version
    ├── WrongRegionError                           another region writes this session
    ├── SessionBusyError                           another writer held the session for too long
    ├── SessionNotFoundError                       there is no such session, and the call was not to begin one
    ├── MessageNotFoundError                       no stored message has this id
    ├── ItemFormatError                            the item is not in the format this repository writes
    │   └── ForeignItemError                       the item is no chat session of ours or langchain_community's
    ├── IncompleteSessionError                     a page is not there yet (a replica lags); try again
    ├── CorruptSessionError                        what is stored cannot be read; names item and attribute
    │   └── BlobDamagedError                       an object is missing or changed; names it and its bucket
    ├── EncryptionError                            a session is encrypted, and cannot be read or changed here
    │   ├── MissingKeyError                        this repository has no encryption=
    │   ├── KeyUnavailableError                    the key may not be used, or is disabled or deleted
    │   └── DecryptionError                        another key, or tampered with (also a CorruptSessionError)
    ├── MissingBlobsError                          data of the session is in a bucket; there is no blobs=
    ├── RepositoryClosedError                      used after close() or aclose()
    ├── OutcomeUnknownError                        the write may or may not have happened
    └── StorageError                               DynamoDB refused or could not be reached
        ├── TableNotFoundError
        ├── AccessDeniedError
        ├── ThrottledError
        └── BlobUnavailableError                   S3 refused or could not be reached; names object and bucket

Each one says in its message what to do. An error other than `OutcomeUnknownError` means that the call changed nothing.
The exception is a `delete` that fails half-way: the session may be hidden already; the next `delete` removes the rest.

Two warnings tell what is stored, but comes back as something else (``strict=True`` makes them errors, and
``warnings.filterwarnings`` hides them)::

    UserWarning
    ├── UnregisteredClassWarning                   an object is stored as its data; once for each class
    └── OmittedValueWarning                        a value is left out and reads as None, or a registered object is data
"""

from __future__ import annotations


class ChatHistoryError(Exception):
    """Root of all errors of this package."""


class InvalidInputError(ChatHistoryError, ValueError):
    """An argument cannot be used; the message names its value and the fix. Nothing was written."""


class InvalidCursorError(InvalidInputError):
    """A cursor that this listing did not give, or a damaged one."""


class UnsupportedMessageError(InvalidInputError):
    """A message holds something that would not come back as it went in, or is an instruction (`RemoveMessage`).

    `path` says where, for example ``messages[1].additional_kwargs['when']``.
    """

    def __init__(self, message: str, *, path: str) -> None:
        super().__init__(message)
        self.path = path


class MessageTooLargeError(InvalidInputError):
    """Above a size limit: `size` and `limit` in bytes. Nothing was written."""

    def __init__(self, message: str, *, size: int, limit: int) -> None:
        super().__init__(message)
        self.size = size
        self.limit = limit


class SettingsError(InvalidInputError):
    """What the program was set up with does not fit: no region, a bad endpoint, keys that the table does not have."""


class IdempotencyError(ChatHistoryError):
    """This idempotency key was already used on this session for other messages. Nothing was written."""


class VersionConflictError(ChatHistoryError):
    """The session's version is `actual`, not the `expected` one (0 means: no such session). Nothing was written."""

    def __init__(self, message: str, *, expected: int, actual: int) -> None:
        super().__init__(message)
        self.expected = expected
        self.actual = actual


class WrongRegionError(ChatHistoryError):
    """The session is written by another region: `home`, not `here`. Nothing was written (docs/howto/global-tables.md).

    Send the request there; or, once that region writes no more and has been replicated, call `take_over`.
    """

    def __init__(self, message: str, *, home: str, here: str) -> None:
        super().__init__(message)
        self.home = home
        self.here = here


class SessionBusyError(ChatHistoryError):
    """Other writers kept the session for longer than we wait. Nothing was written; try again."""


class ItemFormatError(ChatHistoryError):
    """The stored item is not in the format that this repository writes. Nothing was written."""


class ForeignItemError(ItemFormatError):
    """The item at this key is neither a chat session of ours nor one of langchain_community's. It was left as it is.

    `item` is the item's key.
    """

    def __init__(self, message: str, *, item: str) -> None:
        super().__init__(message)
        self.item = item


class SessionNotFoundError(ChatHistoryError):
    """There is no such session (it was deleted, has expired or never began), and the call was not to begin one."""


class MessageNotFoundError(ChatHistoryError):
    """The session has no message with the id `message_id`. Nothing was written."""

    def __init__(self, message: str, *, message_id: str) -> None:
        super().__init__(message)
        self.message_id = message_id


class IncompleteSessionError(ChatHistoryError):
    """A page of a session that changed just now is not there yet, as on a replica that lags behind. Try again.

    `item` is the page's key.
    """

    def __init__(self, message: str, *, item: str) -> None:
        super().__init__(message)
        self.item = item


class CorruptSessionError(ChatHistoryError):
    """What is stored cannot be read.

    `item` is the item's key, `attribute` the attribute (None: the item as a whole, or it is missing).
    """

    def __init__(self, message: str, *, item: str, attribute: str | None = None) -> None:
        super().__init__(message)
        self.item = item
        self.attribute = attribute


class BlobDamagedError(CorruptSessionError):
    """An object that a page refers to is missing, or is not what was written; `item` is the page's key.

    `object` is the object's name, `bucket` that of its bucket.
    """

    def __init__(self, message: str, *, item: str, attribute: str, bucket: str, object: str) -> None:
        super().__init__(message, item=item, attribute=attribute)
        self.bucket = bucket
        self.object = object


class MissingBlobsError(ChatHistoryError):
    """Data of the session is in objects of `bucket`, and this repository was made without `blobs`. Nothing was done."""

    def __init__(self, message: str, *, bucket: str) -> None:
        super().__init__(message)
        self.bucket = bucket


class EncryptionError(ChatHistoryError):
    """A session is encrypted, and cannot be decrypted here. Nothing was written."""


class MissingKeyError(EncryptionError):
    """The session is encrypted, and this repository was made without `encryption`."""


class KeyUnavailableError(EncryptionError):
    """The key cannot be used: no permission, or it is disabled, deleted or unknown. `code` is AWS's error code."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class DecryptionError(EncryptionError, CorruptSessionError):
    """What is stored was encrypted with another key, or tampered with: changed, moved or exchanged."""


class RepositoryClosedError(ChatHistoryError):
    """The repository was used after `close()` or `aclose()` (and not entered again since)."""


class OutcomeUnknownError(ChatHistoryError):
    """The write may or may not have happened, and it can no longer be told which. Read the session before retrying."""


class StorageError(ChatHistoryError):
    """DynamoDB refused the request or could not be reached.

    `code` is DynamoDB's error code where there is one. `outcome_unknown` is True where the request may
    have been applied all the same; the repository settles that before it raises anything to its caller.
    """

    def __init__(self, message: str, *, code: str | None = None, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.outcome_unknown = outcome_unknown


class TableNotFoundError(StorageError):
    """There is no such table in this account and region."""


class AccessDeniedError(StorageError):
    """The credentials do not allow the operation (or there are none)."""


class ThrottledError(StorageError):
    """DynamoDB throttled the request and kept doing so through all retries."""


class BlobUnavailableError(StorageError):
    """S3 refused a request, or could not be reached; `retryable` tells whether the same may succeed in a moment.

    `bucket` is the bucket, `object` the object's name (None: several). `code` is S3's error code where there is one.
    """

    def __init__(
        self, message: str, *, bucket: str, object: str | None, code: str | None = None, retryable: bool = False
    ) -> None:
        super().__init__(message, code=code)
        self.bucket = bucket
        self.object = object
        self.retryable = retryable


class UnregisteredClassWarning(UserWarning):
    """An object in a message comes back as its data, since its class is not registered; once for each class.

    `path` says where, `cls` is the class. `register_class` brings the object back, and what is stored already too.
    """

    def __init__(self, message: str, *, path: str, cls: type) -> None:
        super().__init__(message)
        self.path = path
        self.cls = cls


class OmittedValueWarning(UserWarning):
    """A value in a message is left out and reads as None: nothing is known of its type.

    Or an object of a registered class reads as its data: a part of it is left out, or it has more than its fields.

    `path` says where, `cls` is the type.
    """

    def __init__(self, message: str, *, path: str, cls: type) -> None:
        super().__init__(message)
        self.path = path
        self.cls = cls
