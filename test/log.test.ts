import { pino } from "pino";
import { onTestFinished, expect, test } from "vitest";
import { serializers } from "../src/log.ts";
import { connector } from "../src/redis/connect.ts";
import { startTestRedis } from "./support/redis.ts";

test("what is logged of an error holds no password", async () => {
  const redis = await startTestRedis();
  onTestFinished(() => redis.stop());
  await redis.client().config("SET", "requirepass", "theirs");
  const { promise: said, resolve } = Promise.withResolvers<string>();
  const log = pino({ level: "warn", serializers }, { write: resolve });
  const client = connector(redis.url, log)({ password: "pa55word", lazyConnect: true });
  await client.connect().catch((error: unknown) => log.warn({ err: error }, "refused"));
  client.disconnect();
  expect(await said).toContain("WRONGPASS");
  expect(await said).not.toContain("pa55word");
});

test("of an error its kind, message, stack and code are told, and what caused it", () => {
  const error = Object.assign(new TypeError("outer", { cause: new Error("inner") }), {
    code: "ECODE",
    bytes: "secret",
  });
  const reported = serializers.err(error);
  expect(reported).toMatchObject({ type: "TypeError", message: "outer: inner", code: "ECODE" });
  expect(Object.keys(reported).sort()).toEqual(["code", "message", "stack", "type"]);
});
