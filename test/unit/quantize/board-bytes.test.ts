import { expect, it } from 'vitest';
import { BLOCK_FORMATS, CORE_WORDS, coreTypeOf, GgmlType } from '../../../gguf/index.js';
import { coreForm } from '../../../llm/core-form/index.js';
import { boardBytes } from '../../../quantize/board-bytes.js';

const TYPES = Object.keys(BLOCK_FORMATS)
  .map(Number)
  .filter((type) => type !== GgmlType.Q8_K) as GgmlType[];

it.each(TYPES)('type %s takes as many bytes on a board as the form that it is loaded in', (type) => {
  for (const columns of [256, 288, 1024]) {
    const form = coreForm(type, columns, 'padded');
    const words = form === undefined ? 0 : CORE_WORDS[coreTypeOf(form.type)!] * (form.columns / 256);
    expect(boardBytes(type, 7, columns)).toBe(7 * 4 * words);
  }
});
