"""The compiler's state while it walks a rule set: settings so far, drafts, defaults, faults.

Directives (`directives/`) change it; `lower.py` walks and freezes. `Context` is what operators and actions
are given of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from waf_engine.compiler.key_patterns import plain_selector
from waf_engine.compiler.plan import Exclusion
from waf_engine.diagnostics import ArgumentError, Diagnostic, Severity, Span
from waf_engine.loaders import EMBEDDED, read_data_file
from waf_engine.patterns import compile_pattern
from waf_engine.runtime.macros import compile_macro
from waf_engine.seclang.parser import parse_variables
from waf_engine.types import encode_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from waf_engine.actions import Action
    from waf_engine.audit.registry import AuditFormat, WriterFactory
    from waf_engine.compiler.draft import RuleDraft
    from waf_engine.compiler.plan import KeyPattern, Variable
    from waf_engine.directives.registry import DirectiveHandler
    from waf_engine.registry import Registry
    from waf_engine.runtime.macros import CompiledMacro
    from waf_engine.seclang.ast import ActionRef, VariableRef
    from waf_engine.types import BodyProcessor, OperatorFactory, Transformation


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """All names that rules may use; a plug-in's additions go to copies."""

    operators: Registry[OperatorFactory]
    transformations: Registry[Transformation]
    actions: Registry[Action]
    variables: Registry[Variable]
    directives: Registry[DirectiveHandler]
    body_processors: Registry[BodyProcessor]
    audit_formats: Registry[AuditFormat]
    audit_writers: Registry[WriterFactory]


class State:
    """What the compiler knows so far."""

    def __init__(
        self,
        registries: Registries,
        settings: dict[str, Any],
        root: Path | None,
        embedded: Mapping[str, Path] = EMBEDDED,
    ) -> None:
        self.registries = registries
        self.root = root
        self.embedded = embedded
        self.settings = settings
        self.drafts: list[RuleDraft] = []
        self.ids: dict[int, RuleDraft] = {}
        self.defaults: dict[int, tuple[ActionRef, ...]] = {}
        self.datasets: dict[str, tuple[bytes, ...]] = {}
        self.diagnostics: list[Diagnostic] = []
        self.overrides: list[tuple[int, str]] = []  # see Plan.overrides
        self.exclusions: list[Exclusion] = []  # that `ctl` can make, in order: a snapshot names them by their place
        self.at_end: dict[str, Callable[[], None]] = {}  # checks that need all directives, the last of each name
        self.variables: Mapping[str, Variable] = {
            name.upper(): variable for name in registries.variables if (variable := registries.variables.get(name))
        }

    def fault(self, span: Span, code: str, message: str, hint: str = "") -> None:
        """Report an error: the rule set will be refused."""
        self.diagnostics.append(Diagnostic(Severity.ERROR, code, message, span, hint))

    def warn(self, span: Span, code: str, message: str, hint: str = "") -> None:
        """Report something that is probably not meant."""
        self.diagnostics.append(Diagnostic(Severity.WARNING, code, message, span, hint))

    def refuse(self, span: Span, error: ArgumentError) -> None:
        """Report an `ArgumentError` at its place in the argument that begins at a span."""
        place = Span(span.file, span.line, span.column + error.offset)
        self.fault(place, error.code, error.message, error.hint)

    def context(self, span: Span) -> Context:
        """What an operator or action at this place may ask for."""
        return Context(self, span)

    def pattern(self, text: str) -> KeyPattern:
        """A regex selector, compiled; keys are matched without regard to case.

        Raises:
            ArgumentError: the pattern is refused.
        """
        caseless = b"(?i)"
        try:
            search = compile_pattern(caseless + encode_argument(text), self.settings["pcre_match_limit"]).search
        except ArgumentError as error:
            error.offset = max(0, error.offset - len(caseless))
            raise
        return plain_selector(text, lambda key: search(key) is not None)

    def exclusion(self, ref: VariableRef) -> Exclusion | None:
        """What a target names, as an exclusion; a fault is reported."""
        variable = self.variables.get(ref.name.upper())
        if variable is None:
            hint = self.registries.variables.suggest(ref.name)
            self.fault(ref.span, "unknown-variable", f"unknown variable {ref.name!r}", hint)
            return None
        if ref.selector is None:
            return Exclusion(variable.name)
        if not ref.is_regex:
            return Exclusion(variable.name, encode_argument(ref.selector).lower())
        try:
            return Exclusion(variable.name, pattern=self.pattern(ref.selector))
        except ArgumentError as error:
            self.refuse(ref.selector_span, error)
            return None


@dataclass(frozen=True, slots=True)
class Context:
    """A `CompileContext` and an `ActionContext`, for what stands at one place."""

    state: State
    span: Span
    variables: Mapping[str, Variable] = field(init=False)
    transformations: Registry[Transformation] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", self.state.variables)
        object.__setattr__(self, "transformations", self.state.registries.transformations)

    def macro(self, text: str, offset: int = 0) -> CompiledMacro:
        """Compile a text that may contain macros; raises `ArgumentError`."""
        return compile_macro(text, self.state.variables, offset)

    def read_data(self, name: str) -> bytes:
        """The content of a data file; raises `ArgumentError`."""
        return read_data_file(name, self.span.file, self.state.root, embedded=self.state.embedded)

    def dataset(self, name: str) -> Sequence[bytes]:
        """The lines of a SecDataset; raises `ArgumentError`."""
        found = self.state.datasets.get(name)
        if found is None:
            known = ", ".join(self.state.datasets) or "none"
            raise ArgumentError(f"there is no SecDataset {name!r}; known before this line: {known}", code="no-dataset")
        return found

    def setting(self, name: str) -> Any:
        """A setting by its name."""
        return self.state.settings[name]

    def warn(self, message: str, hint: str = "") -> None:
        """Report something that is probably not meant."""
        self.state.warn(self.span, "suspicious", message, hint)

    def exclusions(self, text: str, offset: int = 0) -> Sequence[Exclusion]:
        """The exclusions that a list of targets names; raises `ArgumentError`."""
        refs, faults = parse_variables(text, self.span)
        known = len(self.state.diagnostics)
        exclusions = [found for ref in refs if (found := self.state.exclusion(ref))]
        faults = (*faults, *self.state.diagnostics[known:])
        del self.state.diagnostics[known:]  # raised instead, for only the caller knows where the text begins
        if faults:
            column = faults[0].span.column - self.span.column
            raise ArgumentError(faults[0].message, hint=faults[0].hint, offset=offset + column, code=faults[0].code)
        self.state.exclusions += exclusions
        return exclusions
