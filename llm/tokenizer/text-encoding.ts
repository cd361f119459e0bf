import type { Pausable } from '../../constraint/index.js';

/** What the kinds of tokenizer do differently; all else is common to them. */
export interface TextEncoding {
  /** Appends to `ids` the tokens of `text`, which is well-formed and not empty; paused now and then, from first to last. */
  encode(text: string, ids: number[]): Pausable<void>;
  /** The bytes that a normal, unused or byte token stands for. */
  pieceBytes(id: number): Uint8Array;
  /** UTF-8 bytes of text that one token stands for at most, special tokens aside. */
  readonly mostBytes: number;
  /** Whether a text is encoded as if a space stood before it. */
  readonly addsSpacePrefix: boolean;
}
