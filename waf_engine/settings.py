"""What directives set for a whole rule set, and what the embedding program allows.

`Settings` is frozen: the compiler makes one from the directives (`directives/`), a plan carries it, and a
transaction copies the few fields that ``ctl`` may change for one exchange. Defaults are Coraza 3.7's
where it has one (shared semantics: engine.md 1.1), else ModSecurity's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class EngineMode(StrEnum):
    """SecRuleEngine: whether rules run and whether they may interrupt."""

    ON = "On"
    OFF = "Off"
    DETECTION_ONLY = "DetectionOnly"


class LimitAction(StrEnum):
    """What happens to a body beyond its limit."""

    REJECT = "Reject"
    PROCESS_PARTIAL = "ProcessPartial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a rule set; sizes in bytes, times in seconds.

    Attributes:
        rule_engine: SecRuleEngine.
        request_body_access: SecRequestBodyAccess.
        request_body_limit: SecRequestBodyLimit; a body of this size or more is over the limit.
        request_body_limit_action: SecRequestBodyLimitAction.
        request_body_in_memory_limit: SecRequestBodyInMemoryLimit.
        request_body_no_files_limit: SecRequestBodyNoFilesLimit; a body beyond it, files left out, sets REQBODY_ERROR.
        json_depth_limit: SecRequestBodyJsonDepthLimit.
        arguments_limit: SecArgumentsLimit.
        argument_separator: SecArgumentSeparator.
        response_body_access: SecResponseBodyAccess.
        response_body_limit: SecResponseBodyLimit.
        response_body_limit_action: SecResponseBodyLimitAction.
        response_body_mime_types: SecResponseBodyMimeType.
        upload_file_limit: SecUploadFileLimit.
        upload_dir: SecUploadDir, else SecTmpDir, absolute; empty for the system's folder of temporary files.
        upload_keep_files: SecUploadKeepFiles: ``On``, ``Off`` or ``RelevantOnly`` (a rule with log matched).
        upload_file_mode: SecUploadFileMode.
        component_signatures: SecComponentSignature, in order.
        server_signature: SecServerSignature.
        sensor_id: SecSensorId.
        web_app_id: SecWebAppId, the name space of persistent collections.
        collection_timeout: SecCollectionTimeout: seconds after its last change until a collection expires.
        pcre_match_limit: SecPcreMatchLimit: the bound on a pattern that RE2 does not take.
        json_keys: names of JSON leaves, ``coraza`` or ``modsecurity``.
        libinjection: path of the C library; empty: it is looked for.
        allow_inspect_file: whether ``@inspectFile`` may start programs (a setting of the program, not a directive).
        geo_database: SecGeoLookupDb: the path of an MMDB file; or a function from an address to its record, or None.
        audit_engine: SecAuditEngine: ``On``, ``Off`` or ``RelevantOnly``.
        audit_log: SecAuditLog: a file as an absolute path, or the address of the HTTPS or Syslog writer.
        audit_log_2: SecAuditLog2: a second index file for Concurrent.
        audit_log_parts: SecAuditLogParts.
        audit_log_type: SecAuditLogType: the name of a writer.
        audit_log_format: SecAuditLogFormat: the name of a format.
        audit_log_storage_dir: SecAuditLogStorageDir, absolute.
        audit_log_dir_mode: SecAuditLogDirMode. Narrower than Coraza's: the log holds what clients sent.
        audit_log_file_mode: SecAuditLogFileMode.
        audit_log_relevant_status: SecAuditLogRelevantStatus: a pattern of statuses; empty for none.
        debug_log: SecDebugLog, an absolute path; empty for none.
        debug_log_level: SecDebugLogLevel, 0 to 9.
        rbl_resolver: what answers ``@rbl`` at once from what it knows: a name to the list's answer, an empty text when
            it is not listed, None when it is not known yet (see `waf_engine.rbl`). None: ``@rbl`` never matches.
    """

    rule_engine: EngineMode = EngineMode.ON
    request_body_access: bool = False
    request_body_limit: int = 134_217_728
    request_body_limit_action: LimitAction = LimitAction.REJECT
    request_body_in_memory_limit: int = 131_072
    request_body_no_files_limit: int = 0
    json_depth_limit: int = 1024
    arguments_limit: int = 1000
    argument_separator: str = "&"
    response_body_access: bool = False
    response_body_limit: int = 524_288
    response_body_limit_action: LimitAction = LimitAction.PROCESS_PARTIAL
    response_body_mime_types: tuple[str, ...] = ("text/html", "text/plain")
    upload_file_limit: int = 100
    upload_dir: str = ""
    upload_keep_files: str = "Off"
    upload_file_mode: int = 0o600
    component_signatures: tuple[str, ...] = ()
    server_signature: str = ""
    sensor_id: str = ""
    web_app_id: str = "default"
    collection_timeout: int = 3600
    pcre_match_limit: int = 100_000
    json_keys: str = "coraza"
    libinjection: str = ""
    audit_engine: str = "Off"
    audit_log: str = ""
    audit_log_2: str = ""
    audit_log_parts: str = "ABCFHZ"
    audit_log_type: str = "Serial"
    audit_log_format: str = "Native"
    audit_log_storage_dir: str = ""
    audit_log_dir_mode: int = 0o750
    audit_log_file_mode: int = 0o640
    audit_log_relevant_status: str = ""
    debug_log: str = ""
    debug_log_level: int = 0
    allow_inspect_file: bool = False
    geo_database: str | Callable[[str], Any] = ""
    rbl_resolver: Callable[[str], str | None] | None = None
