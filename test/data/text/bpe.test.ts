/** Byte-pair encoding. */
import { expect, test } from "vitest";
import { fitMerges } from "../../../src/data/text/bpe.ts";
import { fitVocabulary, Tokenizer } from "../../../src/data/text/vocabulary.ts";
import { sentences } from "../../support/language.ts";

const pair = (text: string) => [...Buffer.from(text)];

test("the most frequent pair goes first, of equal ones that of the smaller tokens", () => {
  expect(fitMerges([Buffer.from("ab ab ab")], 1)).toEqual([pair("ab")]);
  expect(fitMerges([Buffer.from("ba ba ab ab")], 1)).toEqual([pair(" a")]);
  // A letter belongs to one pair at a time, so that "aaaaaaaa" has four and then two.
  expect(fitMerges([Buffer.from("aaaaaaaa")], 9)).toEqual([pair("aa"), [256, 256]]);
});

test("no pair goes beyond a word, and pairs that occur once become no token", () => {
  expect(fitMerges([Buffer.from("x. y, z; 1 2\n\n")], 9)).toEqual([]);
  const merges = fitMerges([Buffer.from("one two one two one two")], 100);
  const tokenizer = new Tokenizer({ type: "bpe", merges });
  const pieces = Array.from({ length: merges.length }, (_, i) => Buffer.from(tokenizer.bytesOf(256 + i)).toString());
  expect(pieces).toContain(" two");
  expect(pieces.every((piece) => /^ ?[a-z]+$/.test(piece))).toBe(true);
});

/** Merges by definition: count all pairs anew each time. */
function slowly(words: readonly string[], most: number): number[][] {
  let tokens = words.map((word) => [...Buffer.from(word)]);
  const merges: number[][] = [];
  while (merges.length < most) {
    const counts = new Map<string, number>();
    for (const word of tokens)
      for (let i = 1; i < word.length; i++) {
        const key = `${word[i - 1]} ${word[i]}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    const order = [...counts]
      .map(([key, count]) => ({ key: key.split(" ").map(Number), count }))
      .toSorted((a, b) => b.count - a.count || a.key[0] - b.key[0] || a.key[1] - b.key[1]);
    if (order.length === 0 || order[0].count < 2) break;
    const [first, second] = order[0].key;
    merges.push([first, second]);
    tokens = tokens.map((word) => {
      const joined: number[] = [];
      for (let i = 0; i < word.length; i++) {
        const isPair = word[i] === first && word[i + 1] === second;
        joined.push(isPair ? 255 + merges.length : word[i]);
        if (isPair) i++;
      }
      return joined;
    });
  }
  return merges;
}

test("merges are those of counting anew each time, with letters that repeat too", () => {
  const text = `${sentences(3000)} aaa aaaa aaaaa banana bananas`;
  const words = text.match(/ ?[A-Za-z]+| ?[^\sA-Za-z]+|\s+/g)!;
  expect(fitMerges([Buffer.from(text)], 150)).toEqual(slowly(words, 150));
});

test.each([
  ["bytes", "Größe 日本 \0\n"],
  ["characters", "Größe 日本 𝄞\n"],
  [{ bpe: 400 }, `${sentences(4000)}Größe 日本 𝄞 \0\r\n   x  `],
] as const)("a text comes back from its tokens: %o", (rule, text) => {
  const bytes = Buffer.from(text);
  const tokenizer = new Tokenizer(fitVocabulary(rule, [bytes]));
  const tokens: number[] = [];
  tokenizer.encode(
    bytes,
    (token) => tokens.push(token),
    () => expect.unreachable(),
  );
  expect(Buffer.concat(tokens.map((token) => tokenizer.bytesOf(token))).toString()).toBe(text);
  expect(Math.max(...tokens)).toBeLessThan(tokenizer.size);
  expect(tokenizer.names.length).toBe(tokenizer.size);
});
