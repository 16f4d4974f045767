"""What differs between the answers of a gateway and those of the API behind it.

Both are asked several times. An aspect on which the API's own answers disagree varies by itself and is not compared;
one on which they agree is a difference only if no answer of the gateway agrees with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opsconsole.staging.checking.aspects import Facts
from opsconsole.staging.checking.shapes import Shape, Unmet


def differing(gateway: Sequence[Facts], direct: Sequence[Facts]) -> list[Unmet]:
    """What is the same in every direct answer and in none through the gateway."""
    found: list[Unmet] = []
    for aspect in {aspect for facts in (*gateway, *direct) for aspect in facts}:
        values = {facts.get(aspect) for facts in direct}
        if len(values) == 1 and values.isdisjoint(here := [facts.get(aspect) for facts in gateway]):
            found.append(Unmet(aspect, values.pop(), here[-1]))
    return _telling(found)


def unmet(gateway: Sequence[Facts], shape: Shape) -> list[Unmet]:
    """What a shape expects and no answer has."""
    each = [{miss.aspect: miss for miss in shape.unmet(facts)} for facts in gateway]
    common = set.intersection(*(set(misses) for misses in each))
    return _telling(each[-1][aspect] for aspect in common)


def _telling(found: Iterable[Unmet]) -> list[Unmet]:
    """What weighs most first, without what only follows from something else."""
    kept: list[Unmet] = []
    fields: set[tuple[str, str]] = set()
    kinds: set[str] = set()
    for each in sorted(found, key=lambda miss: miss.aspect.weight):
        what, path, event = each.aspect
        if what in ("field", "spelling", "value"):
            if event in kinds or any((event, above) in fields for above in _above(path)):
                continue
            fields.add((event, path))
        elif what == "event":
            kinds.add(path)
        elif what == "usage sum" and None in (each.expected, each.found):
            continue  # there is no usage to add up
        kept.append(each)
    return kept


def _above(path: str) -> list[str]:
    """A path and all that it lies in: `usage.total`, `usage`."""
    parts = path.replace("[]", ".[]").split(".")
    return [".".join(parts[:end]).replace(".[]", "[]") for end in range(1, len(parts) + 1)]
