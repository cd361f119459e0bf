import { appendFile, readFile, rename } from 'node:fs/promises';
import type { Log } from '../../listen/index.js';
import type { LoadSample } from './advise.js';
import { readSample } from './read-history.js';

/** Lines of a file, then another one is begun and the one before the last deleted: with one a minute two weeks each, at most 2 MiB. */
const MOST_LINES = 20_000;

/** What a fleet had to do, in a file of lines that `fleet advise` reads, and the file before it. */
export class LoadHistory {
  readonly #path: string;
  readonly #log: Log;
  readonly #mostLines: number;
  #samples: LoadSample[];
  #lines: number;
  #written: Promise<void> = Promise.resolve();

  private constructor(path: string, log: Log, mostLines: number, samples: LoadSample[], lines: number) {
    this.#path = path;
    this.#log = log;
    this.#mostLines = mostLines;
    this.#samples = samples;
    this.#lines = lines;
  }

  /** Goes on with what is there. What cannot be read of it is left out: a power cut may have cut a line short. */
  static async open(path: string, log: Log, mostLines = MOST_LINES): Promise<LoadHistory> {
    const linesOf = async (file: string) =>
      (await readFile(file, 'utf8').catch(() => '')).split('\n').filter((one) => one !== '');
    const [before, now] = await Promise.all([linesOf(earlierThan(path)), linesOf(path)]);
    const samples = [...before, ...now].flatMap((text) => readSample(text) ?? []);
    return new LoadHistory(
      path,
      log,
      mostLines,
      samples.sort((a, b) => a.at - b.at),
      now.length,
    );
  }

  /** In the order of time. */
  get samples(): readonly LoadSample[] {
    return this.#samples;
  }

  /** @returns when it is written; a file that cannot be written costs the history, and is logged */
  add(sample: LoadSample): Promise<void> {
    this.#samples.push(sample);
    if (this.#samples.length > 2 * this.#mostLines) this.#samples = this.#samples.slice(this.#mostLines);
    this.#written = this.#written
      .then(() => this.#write(sample))
      .catch((err: unknown) => this.#log.warn({ err }, 'what the fleet has to do cannot be written down'));
    return this.#written;
  }

  async #write(sample: LoadSample): Promise<void> {
    if (this.#lines >= this.#mostLines) {
      await rename(this.#path, earlierThan(this.#path));
      this.#lines = 0;
    }
    // A line that was cut short ends where the next one begins.
    await appendFile(this.#path, `${this.#lines === 0 ? '' : '\n'}${JSON.stringify(sample)}`, {
      mode: 0o600,
    });
    this.#lines++;
  }
}

/** The file before a file. */
function earlierThan(path: string): string {
  return `${path}.1`;
}
