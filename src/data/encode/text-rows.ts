/*
 * A text in each row as what a model predicts from: its first `context` tokens. A shorter one has
 * padding before it, so that a recurrent layer, which knows no lengths, ends on the last token of
 * the text. The token of the padding comes after those of the vocabulary, as the last one: an
 * embedding with `padding_idx` −1 gives it zeros, whatever the vocabulary.
 */
import type { DataFault } from "./check.ts";
import type { Inherited, InputEncoding, TextEncoder } from "./encoding.ts";
import { featuresOf, type TextSpec } from "./features.ts";
import { FEATURES } from "./fit-tensor.ts";
import type { MeasuredInputs } from "./fit.ts";
import type { Split } from "./split.ts";
import { vocabularyOf } from "./text.ts";
import { Tokenizer } from "../text/vocabulary.ts";
import type { ViewedFile } from "./viewed-file.ts";

export async function fitRowText(
  file: ViewedFile,
  data: TextSpec,
  train: Int32Array,
  inherited: Inherited | null,
): Promise<InputEncoding> {
  const [column] = featuresOf(file.content, data);
  const texts = await file.texts(column);
  const training = Array.from(train, (row) => texts.at(row));
  const vocabulary = vocabularyOf(training, data, inherited);
  const { size } = new Tokenizer(vocabulary);
  const encoder = { column, type: "text", vocabulary, padding: size } as const;
  return { name: FEATURES, shape: [data.text.context], type: "int32", categories: size + 1, encoders: [encoder] };
}

/** What the plan needs to know, the faults that only the texts show, and unknown characters. */
export async function measureRowText(
  file: ViewedFile,
  data: TextSpec,
  { train, valid, test }: Split,
  inherited: Inherited | null,
): Promise<MeasuredInputs & { readonly unknown: readonly string[] }> {
  const { encoders, ...input } = await fitRowText(file, data, train, inherited);
  const { column, vocabulary } = encoders[0] as TextEncoder;
  const texts = await file.texts(column);
  const tokenizer = new Tokenizer(vocabulary);
  const unknown = new Set<number>();
  let tokens = 0;
  const longestOf = (rows: Int32Array) => {
    let longest = 0;
    for (const row of rows) {
      tokens = 0;
      tokenizer.encode(
        texts.at(row),
        () => tokens++,
        (point) => unknown.add(point),
      );
      longest = Math.max(longest, tokens);
    }
    return longest;
  };
  const [longest] = [train, valid, test].map(longestOf);
  return {
    width: data.text.context,
    inputs: [input],
    faults: lengthFaults(column, data, longest, inherited),
    unknown: Array.from(unknown, (point) => String.fromCodePoint(point)),
  };
}

/** @param longest how many tokens the longest text that trains has */
function lengthFaults(
  column: string,
  { text: { context } }: TextSpec,
  longest: number,
  inherited: Inherited | null,
): DataFault[] {
  const name = JSON.stringify(column);
  if (longest === 0)
    return [{ pointer: "/data/features", message: `names ${name}, which has no text in any row that trains` }];
  // The model of another job may know longer ones.
  if (context <= longest || inherited !== null) return [];
  const message = `is ${context}, and the longest text of ${name} that trains has ${longest} tokens: more would always be padding`;
  return [{ pointer: "/data/text/context", message }];
}
