"""Writes the files beside it with PyArrow 25: every type, in every encoding and packing."""
import json
import pyarrow as pa
import pyarrow.parquet as pq
from table import listed, table

with open("values.json", "w") as file:
    json.dump(listed, file, ensure_ascii=False, separators=(",", ":"))
    file.write("\n")

encodings = {name: "DELTA_BINARY_PACKED" for name in ["int8", "int16", "int32", "int64", "uint32", "uint64", "day", "micros", "required", "long"]}
encodings |= {name: "BYTE_STREAM_SPLIT" for name in ["float16", "float32", "float64", "uint16", "decimal", "seconds"]}
encodings |= {"text": "DELTA_BYTE_ARRAY", "large": "DELTA_BYTE_ARRAY", "binary": "DELTA_LENGTH_BYTE_ARRAY", "uuid": "DELTA_BYTE_ARRAY", "bool": "RLE"}
small = dict(data_page_size=64, write_batch_size=16)
for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
    pq.write_table(table, f"{codec}.parquet", compression=codec, write_statistics=False, store_schema=False)
pq.write_table(table, "groups.parquet", row_group_size=40, compression="snappy", write_page_checksum=True, store_schema=False, **small)
pq.write_table(table, "pages2.parquet", data_page_version="2.0", compression="zstd", store_schema=False, **small)
pq.write_table(table, "plain.parquet", use_dictionary=False, compression="none", version="1.0", store_schema=False)
for version in ["1.0", "2.0"]:
    pq.write_table(table, f"encoded{version[0]}.parquet", use_dictionary=False, column_encoding=encodings, data_page_version=version, compression="snappy", store_schema=False)
pq.write_table(table.select(["day", "nanos", "decimal", "long_decimal"]), "old.parquet", use_deprecated_int96_timestamps=True, store_decimal_as_integer=True, store_schema=False)

pq.write_table(pa.table({"id": [1, 2], "tags": pa.array([["a"], ["b", "c"]])}), "list.parquet")
pq.write_table(pa.table({"id": [1, 2], "place": pa.array([{"x": 1, "y": 2}] * 2)}), "struct.parquet")
pq.write_table(pa.table({"id": [1, 2], "map": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32()))}), "map.parquet")
pq.write_table(pa.table({"x": [1.0, float("inf")]}), "infinite.parquet")
pq.write_table(pa.table({"x": pa.array([b"a", b"\xff\xfe"])}), "bytes.parquet")
pq.write_table(pa.table({"x": pa.array([b"ab", b"cd"], pa.binary(2))}), "fixed.parquet")
pq.write_table(pa.table({"x": pa.array([], pa.int32())}), "empty.parquet")
