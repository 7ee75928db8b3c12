// Long work on the event loop: one slice a turn, and long answers in pieces.
import { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { fastify } from "fastify";
import { expect, test } from "vitest";
import { sendLongJson } from "../../src/api/json.ts";
import { Pace } from "../../src/api/pace.ts";

test("each turn of the event loop gives one slice, however many requests ask", async () => {
  let taken = 0;
  const work = async () => {
    await new Pace().turn();
    taken++;
  };
  const all = Array.from({ length: 20 }, work);
  const perTurn: number[] = [];
  while (taken < all.length) {
    const before = taken;
    await setImmediate();
    perTurn.push(taken - before);
  }
  await Promise.all(all);
  expect(Math.max(...perTurn)).toBe(1);
});

test("a request keeps its slice until that is used up", async () => {
  const pace = new Pace();
  await pace.turn();
  let turned = false;
  const turn = setImmediate().then(() => (turned = true));
  await pace.turn();
  expect(turned).toBe(false);
  for (const until = performance.now() + 10; performance.now() < until;);
  await pace.turn();
  await turn;
  expect(turned).toBe(true);
});

const long = Array.from({ length: 12_345 }, (_, i) => (i % 7 === 0 ? null : i / 3));

test.each([
  ["short", { a: [1, null, "x"], b: {}, c: null }, true],
  ["empty", {}, true],
  [
    "long",
    { job_id: "x", series: { 'l"oss': { steps: long, values: [] }, none: {} }, momentum: null, rest: [long, {}] },
    false,
  ],
])("a %s answer is the JSON of its value, in pieces if it is long", async (_, value, whole) => {
  const app = fastify();
  app.get("/", (_request, reply) => sendLongJson(reply, value));
  const { headers, body } = await app.inject("/");
  expect(body).toBe(JSON.stringify(value));
  expect("content-length" in headers).toBe(whole);
  expect(headers["content-type"]).toBe("application/json; charset=utf-8");
  await app.close();
});

test("a long answer is written in short pieces, however deeply it is nested", async () => {
  const rows = Int32Array.from(long.keys());
  const value = {
    data: [
      { batch: 0, rows },
      { batch: 1, rows },
      { batch: 2, rows: rows.slice(0, 2) },
    ],
    total: 3,
  };
  const lengths: number[] = [];
  const app = fastify();
  app.addHook("onSend", async (_request, _reply, payload) => {
    const pieces = payload as Readable;
    return Readable.from(
      pieces.map((piece: string) => (lengths.push(piece.length), piece)),
      { objectMode: false },
    );
  });
  app.get("/", (_request, reply) => sendLongJson(reply, value));
  const { body } = await app.inject("/");
  const listed = value.data.map((batch) => ({ ...batch, rows: [...batch.rows] }));
  expect(JSON.parse(body)).toEqual({ ...value, data: listed });
  expect(Math.max(...lengths)).toBeLessThan(10_000);
  await app.close();
});
