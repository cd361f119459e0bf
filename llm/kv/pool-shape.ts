import { PynqLlmError } from '../../errors/index.js';
import type { PartName } from './page.js';

/** What a page consists of, whatever layers it is of. */
export interface PageShape {
  /** Groups of layers of each part of a page. */
  readonly groups: Readonly<Record<PartName, number>>;
  /** Tokens that layers with a window see; 0 where there are none. */
  readonly window: number;
  /** Frames of a page for rows of convolutions that stay, and for the others until it is settled. */
  readonly keptRowFrames: number;
  readonly rowFrames: number;
}

/**
 * What pools of several stages have in common so that they give out, share and throw out the same pages: as many frames, and
 * pages of as many of them. Frames of each are as large as its own layers need. Plain data.
 */
export interface PoolShape extends PageShape {
  readonly frames: number;
}

/**
 * Layers of a group where pages are to have as many groups as others.
 * @throws PynqLlmError LLM_STAGE_UNSUPPORTED where there is none for some layers
 */
export function layersOfCommonGroup(
  layers: Readonly<Record<PartName, number>>,
  { groups }: PageShape,
): number {
  let most = 1;
  for (const part of ['full', 'windowed'] as const) {
    if (layers[part] === 0) continue;
    if (groups[part] === 0)
      throw notInCommon(
        `pages have no place for the ${layers[part]} layers that see ${part === 'full' ? 'all tokens' : 'a window'}`,
      );
    most = Math.max(most, Math.ceil(layers[part] / groups[part]));
  }
  return most;
}

/** @throws PynqLlmError LLM_STAGE_UNSUPPORTED where a page has not as many frames for rows as these layers need */
export function checkCommonRows(
  own: { readonly kept: number; readonly others: number },
  common: PageShape,
): void {
  if (own.kept <= common.keptRowFrames && own.others <= common.rowFrames) return;
  throw notInCommon(
    `rows of convolutions need ${own.kept} and ${own.others} frames of a page, which has ${common.keptRowFrames} and ${common.rowFrames}`,
  );
}

function notInCommon(what: string): PynqLlmError {
  return new PynqLlmError(
    'LLM_STAGE_UNSUPPORTED',
    `The stage's keys and values are to have pages like those of the others, but ${what}.`,
  );
}
