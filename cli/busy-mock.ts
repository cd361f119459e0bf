import type { BoardClient, Model } from '../sdk/index.js';
import { noteText } from './output/print.js';
import { packageFile } from './package-files.js';
import { openModel } from './session.js';

const PROMPT = 'Once upon a time';

/**
 * Where the device is a mock of this process's own, nobody else uses it, and all that can be seen of it is zeros: then a
 * story is told meanwhile, and that is said.
 * @returns the model that tells it
 */
export async function openStory(
  { device, story }: { readonly device: string; readonly story: boolean },
  board: BoardClient,
  signal: AbortSignal,
): Promise<Model | undefined> {
  if (!story || !/^mock(:|$)/.test(device)) return undefined;
  noteText(
    `Nothing else runs on the fresh device ${device}, so the bundled model tells a story. --no-story leaves it idle.\n`,
  );
  return openModel(board, packageFile('models', 'tiny-stories-Q3_K_M.gguf'), signal);
}

/** A short one, to its end. */
export async function tellStory(model: Model, signal: AbortSignal): Promise<void> {
  await model.generate(PROMPT, { maxTokens: 16, seed: 1, logprobs: false, signal }).text();
}

/** One after the other, until `signal` aborts. Never rejects: whoever looks on sees the device's errors by itself. */
export async function tellStories(model: Model, signal: AbortSignal): Promise<void> {
  for (let seed = 1; !signal.aborted; seed++) {
    const story = model.generate(PROMPT, { maxTokens: 256, seed, logprobs: false, signal });
    const ended = await story.text().then(
      () => true,
      () => false,
    );
    if (!ended) return;
  }
}
