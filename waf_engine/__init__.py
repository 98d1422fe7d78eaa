"""SecLang rules for HTTP: parse, compile, execute. Knows nothing of HAProxy.

    waf = WAF.from_directives('''
        SecRuleEngine On
        SecRule ARGS "@rx <script" "id:1,phase:1,deny,msg:'script in %{MATCHED_VAR_NAME}'"
    ''')
    tx = waf.transaction()
    tx.process_uri("/?q=<script>", "GET", "HTTP/1.1")
    tx.process_request_headers()     # Interruption(action='deny', status=403, data='', rule_id=1)

The words are those of the ModSecurity and Coraza manuals: a *directive* is one statement of a rule file; a
*rule* tests *variables* (or members of *collections*, chosen by *selectors*), changed by *transformations*,
with an *operator*, and carries *actions*; rules run in five *phases*; a *transaction* is one HTTP exchange;
an *interruption* is the verdict that ends it.
"""

from __future__ import annotations

from waf_engine import forms as forms  # first: it decides which form of the others is imported
from waf_engine.actions import actions
from waf_engine.bodies import body_processors
from waf_engine.diagnostics import Diagnostic, SecLangError, Severity, Span
from waf_engine.directives import directives
from waf_engine.operators import operators
from waf_engine.persistence import CollectionStore, MemoryStore
from waf_engine.runtime.match import Interruption, MatchedRule, MatchedValue
from waf_engine.runtime.transaction import Transaction
from waf_engine.settings import Settings
from waf_engine.transformations import transformations
from waf_engine.variables import variables
from waf_engine.waf import WAF

__all__ = [
    "WAF",
    "CollectionStore",
    "Diagnostic",
    "Interruption",
    "MatchedRule",
    "MatchedValue",
    "MemoryStore",
    "SecLangError",
    "Settings",
    "Severity",
    "Span",
    "Transaction",
    "actions",
    "body_processors",
    "directives",
    "operators",
    "transformations",
    "variables",
]
