"""A table with every type, and its values as a dataset has them."""
import datetime as dt
import decimal
import uuid
import numpy as np
import pyarrow as pa

ROWS = 90
UTC = dt.timezone.utc


def column(value, nulls=True):
    """A value for each row, but null in every seventh."""
    return [None if nulls and i % 7 == 3 else value(i) for i in range(ROWS)]


days = [dt.date(1969, 12, 31) + dt.timedelta(days=37 * i) for i in range(ROWS)]
times = [dt.datetime(1969, 12, 31, 23, 59, 59, 123456) + dt.timedelta(days=i, microseconds=i) for i in range(ROWS)]
words = ["", "Namibia", "NA", "Zürich", "7", "日本"]
integers = {"int8": 2**7, "int16": 2**15, "int32": 2**31, "int64": 2**53}
table = {"bool": pa.array(column(lambda i: i % 3 == 0))}
for name, limit in integers.items():
    table[name] = pa.array(column(lambda i: (limit - 1) * (-1) ** i + (-i if i % 2 == 0 else i)), name)
    table[f"u{name}"] = pa.array(column(lambda i: min(2 * limit - 1, 2**53) - i), f"u{name}")
table |= {
    "required": pa.array(range(ROWS), pa.int32()),
    "float16": pa.array([np.float16(v) if v is not None else None for v in column(lambda i: (i - 9) / 8)], pa.float16()),
    "float32": pa.array(column(lambda i: (i - 9) / 8), pa.float32()),
    "float64": pa.array(column(lambda i: float("nan") if i == 8 else (i - 9) / 7)),
    "decimal": pa.array(column(lambda i: decimal.Decimal(i - 9) / 100), pa.decimal128(9, 2)),
    "long_decimal": pa.array(column(lambda i: decimal.Decimal(10**25 + i - 9) / 10**20), pa.decimal128(30, 20)),
    "day": pa.array(column(lambda i: days[i])),
    "date64": pa.array(column(lambda i: days[i]), pa.date64()),
    "seconds": pa.array(column(lambda i: times[i].replace(microsecond=0)), pa.timestamp("s")),
    "millis": pa.array(column(lambda i: times[i].replace(microsecond=123000)), pa.timestamp("ms")),
    "micros": pa.array(column(lambda i: times[i]), pa.timestamp("us", "Europe/Zurich")),
    "nanos": pa.array(column(lambda i: times[i]), pa.timestamp("ns")),
    "time": pa.array(column(lambda i: dt.time(1, 2, i % 60)), pa.time32("ms")),
    "text": pa.array(column(lambda i: words[i % 6])),
    "large": pa.array(column(lambda i: f"text {i % 4}"), pa.large_string()),
    "binary": pa.array(column(lambda i: words[i % 6].encode()), pa.binary()),
    "category": pa.array(column(lambda i: words[i % 6])).dictionary_encode(),
    "uuid": pa.array(column(lambda i: uuid.UUID(int=2**100 + i).bytes), pa.binary(16)).cast(pa.uuid()),
    "long": pa.array(column(lambda i: 2**62 + i)),
    "ulong": pa.array(column(lambda i: 2**63 + i), pa.uint64()),
    "nothing": pa.nulls(ROWS),
}
table = pa.table(table, schema=pa.schema([pa.field(name, a.type, nullable=name != "required") for name, a in table.items()]))


def plain(value):
    """A value as a dataset has it."""
    if value is None or value == "" or value == b"" or value != value:
        return None
    if isinstance(value, dt.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (value - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1) / 1000
    if isinstance(value, dt.date):
        return (value - dt.date(1970, 1, 1)).days * 86400000
    if isinstance(value, dt.time):
        return (value.hour * 3600 + value.minute * 60 + value.second) * 1000
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (decimal.Decimal, np.floating)):
        return float(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, uuid.UUID) or isinstance(value, int) and abs(value) > 2**53 else value


# Python's dates have no nanoseconds.
listed = {name: [plain(v) for v in table[name].cast(pa.timestamp("us")).to_pylist()] if name == "nanos" else [plain(v) for v in table[name].to_pylist()] for name in table.column_names}
