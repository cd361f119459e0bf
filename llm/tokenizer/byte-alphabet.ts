/**
 * The characters that stand for the 256 bytes in byte-pair vocabularies (GPT-2's bytes_to_unicode): printable Latin-1
 * characters for themselves, the other bytes in order as U+0100, U+0101 and so on.
 */
export const CHARACTER_OF_BYTE: readonly string[] = makeAlphabet();

/** The byte that each of those characters stands for. */
export const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = new Map(
  CHARACTER_OF_BYTE.map((character, byte) => [character, byte]),
);

function makeAlphabet(): string[] {
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    if (isPrintable) return String.fromCharCode(byte);
    others += 1;
    return String.fromCharCode(0xff + others);
  });
}
