# Invariant: nothing raises, whatever the XPath; texts are trimmed and not empty; the results are bounded; a document
# type declaration multiplies nothing; a body that was cut is no worse than the whole.
"""Fuzz target of XML bodies, and of markup that is none.

With atheris: ``python fuzz/fuzz_body_xml.py fuzz/corpus/body_xml``
without it: tests/waf_engine/test_fuzz_targets.py.
"""

from __future__ import annotations

import sys

from waf_engine.bodies.markup import read_markup
from waf_engine.bodies.xml import attribute_values, process_xml, text_values, xpath
from waf_engine.types import BodyContext

PIECES = rb"""<a> </a> <b/> <!-- --> <![CDATA[ ]]> ]> <?p ?> &x; &lt; &#60; & < > " = <p:a> x""".split()
PIECES += [
    b"<a b='c'>",
    b" xmlns:p='u'",
    b"<!DOCTYPE a [",
    b"<!ENTITY x 'y'>",
    b"\x00",
    b"\xff",
    b"\xfe",
    b"\xef\xbb\xbf",
]
PIECES += [b"<?xml version='1.0' encoding='utf-16'?>", b" "]


def fuzz(content: bytes) -> None:
    """Read some bytes as XML and hold the invariant."""
    result = process_xml(content, BodyContext())
    document = result.xml
    texts, attributes = text_values(document), attribute_values(document)
    assert all(texts)
    assert sum(map(len, texts)) + sum(map(len, attributes)) <= 8 * len(content) + 100
    bound = 8 * len(content) * (1 + content.count(b"<")) + 100  # nested elements contain one another's texts
    for expression in ("/*", "//@*", "//a[1]/text()", "string(//a)", "//p:a"):
        assert sum(map(len, xpath(document, expression, {"p": "u"}))) <= bound
    read_markup(content)
    assert result.error or not process_xml(content, BodyContext(truncated=True)).error


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
