/** Files of arrays become datasets; what cannot become one is refused, and nothing stays behind. */
import { readFile, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { csvFile, DatasetTooLarge, InvalidDataset } from "../../../src/data/dataset.ts";
import { ColumnFile } from "../../../src/data/files/column-file.ts";
import { thisProcess } from "../../../src/data/pool.ts";
import { ALL_DETECTED } from "../../../src/data/reading.ts";
import { datasetFiles, LIMIT_BYTES } from "../support.ts";
import { ingest } from "../../support/datasets.ts";
import { floats, longs, npy, npyOf, safetensors, safetensorsOf, zip } from "./files.ts";

const written = (name: string) => readFile(`test/data/tensors/numpy/${name}`);

/** What is kept of a file: the description, and the elements of each column. */
async function kept(file: Buffer, limitBytes = LIMIT_BYTES) {
  const { files } = await datasetFiles();
  const draft = await files.receive(Readable.from([file]), limitBytes);
  const { format, rows, columns } = draft.content;
  const elements = await ColumnFile.with(draft.columnsPath, (opened) =>
    Promise.all(columns.map(async (_, index) => [...(await opened.elements(index))])),
  );
  return { format, rows, columns, elements };
}

/** Why a file is refused. */
async function refusal(file: Buffer, { limitBytes = LIMIT_BYTES, asked = ALL_DETECTED } = {}): Promise<unknown> {
  const { files, onDisk } = await datasetFiles();
  const error = await files
    .receive(Readable.from([file]), limitBytes, thisProcess, undefined, asked)
    .catch((caught: unknown) => caught);
  expect(await onDisk()).toEqual([]);
  return error;
}

async function reason(file: Buffer, options = {}): Promise<string> {
  const error = await refusal(file, options);
  expect(error).toBeInstanceOf(InvalidDataset);
  return (error as Error).message;
}

describe("arrays that NumPy wrote", () => {
  const counts = Array.from({ length: 24 }, (_, i) => i);
  const expected = (type: string) => {
    if (type === "b1") return counts.map((count) => count % 2);
    return type.startsWith("u") ? counts : counts.map((count) => (count - 12) * (type.startsWith("f") ? 0.5 : 1));
  };

  test.each(["stored.npz", "deflated.npz"])("%s: every type, in either byte order and either order", async (name) => {
    const { format, rows, columns, elements } = await kept(await written(name));
    expect([format, rows, columns.length]).toEqual(["npz", 4, 42]);
    for (const [i, column] of columns.entries()) {
      const values = expected(column.name.slice(0, 2));
      expect([column.name, elements[i]]).toEqual([column.name, values]);
      const [min, max] = [Math.min(...values), Math.max(...values)];
      const isWhole = !column.name.startsWith("f");
      const classes = isWhole ? [...new Set(values)].sort((a, b) => a - b).map(String) : null;
      expect(column).toMatchObject({ type: "tensor", shape: [3, 2], min, max, missing: 0, classes });
    }
  });

  test.each([1, 2, 3])("version %s.0 of NPY", async (version) => {
    const { format, columns, elements } = await kept(await written(`version${version}.npy`));
    expect(format).toBe("npy");
    expect(columns).toMatchObject([{ name: "values", dtype: "float32", shape: [3, 2], min: -6, max: 5.5 }]);
    expect(elements).toEqual([expected("f4")]);
  });

  test("packed with gzip", async () => {
    for (const name of ["version1.npy", "deflated.npz"]) {
      const file = await written(name);
      expect(await kept(gzipSync(file))).toEqual(await kept(file));
    }
  });

  test.each([
    ["objects.npy", "holds Python objects, which NumPy pickles. They are never unpacked here"],
    ["records.npy", "has records of several fields"],
    ["texts.npy", 'has the type "<U2": texts, which are no numbers'],
    ["complex.npy", 'has the type "<c8": elements that cannot be read'],
    ["zeros.npy", "has the shape [2, 0], so it holds nothing"],
    ["scalar.npy", "is a single number. Its first dimension must count the rows"],
  ])("%s is refused", async (name, why) => {
    expect(await reason(await written(name))).toContain(`The array "values" ${why}`);
  });
});

describe("the bounds of arrays", () => {
  const ones = (count: number) => floats(...Array<number>(count).fill(1));
  const array = (shape: number[]) =>
    npy({ descr: "<f4", shape, data: ones(shape.reduce((product, size) => product * size, 1)) });
  const named = (length: number) => zip({ [`${"n".repeat(length)}.npy`]: array([1]) });
  const several = (count: number) =>
    zip(Object.fromEntries(Array.from({ length: count }, (_, i) => [`a${i}.npy`, array([1])])));
  const header = (length: number) => {
    const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".padEnd(length);
    const start = Buffer.from("\x93NUMPY\x02\x00\x00\x00\x00\x00", "latin1");
    start.writeUInt32LE(length, 8);
    return Buffer.concat([start, Buffer.from(text, "latin1"), ones(1)]);
  };

  test.each([
    ["arrays", several, 64, "The file holds 65 arrays; a dataset may have 64."],
    ["dimensions", (count: number) => array(Array<number>(count).fill(1)), 8, "has 9 dimensions; it may have 8."],
    ["characters of a name", named, 256, "has a name of more than 256 characters"],
    ["bytes of a header", header, 65_536, "has a header of 65537 bytes; it may have 65536."],
  ])("there may be so many %s", async (_, make, most, why) => {
    expect((await kept(make(most))).rows).toBe(1);
    expect(await reason(make(most + 1))).toContain(why);
  });

  test("classes are listed as long as there are at most a thousand", async () => {
    const classesOf = async (count: number, type: "<i8" | "<i2") => {
      const values = Array.from({ length: 2 * count }, (_, i) => Math.floor(i / 2) - 5);
      const data = type === "<i8" ? longs(...values) : Buffer.from(new Int16Array(values).buffer);
      return (await kept(npy({ descr: type, shape: [count, 2], data }))).columns[0].classes?.length ?? null;
    };
    for (const type of ["<i8", "<i2"] as const) {
      expect([await classesOf(1000, type), await classesOf(1001, type)]).toEqual([1000, null]);
    }
  });

  test("a file may be as large as the limit, packed or not", async () => {
    const file = array([100]);
    for (const each of [file, zip({ "a.npy": file }), zip({ "a.npy": file }, { deflate: true })]) {
      const size = Math.max(each.length, file.length);
      expect((await kept(each, size)).rows).toBe(100);
      expect(await refusal(each, { limitBytes: file.length - 1 })).toBeInstanceOf(DatasetTooLarge);
    }
  });

  test("any byte but 0 is true, and what is not finite is named as it is", async () => {
    const flags = await kept(npy({ descr: "|b1", shape: [3], data: Buffer.from([0, 1, 2]) }));
    expect(flags.elements).toEqual([[0, 1, 1]]);
    const halves = (bits: number) =>
      npy({ descr: "<f2", shape: [2], data: Buffer.from(new Uint16Array([0, bits]).buffer) });
    const names = { 0x7c00: "Infinity", 0xfc00: "-Infinity", 0x7e00: "NaN" };
    for (const [bits, name] of Object.entries(names))
      expect(await reason(halves(Number(bits)))).toContain(`holds ${name} at [1]`);
  });

  test("whole numbers from -2^31 to 2^31 - 1 are kept, and others named", async () => {
    const signed = await kept(npy({ descr: "<i8", shape: [2], data: longs(-(2 ** 31), 2 ** 31 - 1) }));
    expect(signed.elements).toEqual([[-(2 ** 31), 2 ** 31 - 1]]);
    const cases: [descr: string, value: bigint, told: string][] = [
      ["<i8", 2n ** 31n, "2147483648"],
      ["<i8", -(2n ** 31n) - 1n, "-2147483649"],
      ["<u8", 2n ** 64n - 1n, "18446744073709551615"],
      ["<u8", 2n ** 31n, "2147483648"],
    ];
    for (const [descr, value, told] of cases) {
      const data = Buffer.from(new BigUint64Array([1n, BigInt.asUintN(64, value)]).buffer);
      expect(await reason(npy({ descr, shape: [2], data }))).toContain(`holds ${told} at [1]`);
    }
    const four = Buffer.from(new Uint32Array([1, 2 ** 31]).buffer);
    expect(await reason(npy({ descr: "<u4", shape: [2], data: four }))).toContain("holds 2147483648 at [1]");
  });
});

test("an IDX file may be as large as the limit", async () => {
  const file = Buffer.concat([Buffer.from([0, 0, 8, 2, 0, 0, 0, 10, 0, 0, 0, 20]), Buffer.alloc(200, 7)]);
  expect((await kept(file, file.length)).columns).toMatchObject([{ shape: [20], min: 7, max: 7 }]);
  expect(await refusal(file, { limitBytes: file.length - 1 })).toBeInstanceOf(DatasetTooLarge);
});

test.each([
  [0, 0],
  [1, 1],
  [2, 1],
  [4, 0],
])("version %i.%i of NPY is refused", async (major, minor) => {
  const file = await written("version1.npy");
  file[6] = major;
  file[7] = minor;
  expect(await reason(file)).toContain(`has the NPY version ${major}.${minor}; 1.0, 2.0 and 3.0 can be read.`);
});

describe("safetensors", () => {
  const bits = (...values: number[]) => Buffer.from(new Uint16Array(values).buffer);
  test("types that only it has, and a classical column", async () => {
    const file = safetensors({
      half: { dtype: "F16", shape: [3], data: bits(0x3c00, 0xc000, 0x0001) },
      brain: { dtype: "BF16", shape: [3], data: bits(0x3f80, 0xc000, 0x0080) },
      flag: { dtype: "BOOL", shape: [3, 2], data: Buffer.from([0, 1, 0, 0, 1, 1]) },
      label: { dtype: "I64", shape: [3], data: longs(7, -1, 7) },
    });
    const { format, columns, elements } = await kept(file);
    expect(format).toBe("safetensors");
    expect(elements).toEqual([
      [1, -2, 2 ** -24],
      [1, -2, 2 ** -126],
      [0, 1, 0, 0, 1, 1],
      [7, -1, 7],
    ]);
    expect(columns.map(({ name, classes, mean }) => [name, classes, mean])).toMatchObject([
      ["half", expect.any(Array), expect.any(Number)],
      ["brain", expect.any(Array), expect.any(Number)],
      ["flag", ["0", "1"], null],
      ["label", ["-1", "7"], 13 / 3],
    ]);
    expect(await kept(gzipSync(file))).toEqual(await kept(file));
  });

  const entry = (changes: object) => ({ dtype: "F32", shape: [1], data_offsets: [0, 4], ...changes });
  test.each([
    ["{]", "has a header that is no JSON"],
    ["{}", "The file holds no array"],
    [JSON.stringify({ a: null }), "must have a dtype, a shape and data_offsets"],
    [JSON.stringify({ a: entry({ shape: [-1] }) }), "must have a dtype, a shape and data_offsets"],
    [JSON.stringify({ a: entry({ dtype: "F8_E4M3" }) }), 'has the dtype "F8_E4M3". Save it as one of BOOL'],
    [JSON.stringify({ a: entry({ shape: [2] }) }), "has 4 bytes, but its shape takes 8"],
    [JSON.stringify({ a: entry({ data_offsets: [4, 8] }) }), "begins at byte 4 of the data, where byte 0 is expected"],
    [JSON.stringify({ a: entry({ shape: [3], data_offsets: [0, 12] }) }), "is cut off: it has 8 of 12 bytes"],
    [JSON.stringify({ a: entry({}) }), "has bytes after its last tensor"],
    [
      JSON.stringify({
        a: entry({ shape: [2], data_offsets: [0, 8] }),
        b: entry({ shape: [0], data_offsets: [0, 0] }),
      }),
      "has the shape [0], so it holds nothing",
    ],
  ])("with the header %s is refused", async (header, why) => {
    expect(await reason(safetensorsOf(header, Buffer.alloc(8)))).toContain(why);
  });

  test("cut off within its header is refused", async () => {
    expect(await reason(safetensorsOf('{"a": 1}').subarray(0, 12))).toContain("is cut off within its header");
  });
});

test("its columns are made again from its bytes", async () => {
  const { files, directory, onDisk } = await datasetFiles();
  const content = await ingest(files, Readable.from([await written("deflated.npz")]), LIMIT_BYTES);
  const path = files.columnsPath(content);
  const before = [await onDisk(), await readFile(path)];
  for (const damage of [() => rm(path), () => truncate(path, 3000)]) {
    await damage();
    const read = (columns: string) => ColumnFile.with(columns, (file) => file.elements(41));
    expect((await files.use(content, read)).length).toBe(24);
    expect([await onDisk(), await readFile(path)]).toEqual(before);
  }
  await rm(path);
  await truncate(join(directory, csvFile(content)), 3000);
  await expect(files.use(content, async () => ColumnFile.with(path, () => 0))).rejects.toThrow("is damaged as well");
});

const whole = npy({ descr: "<f4", shape: [2, 2], data: floats(1, 2, 3, 4) });
const label = npy({ descr: "<i8", shape: [2], data: longs(0, 1) });

test.each([{ deflate: true }, { zip64: true }, { zip64: true, deflate: true }])("an archive: %j", async (options) => {
  const { columns, elements } = await kept(zip({ "x.npy": whole, "y.npy": label }, options));
  expect(columns.map(({ name }) => name)).toEqual(["x", "y"]);
  expect(elements).toEqual([
    [1, 2, 3, 4],
    [0, 1],
  ]);
});

describe("refused", () => {
  test.each([
    [NaN, 4, "holds NaN at [2, 0]"],
    [-Infinity, 5, "holds -Infinity at [2, 1]"],
  ])("%s, with its place", async (value, at, why) => {
    const values = [0, 1, 2, 3, 4, 5, 6, 7];
    values[at] = value;
    const file = npy({ descr: "<f4", shape: [4, 2], data: floats(...values) });
    expect(await reason(zip({ "x.npy": file }))).toContain(`The array "x" ${why}. All numbers must be finite`);
  });

  test("the first of them is that of the array, whichever way it is written", async () => {
    const file = npy({ descr: "<f4", shape: [2, 2], data: floats(0, NaN, NaN, 3), fortran: true });
    expect(await reason(file)).toContain("holds NaN at [0, 1]");
  });

  test.each([
    ["<i8", longs(0, 2n ** 31n), "2147483648"],
    ["<i8", longs(0, -(2n ** 31n) - 1n), "-2147483649"],
    [">u8", Buffer.from(`${"00".repeat(8)}${"ff".repeat(8)}`, "hex"), "18446744073709551615"],
    ["<u4", Buffer.from(new Uint32Array([0, 2 ** 31]).buffer), "2147483648"],
  ])("whole numbers that int32 does not hold: %s", async (descr, data, value) => {
    const why = `holds ${value} at [1]. Whole numbers must be from -2147483648 to 2147483647.`;
    expect(await reason(npy({ descr, shape: [2], data }))).toBe(`The array "values" ${why}`);
  });

  test("but not those that it does hold", async () => {
    const { elements } = await kept(npy({ descr: "<i8", shape: [2], data: longs(2 ** 31 - 1, -(2 ** 31)) }));
    expect(elements).toEqual([[2 ** 31 - 1, -(2 ** 31)]]);
  });

  test.each([
    ["cut off", whole.subarray(0, -1), "is cut off: it has 15 of 16 bytes"],
    ["cut off early", whole.subarray(0, 40), "is cut off within its header"],
    ["cut off behind its first word", whole.subarray(0, 6), "is cut off within its header"],
    ["followed by another", Buffer.concat([whole, whole]), "is followed by other bytes"],
    ["of a later version", Buffer.from(whole).fill(9, 6, 7), "has the NPY version 9.0"],
    ["with another header", npyOf("{'descr': '<f4'}", Buffer.alloc(4)), "has a header that names no descr"],
    ["of an odd type", npy({ descr: "<f3", shape: [1], data: Buffer.alloc(3) }), 'has the type "<f3"'],
    ["of 9 dimensions", npy({ descr: "|u1", shape: Array(9).fill(1), data: Buffer.alloc(1) }), "has 9 dimensions"],
  ])("an array that is %s", async (_, file, why) => {
    expect(await reason(file)).toContain(`The array "values" ${why}`);
  });

  test("arrays with different rows", async () => {
    const three = npy({ descr: "<i8", shape: [3], data: longs(0, 1, 2) });
    expect(await reason(zip({ "x.npy": whole, "y.npy": three }))).toContain(
      'The arrays "x" and "y" have 2 and 3 rows. The first dimension counts rows',
    );
  });

  test.each([
    ["holds something else", zip({ "x.npy": whole, "notes.txt": label }), 'holds "notes.txt", which is no array'],
    ["holds no arrays at all", zip({ "a.csv": Buffer.from("x,y\n1,2\n") }), "a zip archive, or an Excel workbook"],
    ["is empty", zip({}), "a zip archive, or an Excel workbook"],
    ["is damaged", zip({ "x.npy": whole }, { checksum: 1 }), '"x.npy" has a wrong checksum'],
    ["is cut off", zip({ "x.npy": whole }).subarray(0, -30), "The zip archive cannot be read"],
    ["holds an array without a name", zip({ ".npy": whole }), "An array has no name"],
    ["holds a file that is no NPY", zip({ "x.npy": Buffer.from("hello") }), 'The array "x" is no NPY file'],
  ])("an archive that %s", async (_, file, why) => {
    expect(await reason(file)).toContain(why);
  });

  test("more arrays than a dataset may have", async () => {
    const names = (count: number) => Array.from({ length: count }, (_, i) => `a${i}`);
    const npys = (count: number) => Object.fromEntries(names(count).map((name) => [`${name}.npy`, label]));
    const tensors = names(65).map((name) => [name, { dtype: "U8", shape: [1], data: Buffer.alloc(1) }]);
    expect((await kept(zip(npys(64)))).columns).toHaveLength(64);
    const why = "The file holds 65 arrays; a dataset may have 64.";
    expect(await reason(zip(npys(65)))).toBe(why);
    expect(await reason(safetensors(Object.fromEntries(tensors)))).toBe(why);
  });

  test("what unpacks to more than a dataset may have, by as little as a byte", async () => {
    const array = (bytes: number) => npy({ descr: "|u1", shape: [1, bytes], data: Buffer.alloc(bytes) });
    const bomb = zip({ "a.npy": array(500_000), "b.npy": array(499_744 + 1) }, { deflate: true });
    expect(bomb.length).toBeLessThan(10_000);
    for (const file of [bomb, gzipSync(bomb), gzipSync(array(1_000_000))])
      expect(await refusal(file, { limitBytes: 1_000_000 })).toEqual(new DatasetTooLarge(1_000_000));
    const fits = zip({ "a.npy": array(500_000), "b.npy": array(499_744) }, { deflate: true });
    expect((await kept(fits, 1_000_000)).columns).toHaveLength(2);
  });

  test("an array that claims more than there may be costs nothing", async () => {
    const claim = npyOf(
      "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,), }",
      Buffer.alloc(8),
    );
    expect(await refusal(claim)).toEqual(new DatasetTooLarge(LIMIT_BYTES));
    const header = JSON.stringify({ a: { dtype: "F32", shape: [2 ** 50], data_offsets: [0, 2 ** 52] } });
    expect(await refusal(safetensorsOf(header))).toEqual(new DatasetTooLarge(LIMIT_BYTES));
  });

  test("options of tables", async () => {
    const asked = { ...ALL_DETECTED, encoding: "utf-8", separator: ";", header: false } as const;
    expect(await reason(whole, { asked })).toBe(
      "The file holds arrays, and ?separator=, ?header= is for CSV tables: leave it out.",
    );
  });
});
