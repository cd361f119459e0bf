const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A token's characters; where it has only parts of some, its bytes as `\xe2\x80`, the way OpenAI writes such tokens. */
export function tokenText(piece: Uint8Array): string {
  try {
    return utf8.decode(piece);
  } catch {
    return [...piece].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  }
}

/** Where each token of a text begins in it, in UTF-16 units, as texts are counted in the ecosystem's clients. */
export class TextOffsets {
  readonly #characters = new TextDecoder('utf-8', { ignoreBOM: true });
  #length = 0;

  /** The next token's. */
  take(piece: Uint8Array): number {
    const at = this.#length;
    this.#length += this.#characters.decode(piece, { stream: true }).length;
    return at;
  }
}
