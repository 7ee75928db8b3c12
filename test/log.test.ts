import { pino } from "pino";
import { onTestFinished, expect, test } from "vitest";
import { serializers } from "../src/log.ts";
import { connector } from "../src/redis/connect.ts";
import { startTestRedis } from "./support/redis.ts";

test("a logged error holds no password", async () => {
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

test("a logged error has its type, message, stack, code and cause", () => {
  const error = Object.assign(new TypeError("outer", { cause: new Error("inner") }), {
    code: "ECODE",
    bytes: "secret",
  });
  const reported = serializers.err(error);
  expect(reported).toMatchObject({ type: "TypeError", message: "outer: inner", code: "ECODE" });
  expect(Object.keys(reported).sort()).toEqual(["code", "message", "stack", "type"]);
});
