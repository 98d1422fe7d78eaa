"""The OWASP CRS: found where it is installed, fetched, kept in several versions, compared.

- `find`: what names such as ``@owasp_crs/*.conf`` mean on this machine; all that the agent needs.
- `store`: the versions side by side, and which of them is pinned.
- `fetch`, `verify`, `archive`: from a URL or file to a folder of rules, each step bounded and checked.
- `compare`: which rules two versions do not share.
- `arguments`, `command`: ``spoa-waf crs``.
"""
