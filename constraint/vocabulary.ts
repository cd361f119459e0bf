/** What constraints know of a model's tokens; a tokenizer is one. */
export interface Vocabulary {
  /** Tokens; ids are 0 to one less. */
  readonly vocabSize: number;
  /** Tokens that end a text. */
  readonly eosIds: ReadonlySet<number>;
  /** The bytes that a token stands for, not always whole characters. */
  pieceBytes(id: number): Uint8Array;
  /** Whether a token is left out of texts: control and unknown tokens. */
  isHidden(id: number): boolean;
}
