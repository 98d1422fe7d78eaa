"""Bodies into variables: chooses the body processor, runs it, and spreads its result over the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waf_engine.types import BodyContext, BodyLimits, encode_argument

if TYPE_CHECKING:
    from waf_engine.runtime.transaction import Transaction


def attach_request(tx: Transaction) -> None:
    """Parse the request's body and fill ARGS_POST, FILES, XML and their kin.

    Called once, before phase 2. An empty body, or one that no processor was chosen for, is left alone.
    """
    request = tx.request
    if request.processed or not tx.request_body_access:
        return
    request.processed = True
    if not request.body:
        return
    if not request.processor and tx.force_request_body_variable:
        request.processor = "URLENCODED"
    if not request.processor:
        return
    processor = tx.body_processors.get(request.processor)
    if processor is None:
        request.error = f"{request.processor}: no such body processor"
        return
    content_type = next((v for k, v in reversed(request.headers) if k.lower() == b"content-type"), b"")
    context = _context(tx, content_type, over_limit=request.body_over_limit, cut_before=tx.request_may_be_cut)
    result = processor(bytes(request.body), context)
    request.args_post = result.args
    request.files = result.files
    request.part_headers = result.part_headers
    request.multipart_names = result.multipart_names
    request.multipart_filenames = result.multipart_filenames
    request.flags.update(result.flags)
    request.xml = result.xml
    request.expose_body = result.expose_body
    for key, value in result.tx.items():
        tx.set_tx(key, value)
    tx.keys_of_body = frozenset(key.lower() for key in result.tx)
    if result.error:
        request.error = f"{request.processor}: {result.error}"
    elif _beyond_files(tx):
        request.error = f"{request.processor}: the body, its files left out, is larger than SecRequestBodyNoFilesLimit"


def _beyond_files(tx: Transaction) -> bool:
    """Whether what is no file is larger than allowed; it was parsed all the same, so that rules see it."""
    limit = tx.plan.settings.request_body_no_files_limit
    return 0 < limit < len(tx.request.body) - sum(len(file.content) for file in tx.request.files)


def attach_response(tx: Transaction) -> None:
    """Parse the response's body if a processor was chosen for it (``ctl:responseBodyProcessor``)."""
    response = tx.response
    if not response.body or not response.processor:
        return
    processor = tx.body_processors.get(response.processor)
    if processor is None:
        response.error = f"{response.processor}: no such body processor"
        return
    over_limit, cut_before = response.body_over_limit, tx.response_may_be_cut
    context = _context(tx, response.content_type, over_limit=over_limit, cut_before=cut_before)
    result = processor(bytes(response.body), context)
    response.args, response.xml = result.args, result.xml
    # A processor names its members of TX for a request; Coraza has json_response_body beside json_request_body.
    tx.tx.update({name.replace(b"request", b"response"): value for name, value in result.tx.items()})
    if result.error:
        response.error = f"{response.processor}: {result.error}"


def _context(tx: Transaction, content_type: bytes, *, over_limit: bool, cut_before: bool) -> BodyContext:
    settings = tx.plan.settings
    return BodyContext(
        content_type=content_type,
        limits=BodyLimits(
            arguments=settings.arguments_limit, depth=settings.json_depth_limit, files=settings.upload_file_limit
        ),
        separator=encode_argument(settings.argument_separator),
        json_keys=settings.json_keys,
        truncated=over_limit or cut_before,
        cut_before=cut_before,
        tick=tx.tick,
    )
