import { createHash } from "node:crypto";
import type { AddressInfo } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

function upload(body: string | Buffer, query: Record<string, string> = {}, headers: Record<string, string> = {}) {
  const search = new URLSearchParams(query).toString();
  return service.call("POST", `/v1/datasets?${search}`, { body, headers: { "content-type": "text/csv", ...headers } });
}

const names = (body: { columns: { name: string }[] }) => body.columns.map(({ name }) => name);

test("the detected reading of a table is in the answer", async () => {
  const { status, body } = await upload(Buffer.from("größe;ort\r\n1;Köln\r\n2;Bonn\r\n", "latin1"));
  expect([status, names(body), body.rows]).toEqual([201, ["größe", "ort"], 2]);
  expect(body.reading).toEqual({
    version: 2,
    separator: ";",
    encoding: "windows-1252",
    header: true,
    comment: null,
    decimal: ".",
    decimal_proved: false,
    missing_values: null,
    columns: {},
  });
});

test("the reading in the query is used, and is in the answer", async () => {
  const text = "# measured\n1\t4711,x\n2\t,y\n";
  const { status, body } = await upload(text, {
    separator: "\\t",
    decimal: ",",
    encoding: "UTF-8",
    header: "false",
    comment: "#",
    missing_values: '["x", "", "-999", "x"]',
    columns: '{"column_2": "categorical"}',
  });
  expect([status, names(body), body.rows]).toEqual([201, ["column_1", "column_2"], 2]);
  expect(body.reading).toMatchObject({
    separator: "\t",
    decimal: ",",
    decimal_proved: true,
    encoding: "utf-8",
    header: false,
    comment: "#",
    missing_values: ["-999", "x"],
    columns: { column_2: "categorical" },
  });
});

test.each([
  ["tab", "\t"],
  ["\\t", "\t"],
  ["\t", "\t"],
  ["semicolon", ";"],
  ["pipe", "|"],
  ["comma", ","],
  ["|", "|"],
])("?separator=%j", async (separator, expected) => {
  const { status, body } = await upload(`a${expected}b\n${Math.random()}${expected}2\n`, { separator });
  expect([status, body.reading?.separator, body.columns?.length]).toEqual([201, expected, 2]);
});

test.each([
  ["", []],
  ["NA, -1", ["-1", "NA"]],
  ["[]", []],
])("?missing_values=%s", async (missing_values, expected) => {
  const { body } = await upload(`a,b\n${Math.random()},2\n`, { missing_values });
  expect(body.reading.missing_values).toEqual(expected);
});

test.each<[string, string, RegExp]>([
  ["separator", ":", /^must be one of ",", ";", "\\t", "\|", "comma"/],
  ["separator", "", /^must be one of/],
  ["separator", "tabs", /did you mean "tab"\?$/],
  ["decimal", "comma", /^must be one of ".", ","/],
  ["encoding", "koi8-r", /^must be one of "utf-8"/],
  ["header", "no", /^must be one of "true", "false"/],
  ["missing_values", "[1", /^must be an array of texts: .* is no JSON$/],
  ["missing_values", "[1]", /^must be an array of texts: .*"0" must be a string, not 1$/],
  ["columns", "zip", /^must be an object such as .* is no JSON$/],
  ["columns", "[]", /^must be an object such as .*: it must be an object, not an array$/],
  ["columns", '{"zip": "number"}', /"zip" must be one of "numeric", .*/],
  ["comment", "", /^must be 1 to 16 characters/],
  ["comment", "a b", /^must be 1 to 16 characters/],
  ["seperator", ";", /did you mean "separator"/],
])("?%s=%s is refused", async (option, value, message) => {
  const { status, body } = await upload("a,b\n1,2\n", { [option]: value });
  expect([status, body.code]).toEqual([400, "invalid_parameter"]);
  expect(body.errors).toEqual([{ pointer: `?${option}`, message: expect.stringMatching(message) }]);
});

test("a type for a column that the table does not have is refused with those it has", async () => {
  const { status, body } = await upload("a,b\n1,2\n", { columns: '{"zip": "categorical"}' });
  expect([status, body.code, body.line]).toEqual([422, "invalid_dataset", 1]);
  expect(body.detail).toBe('?columns= names "zip", and there is no such column. There are: "a", "b".');
});

test.each([
  ["text/csv; charset=iso-8859-1", "windows-1252"],
  ["application/csv; charset=windows-1252", "windows-1252"],
  ['text/csv; header=present; charset="UTF-8"', "utf-8"],
  ["application/vnd.ms-excel", "utf-8"],
  ["text/x-csv", "utf-8"],
  ["text/tab-separated-values", "utf-8"],
  ["application/octet-stream", "utf-8"],
  ["application/x-www-form-urlencoded", "utf-8"],
])("the media type %s is taken", async (type, encoding) => {
  const { status, body } = await upload(`a,b\n${Math.random()},2\n`, {}, { "content-type": type });
  expect([status, body.reading?.encoding]).toEqual([201, encoding]);
});

test("a body without a media type is accepted", async () => {
  const { port } = service.app.server.address() as AddressInfo;
  // Bytes have no type of their own, and so fetch gives none.
  const body = Buffer.from(`a,b\n${Math.random()},2\n`);
  const response = await fetch(`http://127.0.0.1:${port}/v1/datasets`, { method: "POST", body });
  expect(response.status).toBe(201);
});

test("the encoding in the query goes before the charset", async () => {
  const bytes = Buffer.from("a,b\ncafé,2\n", "latin1");
  const type = { "content-type": "text/csv; charset=utf-8" };
  const refused = await upload(bytes, {}, type);
  expect([refused.status, refused.body.line]).toEqual([422, 2]);
  expect((await upload(bytes, { encoding: "latin1" }, type)).status).toBe(201);
});

const plain = `a,b\n${"1,2\n".repeat(1000)}`;

test.each([
  ["gzip", gzipSync],
  ["GZIP", gzipSync],
  ["deflate", deflateSync],
  ["br", brotliCompressSync],
  ["identity", Buffer.from],
] as [string, (text: string) => Buffer][])("the Content-Encoding %s is undone", async (encoding, pack) => {
  const { body } = await upload(pack(plain), {}, { "content-encoding": encoding });
  expect([body.bytes, body.rows]).toEqual([plain.length, 1000]);
  expect((await service.call("GET", `/v1/datasets/${body.id}/content`)).text).toBe(plain);
});

test("a file that is packed with gzip stays as it is", async () => {
  const packed = gzipSync(plain);
  const { status, body } = await upload(packed, {}, { "content-type": "application/gzip" });
  expect([status, body.bytes, body.rows]).toEqual([201, packed.length, 1000]);
  // Tapes add zeros, which are kept too, though they are no part of the table.
  const longer = Buffer.concat([packed, Buffer.alloc(2 ** 19)]);
  const { body: other } = await upload(longer);
  expect([other.rows, other.sha256]).toEqual([1000, createHash("sha256").update(longer).digest("hex")]);
  // Packed once more for the way.
  const again = await upload(gzipSync(packed), {}, { "content-encoding": "gzip" });
  expect([again.status, again.body.id]).toEqual([200, body.id]);
});

test.each<[string, Record<string, string>, Buffer]>([
  ["gzip", { "content-encoding": "gzip" }, gzipSync(plain)],
  ["gzip without saying so", {}, gzipSync(plain)],
  ["br", { "content-encoding": "br" }, brotliCompressSync(plain)],
])("bytes in %s that are damaged are refused, and leave nothing behind", async (_, headers, packed) => {
  const before = service.onDisk();
  const { status, body } = await upload(packed.subarray(0, -6), {}, headers);
  expect([status, body.code, body.line]).toEqual([422, "invalid_dataset", undefined]);
  expect(body.detail).toMatch(/damaged or cut off/);
  expect(service.onDisk()).toEqual(before);
});

test.each<[string, Record<string, string>]>([
  ["as its Content-Encoding", { "content-encoding": "gzip" }],
  ["itself", {}],
])("a little gzip that unpacks to more than the limit is refused: %s", async (_, headers) => {
  const before = service.onDisk();
  // 30 MB of which a megabyte is allowed; it would take seconds to read.
  const bomb = gzipSync(Buffer.concat([Buffer.from("a\n"), Buffer.alloc(30 * 2 ** 20, "1\n")]));
  const { status, body } = await upload(bomb, {}, headers);
  expect([status, body.code]).toEqual([413, "too_large"]);
  expect(body.detail).toContain("1048576 bytes");
  expect(service.onDisk()).toEqual(before);
});

test("the same bytes with the same options are the same dataset", async () => {
  const bytes = `x;y\n${Math.random()};2,5\n`;
  const first = await upload(bytes, { separator: ";" });
  expect([first.status, (await upload(bytes, { separator: "semicolon", header: "true" })).status]).toEqual([201, 200]);
});

test.each([
  ["missing_values", Array.from({ length: 1000 }, (_, i) => `t${i}`).join(","), 201],
  ["missing_values", Array.from({ length: 1001 }, (_, i) => `t${i}`).join(","), 400],
  ["missing_values", "x".repeat(256), 201],
  ["missing_values", "x".repeat(257), 400],
  ["comment", "#".repeat(16), 201],
  ["comment", "#".repeat(17), 400],
  ["name", "n".repeat(128), 201],
  ["name", "n".repeat(129), 400],
  ["name", "", 400],
])("the bounds of ?%s are as said: %s", async (name, value, status) => {
  const body = `a,b\n${Math.random()},2\n`;
  const query = new URLSearchParams({ [name]: value });
  const response = await service.call("POST", `/v1/datasets?${query.toString()}`, {
    body,
    headers: { "content-type": "text/csv" },
  });
  expect(response.status).toBe(status);
});

test.each([
  ["utf-8", "utf-8"],
  ["UTF8", "utf-8"],
  ["us-ascii", "utf-8"],
  ["windows-1252", "windows-1252"],
  ["cp1252", "windows-1252"],
  ["ISO-8859-1", "windows-1252"],
  ["latin1", "windows-1252"],
])("?encoding=%s is %s, whatever the Content-Type says", async (encoding, meant) => {
  const body = `a,b\n${Math.random()},2\n`;
  const headers = { "content-type": `text/csv; charset=${meant === "utf-8" ? "latin1" : "utf-8"}` };
  const response = await service.call("POST", `/v1/datasets?encoding=${encoding}`, { body, headers });
  expect([response.status, response.body.reading.encoding]).toEqual([201, meant]);
});
