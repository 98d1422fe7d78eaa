"""Rules: raw digests, of any bytes."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from waf_engine.transformations.hashing import md5, sha1


@given(st.binary())
def test_digests_are_raw(value: bytes):
    assert md5(value) == hashlib.new("md5", value).digest()
    assert sha1(value) == hashlib.new("sha1", value).digest()


def test_of_nothing():
    assert md5(b"").hex() == "d41d8cd98f00b204e9800998ecf8427e"
    assert sha1(b"").hex() == "da39a3ee5e6b4b0d3255bfef95601890afd80709"
