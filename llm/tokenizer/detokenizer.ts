const SPACE = 0x20;

/** Turns the tokens of one text into text as they come. */
export interface DetokenizerStream {
  /**
   * The text that `id` completes: empty while a character is incomplete. Never ends in half a character; bytes that are no
   * UTF-8 become U+FFFD.
   *
   * @throws PynqLlmError LLM_TOKEN_RANGE
   */
  push(id: number): string;
  /** The rest: U+FFFD if the bytes end within a character. */
  flush(): string;
}

/**
 * A stream over the pieces of tokens.
 *
 * @param bytesOf the bytes of a token, none for a hidden one
 * @param stripsSpace whether the space that encoding put before the text is taken off again
 */
export function detokenizerStream(
  bytesOf: (id: number) => Uint8Array,
  stripsSpace: boolean,
): DetokenizerStream {
  // A byte-order mark is text like any other here; TextDecoder would take a leading one off.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let isAtStart = stripsSpace;
  return {
    push(id) {
      let bytes = bytesOf(id);
      if (isAtStart && bytes.length > 0) {
        isAtStart = false;
        if (bytes[0] === SPACE) bytes = bytes.subarray(1);
      }
      return decoder.decode(bytes, { stream: true });
    },
    flush: () => decoder.decode(),
  };
}
