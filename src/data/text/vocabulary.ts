/**
 * The tokens of a model of language: bytes, characters, or pieces that were found by byte-pair
 * encoding (bpe.ts). A vocabulary comes from the training text alone, and is stored with the model.
 */
import { fitMerges, Pieces, type Merge } from "./bpe.ts";
import { eachCharacter } from "./read.ts";

/** What a spec asks for. */
export type VocabularyRule = "bytes" | "characters" | { readonly bpe: number };

export type Vocabulary =
  /** The token of a byte is its value. */
  | { readonly type: "bytes" }
  /** The characters in the order of their code points; their places are the tokens. */
  | { readonly type: "characters"; readonly characters: string }
  /** Bytes are the tokens 0 to 255. Merge i makes the token 256 + i of two tokens before it. */
  | { readonly type: "bpe"; readonly merges: readonly Merge[] };

const BYTES = 256;

/** @param training the texts, one after the other */
export function fitVocabulary(rule: VocabularyRule, training: Iterable<Uint8Array>): Vocabulary {
  if (rule === "bytes") return { type: "bytes" };
  if (rule !== "characters") return { type: "bpe", merges: fitMerges(training, rule.bpe - BYTES) };
  const seen = new Set<number>();
  for (const text of training) eachCharacter(text, (point) => seen.add(point));
  const points = Int32Array.from(seen).sort();
  return { type: "characters", characters: Array.from(points, (point) => String.fromCodePoint(point)).join("") };
}

const tokenizers = new WeakMap<Vocabulary, Tokenizer>();

/** The tokenizer of a vocabulary, which remembers words. */
export function tokenizerOf(vocabulary: Vocabulary): Tokenizer {
  const known = tokenizers.get(vocabulary) ?? new Tokenizer(vocabulary);
  tokenizers.set(vocabulary, known);
  return known;
}

/** Turns texts into tokens, and back. */
export class Tokenizer {
  readonly #vocabulary: Vocabulary;
  readonly #characters: readonly string[];
  readonly #tokens: ReadonlyMap<number, number>;
  readonly #pieces: Pieces | null;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#characters = vocabulary.type === "characters" ? Array.from(vocabulary.characters) : [];
    this.#tokens = new Map(this.#characters.map((character, token) => [character.codePointAt(0)!, token]));
    this.#pieces = vocabulary.type === "bpe" ? new Pieces(vocabulary.merges) : null;
  }

  /** How many tokens there are. */
  get size(): number {
    if (this.#vocabulary.type === "characters") return this.#characters.length;
    return BYTES + (this.#vocabulary.type === "bpe" ? this.#vocabulary.merges.length : 0);
  }

  /** The names of the tokens as classes of the target: the characters, or else their numbers. */
  get names(): string[] {
    return this.#vocabulary.type === "characters"
      ? [...this.#characters]
      : Array.from({ length: this.size }, (_, token) => String(token));
  }

  /**
   * Calls `take` with each token of a text in UTF-8. `unknown` gets the code points of characters
   * that have no token.
   */
  encode(text: Uint8Array, take: (token: number) => void, unknown: (point: number) => void): void {
    if (this.#pieces !== null) return this.#pieces.encode(text, take);
    if (this.#vocabulary.type === "bytes") {
      for (const byte of text) take(byte);
      return;
    }
    eachCharacter(text, (point) => {
      const token = this.#tokens.get(point);
      if (token === undefined) unknown(point);
      else take(token);
    });
  }

  /** The bytes of a token. Those of a byte or a piece may be a part of a character. */
  bytesOf(token: number): Uint8Array {
    if (this.#pieces !== null) return this.#pieces.bytesOf(token);
    if (this.#vocabulary.type === "bytes") return Uint8Array.of(token);
    return Buffer.from(this.#characters[token]);
  }
}
