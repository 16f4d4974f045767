"""Does a gateway behave like the API behind it? Probes of the shapes that applications use, told apart by facts.

A probe is one request (`probes`). What came back is reduced to facts, each an aspect and its value (`facts`): the
status, a header, the type of a field, the order of events, the class of the error an SDK raised. Facts are compared
with those of the API itself, asked more than once so that what varies by itself is known (`comparing`), or, without
it, with what the API's clients need (`shapes`). A difference counts only if it comes back.
"""
