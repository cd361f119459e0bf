import { readFileSync } from 'node:fs';
import { TINY_MODEL } from './agent.js';

const COUNTS = 16;
const AFTER_COUNTS = 24;
const STRING = 8;
const ALIGNMENT = 32;

/** The bundled model with a chat template, which it has none of by itself: one metadata entry put in front of the others. */
export function modelWithChatTemplate(template: string): Uint8Array {
  const model = readFileSync(TINY_MODEL);
  const entry = (value: string) => {
    const bytes = Buffer.from(value);
    const type = Buffer.alloc(4);
    type.writeUInt32LE(STRING);
    return Buffer.concat([withLength(Buffer.from('tokenizer.chat_template')), type, withLength(bytes)]);
  };
  // Whole alignments, so that every tensor stays where the header says; a comment of the template fills up.
  const missing = (ALIGNMENT - (entry(`${template}{##}`).length % ALIGNMENT)) % ALIGNMENT;
  const added = entry(`${template}{#${' '.repeat(missing)}#}`);
  const head = Buffer.from(model.subarray(0, AFTER_COUNTS));
  head.writeBigUInt64LE(head.readBigUInt64LE(COUNTS) + 1n, COUNTS);
  return Buffer.concat([head, added, model.subarray(AFTER_COUNTS)]);
}

/** The bundled model with a token that says something else. */
export function modelWithOtherVocabulary(): Uint8Array {
  const model = readFileSync(TINY_MODEL);
  const token = withLength(Buffer.from('friend'));
  const at = model.indexOf(token);
  if (at < 0) throw new Error('the bundled model has the token');
  model.write('FRIEND', at + token.length - 6);
  return model;
}

function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}
