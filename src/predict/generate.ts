/*
 * A model of language goes on with a text, one token after the other. Its input is a context of a
 * fixed length: the last tokens, and zeros behind them while there are fewer. The next token is
 * drawn by the outputs at the last one. What stands behind it does not count, since a model that
 * was trained to tell the next token must not look ahead.
 */
import type { ForwardCrew } from "../engine/crew/forward.ts";
import { functionKernels } from "../engine/kernels/kernels.ts";
import { PURPOSE, randomWords, unitDouble } from "../engine/kernels/random.ts";
import type { Tokenizer } from "../data/text/vocabulary.ts";
import { faulty } from "../contract/errors.ts";
import { unknownCharacters } from "./columns.ts";
import type { Prompt } from "./request.ts";

export interface Continuation {
  readonly text: string;
  readonly tokens: readonly number[];
}

/** `turn` is called before each token, and may throw to end the work. @throws Problem */
export function generate(
  crew: Pick<ForwardCrew, "run" | "plan">,
  tokenizer: Tokenizer,
  asked: Prompt,
  turn: () => void,
): Continuation {
  const [context] = crew.plan.inputs[0].shape;
  const known = tokensOf(tokenizer, asked.prompt);
  const begin = known.length;
  const values = new Int32Array(context);
  for (let i = 0; i < asked.max_tokens; i++) {
    turn();
    const last = known.slice(-context);
    values.fill(0).set(last);
    const outputs = crew.run([{ values }], 0, 1);
    const from = (last.length - 1) * tokenizer.size;
    known.push(draw(outputs.subarray(from, from + tokenizer.size), asked, i));
  }
  const tokens = known.slice(begin);
  return { text: Buffer.concat(tokens.map((token) => tokenizer.bytesOf(token))).toString(), tokens };
}

/** @throws Problem if the vocabulary lacks a character */
function tokensOf(tokenizer: Tokenizer, prompt: string): number[] {
  const tokens: number[] = [];
  const unknown = new Set<number>();
  const take = (token: number) => void tokens.push(token);
  tokenizer.encode(Buffer.from(prompt), take, (point) => unknown.add(point));
  if (unknown.size === 0) return tokens;
  throw faulty("invalid_spec", [{ pointer: "/prompt", message: unknownCharacters(unknown) }]);
}

/** The token that follows, as number `step` of those that are drawn. Sums run in a fixed order. */
function draw(
  outputs: Float32Array,
  { temperature, top_k, seed }: Pick<Prompt, "temperature" | "top_k" | "seed">,
  step: number,
): number {
  // Of equal outputs the first token comes first.
  const order = Array.from(outputs.keys()).sort((a, b) => outputs[b] - outputs[a] || a - b);
  if (temperature === 0) return order[0];
  const { exp } = functionKernels();
  const likely = order.slice(0, top_k ?? order.length);
  const shares = likely.map((token) => exp((outputs[token] - outputs[order[0]]) / temperature));
  const [word0, word1] = randomWords(seed, PURPOSE.generate, 0, step, 0);
  let left = unitDouble(word0, word1) * shares.reduce((sum, share) => sum + share, 0);
  const place = shares.findIndex((share) => (left -= share) < 0);
  return likely[place === -1 ? likely.length - 1 : place];
}
