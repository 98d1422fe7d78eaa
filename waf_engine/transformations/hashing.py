"""Transformations to a digest. The result is the digest's raw bytes; rules add ``t:hexEncode``.

Source: ModSecurity v3 reference manual, "Transformation functions".
"""

from __future__ import annotations

import hashlib

from waf_engine.transformations._registry import transformations


@transformations.register("md5")
def md5(value: bytes) -> bytes:
    r"""The MD5 digest, 16 bytes.

    Example: t:md5 turns ``abc`` into ``\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96\x3f\x7d\x28\xe1\x7f\x72``
    """
    return hashlib.md5(value, usedforsecurity=False).digest()


@transformations.register("sha1")
def sha1(value: bytes) -> bytes:
    r"""The SHA-1 digest, 20 bytes.

    Example: t:sha1 turns ``abc`` into
    ``\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d``
    """
    return hashlib.sha1(value, usedforsecurity=False).digest()
