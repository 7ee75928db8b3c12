import fc from "fast-check";
import { expect, test } from "vitest";
import { readSafetensors, writeSafetensors } from "../../../src/engine/state/safetensors.ts";

const tensors = fc.uniqueArray(
  fc.record({
    name: fc.string({ minLength: 1, maxLength: 12 }).filter((name) => name !== "__metadata__" && name !== "__proto__"),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  }),
  { selector: ({ name }) => name, maxLength: 6 },
);

test("what is written is read again", () => {
  fc.assert(
    fc.property(tensors, (list) => {
      const written = list.map(({ name, shape }, i) => {
        const length = shape.reduce((product, size) => product * size, 1);
        return { name, shape, bytes: new Uint8Array(length * 4).fill(i + 1) };
      });
      const file = readSafetensors(writeSafetensors(written, { format: "pt" }));
      expect(file.metadata).toEqual({ format: "pt" });
      const plain = ({ name, shape, bytes }: (typeof written)[number]) => [
        name,
        { shape: [...shape], bytes: [...bytes] },
      ];
      expect(Object.fromEntries([...file.tensors.values()].map((tensor) => plain(tensor as never)))).toEqual(
        Object.fromEntries(written.map(plain)),
      );
    }),
  );
});

test("the file does not depend on the order of the tensors, its header is padded, and names that look like numbers are sorted like others", () => {
  const one = { name: "0", shape: [1], bytes: new Uint8Array([1, 2, 3, 4]) };
  const two = { name: "-a", shape: [], bytes: new Uint8Array([5, 6, 7, 8]) };
  const file = writeSafetensors([one, two], { format: "pt" });
  expect(Buffer.compare(file, writeSafetensors([two, one], { format: "pt" }))).toBe(0);
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  expect(length % 8).toBe(0);
  expect(
    Buffer.from(file.subarray(8, 8 + length))
      .toString()
      .trimEnd(),
  ).toBe(
    '{"__metadata__":{"format":"pt"},"-a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"0":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
  );
  expect([...file.subarray(8 + length)]).toEqual([5, 6, 7, 8, 1, 2, 3, 4]);
});

test("a damaged file is refused, never read beyond its end", () => {
  const file = writeSafetensors([{ name: "w", shape: [2], bytes: new Uint8Array(8) }], {});
  expect(() => readSafetensors(file.subarray(0, 5))).toThrow("shorter");
  expect(() => readSafetensors(file.subarray(0, 20))).toThrow("header ends after the file");
  expect(() => readSafetensors(file.subarray(0, file.length - 1))).toThrow("w has 7 bytes");
});
