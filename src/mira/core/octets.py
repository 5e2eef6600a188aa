"""Single bytes by their numbers, for looking whether they are in others.

`CR in data` is one search. `b"\\r" in data` is tried as a number first, and the error of that costs ten times what the
search does; for the same reason longer ones are looked for with `find` where it happens often.
"""

NUL, LF, CR, QUOTE, BRACKET = b'\0\n\r"['
