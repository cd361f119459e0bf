import { PynqLlmError } from '../../errors/index.js';
import type { Vocabulary } from './vocabulary.js';

/**
 * The token in place of a character that the vocabulary can neither hold nor spell.
 *
 * @throws PynqLlmError LLM_TEXT_UNENCODABLE if the vocabulary has no unknown token
 */
export function unknownFor(character: string, vocabulary: Vocabulary): number {
  if (vocabulary.unknownId !== undefined) return vocabulary.unknownId;
  const codePoint = character.codePointAt(0) ?? 0;
  const name = `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
  throw new PynqLlmError('LLM_TEXT_UNENCODABLE', `The vocabulary cannot express ${name}.`, {
    context: { codePoint },
  });
}
