"""Large data in S3: what a page above a threshold holds becomes an object, and the page keeps a reference to it.

docs/howto/large-data.md says when that pays, what it costs, and how to clean up.
"""

from __future__ import annotations

from .s3 import S3Blobs

__all__ = ["S3Blobs"]
