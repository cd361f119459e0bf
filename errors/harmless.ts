/**
 * Characters that nobody sees and that drive a terminal, hide a part of a text or turn its order around: C0 and C1 control
 * characters, all of Unicode's formatting ones (marks of direction, zero width, BOM), its line and paragraph separators,
 * and halves of surrogate pairs, which are no characters at all.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
const ALL_UNSEEN = new RegExp(UNSEEN, 'gu');

/** Of these what a text of several lines may not hold; joiners make letters of some scripts, and are harmless. */
const DRIVES_TERMINAL = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/gu;

const LINE_BREAKS = /[\r\n\t]+/g;

/** Whether the text holds a character that nobody sees. */
export function holdsUnseen(text: string): boolean {
  return UNSEEN.test(text);
}

/** Text from outside as a part of one printed line: breaks become a space, what nobody sees is written as `\u{1b}`. */
export function harmless(text: string): string {
  return text.replace(LINE_BREAKS, ' ').replace(ALL_UNSEEN, escaped);
}

/** Text of several lines from outside as it may be printed: line ends and tabs stay. */
export function harmlessLines(text: string): string {
  return text.replace(DRIVES_TERMINAL, escaped);
}

/** JSON that drives no terminal and says the same: JSON.stringify leaves C1 control characters and others as they are. */
export function harmlessJson(value: unknown): string {
  return JSON.stringify(value).replace(ALL_UNSEEN, (character) =>
    // Astral characters are two escapes.
    Array.from(
      { length: character.length },
      (_, i) => `\\u${hex(character.charCodeAt(i)).padStart(4, '0')}`,
    ).join(''),
  );
}

function escaped(character: string): string {
  // A match is one character.
  return `\\u{${hex(character.codePointAt(0)!)}}`;
}

function hex(code: number): string {
  return code.toString(16);
}
