"""Unicode to ASCII, as IIS fits it: the table of urlDecodeUni.

These are the facts of Microsoft's best fit for code page 20127 (US-ASCII), the section of ModSecurity's
unicode.mapping that the CRS containers load and that Coraza has built in (its issue 1649). It is what one decoder
does, no defence against letters that merely look alike.
"""

from __future__ import annotations

# First code point, and what it and those after it become; "?" stands for no entry.
_RUNS = (
    (0x00A0, " !c?$Y|??Ca<?-R???23???.,1o>????"),
    (0x00C0, "AAAAAAACEEEEIIIIDNOOOOO?OUUUUY??"),
    (0x00E0, "aaaaaaaceeeeiiii?nooooo?ouuuuy?y"),
    (0x0100, "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi??JjKk?LlLlLl?"),
    (0x0140, "?LlNnNnNn???OoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZ?ZzZz?"),
    (0x0180, "b????????D???????Ff????I??l????OOo?????????t??TUu?????z"),
    (0x01CD, "AaIiOoUuUuUuUuUu?Aa"),
    (0x01E4, "GgGgKkOoOo??j"),
    (0x0261, "g"),
    (0x02B9, "'\"?'???????^?^?'??`?_??????????????~"),
    (0x0300, '`?^~??????????"'),
    (0x0331, "__"),
    (0x2000, "       ?????????--?--???'',?\"\"\"???.???.???????????'??`???<>"),
    (0x2122, "T"),
    (0xFF01, "".join(map(chr, range(0x21, 0x3F)))),
    (0xFF20, "".join(map(chr, range(0x40, 0x7F)))),
)

BEST_FIT = {
    (first + offset).to_bytes(2, "big"): char.encode()
    for first, chars in _RUNS
    for offset, char in enumerate(chars)
    if char != "?"
} | {b"\xff\x1f": b"?"}
"""Two bytes of a UTF-16 code unit to the byte of ASCII that fits best."""
