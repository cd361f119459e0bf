import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lacking } from '../../system/support/required-packages.js';

/** What faketime has a program load. */
const asked = spawnSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'], { encoding: 'utf8' });

/** Why the clocks of processes cannot be set here; undefined if they can. */
export const noFakeClock =
  asked.status === 0 ? undefined : lacking('faketime is not installed (apt: faketime)');

/** The time of day of processes, which a test can set; their monotonic clocks go on as they are. */
export class FakeClock {
  readonly #file: string;

  /** @param folder where it is kept */
  constructor(folder: string) {
    this.#file = join(folder, 'time');
    this.jumpTo(0);
  }

  /** For processes whose clock it is to be. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: asked.stdout.trim(),
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Of older versions.
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** They are so many seconds ahead of the real time from now on, or behind it. */
  jumpTo(seconds: number): void {
    writeFileSync(this.#file, `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }
}
