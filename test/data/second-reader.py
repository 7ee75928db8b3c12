"""Reads tables with Python's csv module and the rules of docs/tables.md, to compare with ours.

Standard input: a JSON array of {"path", "encoding", "separator", "skip"}. Standard output: for each file its
decimal mark and its columns, in JSON. Numbers and times are doubles in hexadecimal.
"""
import csv
import datetime
import json
import re
import sys

csv.field_size_limit(2**24)

TOKENS = set(
    """#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null|?|-|.""".split(
        "|"
    )
)
CLASSES_AMONG_TEXTS = {"NA", "None"}
PAIRS = [("true", "false"), ("yes", "no")]
ISO = ["%Y-%m-%d", "%Y/%m/%d", "%Y-%m"] + [
    f"%Y-%m-%d{gap}%H:%M{rest}{zone}" for gap in "T " for rest in ("", ":%S", ":%S.%f") for zone in ("", "%z")
]
DAY_FIRST = [f"%d{mark}%m{mark}%Y" for mark in "/.-"]
MONTH_FIRST = [f"%m{mark}%d{mark}%Y" for mark in "/.-"]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
SPACES = " \u00a0\u2009\u202f"


def number(cell, decimal, proved):
    """The value under a decimal mark, or None. Only under a proved mark does the other one group."""
    text = cell.replace("\u2212", "-").strip()
    if re.fullmatch(r"\(.+\)", text):
        text = "-" + text[1:-1]
    groups = SPACES + "'\u2019" + ({".": ",", ",": "."}[decimal] if proved else "")
    whole = rf"(\d+|[1-9]\d{{0,2}}(?P<gap>[{re.escape(groups)}])\d\d\d((?P=gap)\d\d\d)*)"
    mark = re.escape(decimal)
    if not re.fullmatch(rf"[+-]?({whole}({mark}\d*)?|{mark}\d+)([eE][+-]?\d+)?", text):
        return None
    value = float(re.sub(f"[{re.escape(groups)}]", "", text).replace(decimal, "."))
    return value if abs(value) != float("inf") else None


def plain(cells):
    """Without the sign of a per cent or a euro that every cell has."""
    for sign in "%€":
        if cells and all(cell.endswith(sign) for cell in cells):
            return [cell[: -len(sign)].strip(SPACES) for cell in cells]
    return cells


def moment(cell, formats):
    for form in formats:
        try:
            time = datetime.datetime.strptime(cell, form)
        except ValueError:
            continue
        if time.tzinfo is None:
            time = time.replace(tzinfo=datetime.timezone.utc)
        return (time - EPOCH) / datetime.timedelta(milliseconds=1)
    return None


def keeps_spelling(cell):
    if not re.fullmatch(r"[+-]?\d+", cell):
        return False
    digits = cell.lstrip("+-")
    return (len(digits) > 1 and digits[0] == "0") or int(float(digits)) != int(digits)


def values(cells, parse):
    found = [parse(cell) for cell in cells]
    return found if cells and all(value is not None for value in found) else None


def moments(cells):
    ways = [values(cells, lambda cell: moment(cell, formats)) for formats in (ISO, DAY_FIRST, MONTH_FIRST)]
    possible = [way for way in ways if way is not None]
    return possible[0] if len(possible) == 1 else None


def booleans(cells):
    spelled = set(cells)
    for pair in PAIRS:
        if spelled and {cell.lower() for cell in spelled} <= set(pair):
            return len(spelled) == len({cell.lower() for cell in spelled})
    return False


def any_number(cell):
    return any(number(cell, mark, True) is not None for mark in ".,")


def any_moment(cell):
    return moment(cell, ISO + DAY_FIRST + MONTH_FIRST) is not None


def typed(cells, decimal, proved):
    """The type of a column, and a function from a cell to its value."""
    present = [cell.strip() for cell in cells if cell.strip() != ""]
    others = [cell for cell in present if cell not in TOKENS]
    bare = dict(zip(others, plain(others)))
    found = values(list(bare.values()), lambda cell: number(cell, decimal, proved))
    if not others or (found is not None and not any(keeps_spelling(cell) for cell in others)):
        known = dict(zip(bare, found or []))
        return "numeric", lambda cell: known[cell.strip()].hex() if cell.strip() in known else None
    times = moments(list(bare))
    if times is not None:
        known = dict(zip(bare, times))
        return "date", lambda cell: known[cell.strip()].hex() if cell.strip() in known else None
    if booleans(others):
        return "boolean", lambda cell: None if cell.strip() in TOKENS | {""} else cell.strip()
    if all(any_number(cell) for cell in bare.values()) or all(any_moment(cell) for cell in bare):
        return "categorical", lambda cell: None if cell.strip() in TOKENS | {""} else cell
    missing = (TOKENS - CLASSES_AMONG_TEXTS) | {""}
    return "categorical", lambda cell: None if cell.strip() in missing else cell


def proves(cells, decimal):
    others = [cell.strip() for cell in cells if cell.strip() not in TOKENS | {""}]
    other = {".": ",", ",": "."}[decimal]
    bare = plain(others)
    found = values(bare, lambda cell: number(cell, decimal, True))
    return found is not None and any(number(cell, other, True) is None for cell in bare)


def read(path, encoding, separator, skip):
    with open(path, encoding=encoding, newline="") as file:
        rows = [row for row in csv.reader(file, delimiter=separator, strict=True) if row != []]
    header, body = rows[skip], rows[skip + 1 :]
    columns = [[row[i] for row in body] for i in range(len(header))]
    point, comma = (any(proves(cells, mark) for cells in columns) for mark in ".,")
    decimal = "," if comma and not point else "."
    described = []
    for name, cells in zip(header, columns):
        kind, value = typed(cells, decimal, point or comma)
        described.append({"name": name, "type": kind, "cells": [value(cell) for cell in cells]})
    return {"decimal": decimal, "columns": described}


json.dump([read(**table) for table in json.load(sys.stdin)], sys.stdout)
