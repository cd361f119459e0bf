/** What the kinds of tokenizer do differently; all else is common to them. */
export interface TextEncoding {
  /** Appends to `ids` the tokens of `text`, which is well-formed and not empty. */
  encode(text: string, ids: number[]): void;
  /** The bytes that a normal, unused or byte token stands for. */
  pieceBytes(id: number): Uint8Array;
  /** Whether a text is encoded as if a space stood before it. */
  readonly addsSpacePrefix: boolean;
}
