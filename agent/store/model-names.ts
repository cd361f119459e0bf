import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import { hasCode, replaceFile, type StoreFs } from './store-fs.js';

const FILE = 'names.json';
const namesFile = z.strictObject({ version: z.literal(1), names: z.record(z.string(), z.string()) });

/** The names that people gave to models: a small file beside them, replaced whole at every change. */
export class ModelNames {
  readonly #fs: StoreFs;
  readonly #directory: string;
  /** Changes wait for each other, so that none is lost. */
  #last: Promise<void> = Promise.resolve();

  constructor(fs: StoreFs, directory: string) {
    this.#fs = fs;
    this.#directory = directory;
  }

  /** Digest by name. @throws PynqLlmError AGENT_STORE_FAILED where the file is damaged */
  async read(): Promise<ReadonlyMap<string, string>> {
    let text: string;
    try {
      text = await this.#fs.readFile(`${this.#directory}/${FILE}`, 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return new Map();
      throw error;
    }
    try {
      return new Map(Object.entries(namesFile.parse(JSON.parse(text)).names));
    } catch (cause) {
      throw new PynqLlmError('AGENT_STORE_FAILED', `${this.#directory}/${FILE} is damaged.`, {
        cause,
        remedy: 'Delete the file: the models stay and are found by their digests.',
      });
    }
  }

  /** Gives the name to this model, whatever had it before. */
  set(name: string, digest: string): Promise<void> {
    return this.#change((names) => names.set(name, digest));
  }

  /** Forgets every name of a model. */
  forget(digest: string): Promise<void> {
    return this.#change((names) => {
      for (const [name, named] of [...names]) if (named === digest) names.delete(name);
    });
  }

  #change(edit: (names: Map<string, string>) => void): Promise<void> {
    const change = this.#last.then(async () => {
      const names = new Map(await this.read());
      edit(names);
      const text = `${JSON.stringify({ version: 1, names: Object.fromEntries(names) }, null, 2)}\n`;
      await replaceFile(this.#fs, this.#directory, FILE, text);
    });
    this.#last = change.catch(() => {});
    return change;
  }
}
