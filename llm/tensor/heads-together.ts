import type { GgufFile } from '../../gguf/index.js';
import { readConfig } from '../model/config.js';

/** Whether a norm of a model goes over the queries of all heads together, so that they cannot be on several boards. */
export function normsHeadsTogether(gguf: GgufFile): boolean {
  return readConfig(gguf).architecture.queryKeyNorm === 'row';
}
