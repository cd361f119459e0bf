import { expect } from 'vitest';
import { GgmlType, type GgufEntry, writeGguf } from '../../../gguf/index.js';
import type { CliResult } from './cli.js';

/** One line with number, code and remedy, and nothing else anywhere. */
export function expectError(result: CliResult, code: string): void {
  expect(result.stderr).toMatch(new RegExp(`^pynq-llm: \\[PL\\d{4} ${code}\\] .+\\. .+\\.\\n$`));
  expect(result.stdout).toBe('');
  expect(result.status).toBe(1);
}

/** A well-formed file with one tensor that is no model. */
export function modelOf(architecture: string): Buffer {
  const metadata = new Map<string, GgufEntry>([
    ['general.architecture', { type: 'string', value: architecture }],
  ]);
  const pieces: Uint8Array[] = [];
  writeGguf({ write: (bytes) => pieces.push(bytes.slice()) }, metadata, [
    {
      name: 'token_embd.weight',
      type: GgmlType.F32,
      shape: [256, 4],
      produce: (emit) => emit(new Uint8Array(256 * 4 * 4)),
    },
  ]);
  return Buffer.concat(pieces);
}
