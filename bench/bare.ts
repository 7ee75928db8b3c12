// A Fastify route that does nothing, for comparison. It answers as many bytes as its argument says.
import { fastify } from "fastify";

const body = JSON.stringify({ padding: "x".repeat(Number(process.argv[2]) - 14) });
const app = fastify();
app.get("/", (_request, reply) => reply.type("application/json; charset=utf-8").send(body));
const address = await app.listen({ port: 0 });
console.log(JSON.stringify({ msg: "ready", address }));
