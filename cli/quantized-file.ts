import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Progress } from './output/progress.js';

/**
 * A quantised copy of a model in the folder for temporary files, called NAME-TYPE.gguf; gone with its scope.
 * @throws PynqLlmError as `quantizeModel`
 */
export async function quantized(
  path: string,
  type: string,
  pad: boolean,
  signal: AbortSignal,
): Promise<{ readonly path: string } & Disposable> {
  const { quantizeModel } = await import('../sdk/index.js');
  const folder = mkdtempSync(join(tmpdir(), 'pynq-llm-quantized-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const name = basename(path).replace(/(-(f16|bf16|f32|q8_0))?\.gguf$/i, '');
  const copy = join(folder, `${name}-${type.toUpperCase()}.gguf`);
  using progress = new Progress(`quantize ${basename(path)}`);
  try {
    await quantizeModel(path, copy, {
      type,
      pad,
      signal,
      onProgress: (done, all) => progress.update(done, all),
    });
    progress.finish();
    return { path: copy, [Symbol.dispose]: remove };
  } catch (error) {
    remove();
    throw error;
  }
}
