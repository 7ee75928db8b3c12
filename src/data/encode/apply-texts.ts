import type { RowTexts } from "../text/texts.ts";
import { tokenizerOf } from "../text/vocabulary.ts";
import type { TextEncoder } from "./encoding.ts";

/** Writes the tokens of each row. Characters that the vocabulary lacks are left out. */
export function encodeRowTexts(
  { vocabulary, padding = 0 }: TextEncoder,
  texts: RowTexts,
  numbers: Float32Array | Int32Array,
  width: number,
): void {
  const tokenizer = tokenizerOf(vocabulary);
  for (let begin = 0, row = 0; begin < numbers.length; begin += width, row++) {
    let count = 0;
    const take = (token: number) => {
      if (count < width) numbers[begin + count++] = token;
    };
    tokenizer.encode(texts.at(row), take, () => undefined);
    numbers.copyWithin(begin + width - count, begin, begin + count);
    numbers.fill(padding, begin, begin + width - count);
  }
}
