import { createSocket } from "node:dgram";
import dns from "node:dns/promises";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { isPublic, urlFault } from "../../src/contract/schema/webhook.ts";
import { post, type PostOptions, type Resolve } from "../../src/webhooks/post.ts";
import { startReceiver, type Receiver } from "./receiver.ts";

let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver();
});
afterAll(() => receiver.stop());
beforeEach(() => {
  receiver.received.length = 0;
  receiver.answer((response) => response.writeHead(204).end());
});

const at =
  (...addresses: string[]): Resolve =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

function send(url: string, options: Partial<PostOptions> = {}) {
  return post(url, { "webhook-id": "x" }, "{}", {
    allowedHosts: [],
    timeoutMs: 2000,
    signal: new AbortController().signal,
    ...options,
  });
}

test.each([
  "0.0.0.0",
  "10.1.2.3",
  "100.64.0.1",
  "127.0.0.1",
  "127.255.255.254",
  // Services of the machine's own cloud: Amazon, Google and many more; Amazon's of containers;
  // Azure; Alibaba; Oracle.
  "169.254.169.254",
  "169.254.170.2",
  "168.63.129.16",
  "100.100.100.200",
  "192.0.0.192",
  "fd00:ec2::254",
  "fd20:ce::254",
  "::ffff:168.63.129.16",
  "64:ff9b::a83f:8110",
  "2002:a83f:8110::",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.1",
  "192.0.2.1",
  "192.168.1.1",
  "198.18.0.1",
  "224.0.0.1",
  "239.255.255.255",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:127.0.0.1",
  "::ffff:8.8.8.8",
  "64:ff9b::7f00:1",
  "64:ff9b:1::a00:1",
  "2002:7f00:1::",
  "2001::1",
  "2001:db8::1",
  "fc00::1",
  "fd12:3456::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "100::1",
  "4000::1",
  "not an address",
])("%s is not on the public internet", async (address) => {
  expect(isPublic(address)).toBe(false);
  await expect(send("https://hooks.example/", { resolve: at(address) })).rejects.toThrow("not on the public internet");
});

test.each(["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:2800:220:1::1"])("%s is", (address) => {
  expect(isPublic(address)).toBe(true);
});

test.each([
  ["http://platform.example/", "must begin with https://"],
  ["ftp://platform.example/", "must begin with https://"],
  ["file:///etc/passwd", "must begin with https://"],
  ["platform.example", "must be a URL"],
  ["", "must be a URL"],
  ["https://user:pw@platform.example/", "must not hold a user name"],
  ["https://127.0.0.1/", "must be on the public internet"],
  ["https://2130706433/", "must be on the public internet"],
  ["https://0x7f.1/", "must be on the public internet"],
  ["https://127.1/", "must be on the public internet"],
  ["https://localhost/", "must be on the public internet"],
  ["https://[::1]/", "must be on the public internet"],
  ["https://[::ffff:10.0.0.1]/", "must be on the public internet"],
  ["https://169.254.169.254/latest/meta-data", "must be on the public internet"],
  ["https://168.63.129.16/", "must be on the public internet"],
  ["https://１２７.0.0.1/", "must be on the public internet"],
])("%s is refused before anything is sent", async (url, why) => {
  expect(urlFault(url, [])).toContain(why);
  await expect(send(url)).rejects.toThrow(why);
});

test("an allowed host may have any address and no TLS, but only under that name", async () => {
  const { port } = receiver;
  expect(await send(`http://127.0.0.1:${port}/a?b=c`, { allowedHosts: ["127.0.0.1"] })).toEqual({
    status: 204,
    retryAfterMs: 0,
  });
  expect(receiver.received[0]).toMatchObject({ url: "/a?b=c", body: "{}" });
  await expect(send(`http://127.0.0.2:${port}/`, { allowedHosts: ["127.0.0.1"] })).rejects.toThrow("https");
  await expect(send(`ftp://127.0.0.1:${port}/`, { allowedHosts: ["127.0.0.1"] })).rejects.toThrow("https");
});

test("an allowed host may be limited to a port", async () => {
  const { port } = receiver;
  const allowedHosts = [`127.0.0.1:${port}`, "hooks.internal:443", "other.internal:80"];
  expect((await send(`http://127.0.0.1:${port}/`, { allowedHosts })).status).toBe(204);
  await expect(send(`http://127.0.0.1:${port - 1}/`, { allowedHosts })).rejects.toThrow("https");
  expect(urlFault("https://hooks.internal/", allowedHosts)).toBeNull();
  expect(urlFault("http://hooks.internal/", allowedHosts)).toContain("https");
  expect(urlFault("http://other.internal/", allowedHosts)).toBeNull();
});

test("a name with a public and a private address is refused", async () => {
  for (const resolve of [at("93.184.216.34", "127.0.0.1"), at("127.0.0.1", "93.184.216.34"), at()]) {
    await expect(send(`https://hooks.example:${receiver.port}/`, { resolve })).rejects.toThrow(/public|no address/);
  }
  expect(receiver.received).toEqual([]);
});

test("the connection goes to the checked address, with the name in the request", async () => {
  // A name that leads elsewhere when it is resolved a second time.
  const resolve = vi.fn<Resolve>(at("127.0.0.9")).mockImplementationOnce(at("127.0.0.1"));
  const url = `http://hooks.example:${receiver.port}/`;
  expect((await send(url, { allowedHosts: ["hooks.example"], resolve })).status).toBe(204);
  expect(resolve).toHaveBeenCalledTimes(1);
  expect(receiver.received[0].headers.host).toBe(`hooks.example:${receiver.port}`);
});

test("TLS asks for the name's certificate, and takes no other", async () => {
  const names: string[] = [];
  const server = createTlsServer({
    SNICallback(name, done) {
      names.push(name);
      done(new Error("no certificate"));
    },
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const options = { allowedHosts: ["hooks.example"], resolve: at("127.0.0.1") };
  await expect(send(`https://hooks.example:${port}/`, options)).rejects.toThrow();
  expect(names).toEqual(["hooks.example"]);
  server.close();
});

test("redirects are not followed", async () => {
  const target = `http://127.0.0.1:${receiver.port}/`;
  receiver.answer((response) => response.writeHead(307, { location: `${target}elsewhere` }).end());
  expect((await send(target, { allowedHosts: ["127.0.0.1"] })).status).toBe(307);
  expect(receiver.received).toHaveLength(1);
});

test("a receiver that does not answer is given up after the time limit", async () => {
  receiver.answer(() => undefined);
  const sent = send(`http://127.0.0.1:${receiver.port}/`, { allowedHosts: ["127.0.0.1"], timeoutMs: 100 });
  await expect(sent).rejects.toThrow(/abort/);
});

test("a receiver that sends only interim answers is given up after a few", async () => {
  const closed = Promise.withResolvers<void>();
  receiver.answer((response) => {
    const more = setInterval(() => response.writeProcessing(), 1);
    response.on("close", () => {
      clearInterval(more);
      closed.resolve();
    });
  });
  const sent = send(`http://127.0.0.1:${receiver.port}/`, { allowedHosts: ["127.0.0.1"], timeoutMs: 600_000 });
  await expect(sent).rejects.toThrow("interim answers (1xx)");
  await closed.promise;
});

test("up to eight interim answers before the final one do no harm", async () => {
  let interim = 8;
  receiver.answer((response) => {
    for (let i = 1; i < interim; i++) response.writeProcessing();
    response.writeEarlyHints({ link: "</style.css>; rel=preload" });
    // Later, so that a receiver that has said too much is given up before.
    if (interim === 8) setTimeout(() => response.writeHead(202).end(), 20);
  });
  const sent = () => send(`http://127.0.0.1:${receiver.port}/`, { allowedHosts: ["127.0.0.1"] });
  expect((await sent()).status).toBe(202);
  interim = 9;
  await expect(sent()).rejects.toThrow("interim answers (1xx)");
});

test("a receiver that accepts a TLS connection and does not answer is given up after the time limit", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const options = { allowedHosts: ["hooks.example"], resolve: at("127.0.0.1"), timeoutMs: 100 };
  await expect(send(`https://hooks.example:${port}/`, options)).rejects.toThrow(/abort/);
  server.close();
});

test("a resolver that does not answer is given up after the time limit", async () => {
  const resolve: Resolve = () => new Promise(() => undefined);
  await expect(send("https://hooks.example/", { resolve, timeoutMs: 100 })).rejects.toThrow("timeout");
});

test("names whose servers do not answer do not delay the resolution of others", async () => {
  const asked = new Set<string>();
  const nameServer = createSocket("udp4");
  nameServer.on("message", (query, from) => {
    const name = query.toString("latin1", 13, 13 + query[12]);
    asked.add(name);
    if (!name.startsWith("silent")) nameServer.send(noAnswers(query), from.port, from.address);
  });
  nameServer.bind(0, "127.0.0.1");
  await once(nameServer, "listening");
  const before = dns.getServers();
  dns.setServers([`127.0.0.1:${nameServer.address().port}`]);
  onTestFinished(() => {
    dns.setServers(before);
    nameServer.close();
  });
  const silent = Array.from({ length: 20 }, (_, i) => send(`https://silent${i}.example/`, { timeoutMs: 3000 }));
  const left = Promise.allSettled(silent);
  await expect.poll(() => asked.size).toBe(20);
  await expect(send("https://sound.example/", { timeoutMs: 600_000 })).rejects.toMatchObject({ code: "ENODATA" });
  const outcomes = await left;
  expect(outcomes.map(({ status }) => status)).toEqual(Array(20).fill("rejected"));
});

test.each([4, 6])("a name may have only addresses of IPv%i", async (family) => {
  const nameServer = createSocket("udp4");
  nameServer.on("message", (query, from) => {
    // A question ends with its type (1: IPv4, 28: IPv6) and its class.
    const type = query.readUInt16BE(query.indexOf(0, 12) + 1);
    const asked = type === 28 ? 6 : 4;
    nameServer.send(asked === family ? loopback(query, family) : noAnswers(query), from.port, from.address);
  });
  nameServer.bind(0, "127.0.0.1");
  await once(nameServer, "listening");
  const before = dns.getServers();
  dns.setServers([`127.0.0.1:${nameServer.address().port}`]);
  onTestFinished(() => {
    dns.setServers(before);
    nameServer.close();
  });
  // The address was found: only then can it be refused for where it leads.
  await expect(send("https://one.example/", { timeoutMs: 600_000 })).rejects.toThrow(
    `is at ${family === 4 ? "127.0.0.1" : "::1"}, which is not on the public internet`,
  );
});

/** A name server's answer that a name leads to the machine itself. */
function loopback(query: Buffer, family: number): Buffer {
  const question = query.subarray(0, query.indexOf(0, 12) + 5);
  const address = family === 4 ? Buffer.from([127, 0, 0, 1]) : Buffer.from([...Array(15).fill(0), 1]);
  const answer = Buffer.from([0xc0, 12, 0, family === 4 ? 1 : 28, 0, 1, 0, 0, 0, 60, 0, address.length]);
  const whole = Buffer.concat([question, answer, address]);
  whole.writeUInt16BE(0x8180, 2);
  // The message has one question, one answer and nothing else.
  for (const [i, count] of [1, 1, 0, 0].entries()) whole.writeUInt16BE(count, 4 + 2 * i);
  return whole;
}

/** A name server's answer that a name has no address. */
function noAnswers(query: Buffer): Buffer {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(0x8180, 2);
  return answer;
}

test("a connection that is closed without an answer is a failure", async () => {
  receiver.answer((response) => response.destroy());
  await expect(send(`http://127.0.0.1:${receiver.port}/`, { allowedHosts: ["127.0.0.1"] })).rejects.toThrow();
});

test("only the head of an endless response is read", async () => {
  let written = 0;
  receiver.answer((response) => {
    response.writeHead(200);
    const more = setInterval(() => response.write(Buffer.alloc(2 ** 16), () => (written += 2 ** 16)), 1);
    response.on("close", () => clearInterval(more));
  });
  expect((await send(`http://127.0.0.1:${receiver.port}/`, { allowedHosts: ["127.0.0.1"] })).status).toBe(200);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(written).toBeLessThan(2 ** 23);
});

test("a head that is too long is a failure", async () => {
  receiver.answer((response) => response.writeHead(200, { "x-long": "x".repeat(2 ** 17) }).end());
  await expect(send(`http://127.0.0.1:${receiver.port}/`, { allowedHosts: ["127.0.0.1"] })).rejects.toThrow();
});

test.each([
  ["7", 7000],
  ["0", 0],
  ["999999999", 999_999_999_000],
  ["1000000000", 0],
  ["1.5", 0],
  ["-1", 0],
  ["Wed, 21 Oct 2026 07:28:00 GMT", 0],
])("Retry-After is understood in seconds: %s", async (retryAfter, retryAfterMs) => {
  receiver.answer((response) => response.writeHead(503, { "retry-after": retryAfter }).end());
  const sent = await send(`http://127.0.0.1:${receiver.port}/`, { allowedHosts: ["127.0.0.1"] });
  expect(sent).toEqual({ status: 503, retryAfterMs });
});

test("a body is sent whole, whatever its characters, each time over a connection of its own", async () => {
  const url = `http://127.0.0.1:${receiver.port}/`;
  const options = { allowedHosts: ["127.0.0.1"], timeoutMs: 2000, signal: new AbortController().signal };
  for (let i = 0; i < 2; i++) await post(url, { "webhook-id": "x" }, '{"name":"Größe 寸"}', options);
  expect(receiver.received.map(({ body }) => body)).toEqual(Array(2).fill('{"name":"Größe 寸"}'));
  for (const { headers } of receiver.received)
    expect(headers).toMatchObject({ connection: "close", "webhook-id": "x" });
});

test("a request that is given up is given up at once", async () => {
  receiver.answer(() => undefined);
  const signal = AbortSignal.timeout(50);
  const url = `http://127.0.0.1:${receiver.port}/`;
  await expect(send(url, { allowedHosts: ["127.0.0.1"], timeoutMs: 600_000, signal })).rejects.toThrow(/abort/);
});
