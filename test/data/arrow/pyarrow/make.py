"""Writes the files beside it with PyArrow 25 and Polars 1.44: the table of the Parquet files."""
import sys
import polars as pl
import pyarrow as pa
from pyarrow import feather, ipc

sys.path.insert(0, "../../parquet/pyarrow")
from table import table

plain = table.set_column(table.column_names.index("uuid"), "uuid", table["uuid"])
for codec in ["uncompressed", "lz4", "zstd"]:
    feather.write_feather(plain, f"{codec}.arrow", compression=codec)
feather.write_feather(plain, "batches.arrow", compression="lz4", chunksize=40)
with ipc.new_stream("stream.arrow", plain.schema) as writer:
    writer.write_table(plain, max_chunksize=40)
# Dictionaries that grow from batch to batch.
words = pa.schema([("word", pa.dictionary(pa.int8(), pa.string()))])
with ipc.new_stream("deltas.arrow", words, options=ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as writer:
    for known in [["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]]:
        indices = pa.array([len(known) - 1, None, 0], pa.int8())
        writer.write_batch(pa.record_batch([pa.DictionaryArray.from_arrays(indices, known)], schema=words))
# Dictionaries that are replaced.
with ipc.new_stream("replaced.arrow", words) as writer:
    for known in [["a", "b"], ["c"]]:
        indices = pa.array([len(known) - 1, None, 0], pa.int8())
        writer.write_batch(pa.record_batch([pa.DictionaryArray.from_arrays(indices, known)], schema=words))
# Polars writes the dictionaries of a file after its batches.
categories = {"c": pl.Series(["x", "y", None, "x"], dtype=pl.Categorical), "e": pl.Series(["b", "a", None, "b"], dtype=pl.Enum(["b", "a"]))}
pl.DataFrame(categories).write_ipc("categories.arrow", record_batch_size=3)
pl.DataFrame({"x": pl.Series([1, 2], dtype=pl.Int128)}).write_ipc("int128.arrow")
frame = pl.DataFrame({"long": ["a text of more than twelve bytes", None, "short", ""], "x": [1.5, None, 2.0, 3.0]})
frame.write_ipc("views.arrow", compression="zstd")
views = pa.table({"text": pa.array(["a", None, "a text of more than twelve bytes"], pa.string_view())})
feather.write_feather(views, "string_view.arrow", compression="uncompressed")

feather.write_feather(pa.table({"id": [1, 2], "tags": pa.array([["a"], ["b", "c"]])}), "list.arrow")
feather.write_feather(pa.table({"id": [1, 2], "place": pa.array([{"x": 1, "y": 2}] * 2)}), "struct.arrow")
feather.write_feather(pa.table({"x": pa.array([b"ab", b"cd"], pa.binary(2))}), "fixed.arrow")
feather.write_feather(pa.table({"x": [1.0, float("inf")]}), "infinite.arrow")
feather.write_feather(pa.table({"x": pa.array([b"a", b"\xff\xfe"])}), "bytes.arrow")
feather.write_feather(pa.table({"x": pa.array([], pa.int32())}), "empty.arrow")
