import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import { MAX_NAME_LENGTH, MAX_NAMES, MAX_NAMES_PER_MODEL } from '../../protocol/index.js';
import { hasCode } from '../session/system-error.js';
import { replaceFile, type StoreFs } from './store-fs.js';

export const NAMES_FILE = 'names.json';
/** Names are keys of any text, `__proto__` too, which a schema of keys would lose: they are checked one by one. */
const keys = z.custom<object>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);
const namesFile = z.strictObject({ version: z.literal(1), names: keys });
const digests = z.array(z.tuple([z.string(), z.string()]));

/** The names that people gave to models: a small file beside them, replaced whole at every change. */
export class ModelNames {
  readonly #fs: StoreFs;
  readonly #directory: string;
  readonly #isStored: (digest: string) => Promise<boolean>;
  /** Changes wait for each other, so that none is lost. */
  #last: Promise<void> = Promise.resolve();

  /** @param isStored whether the store has a model */
  constructor(fs: StoreFs, directory: string, isStored: (digest: string) => Promise<boolean>) {
    this.#fs = fs;
    this.#directory = directory;
    this.#isStored = isStored;
  }

  /**
   * Digest by name, in the order in which they were given. Of a file with more names than there may be, the latest of
   * each model, as many as there may be.
   * @throws PynqLlmError AGENT_STORE_FAILED where the file is damaged
   */
  async read(): Promise<ReadonlyMap<string, string>> {
    return latest(await this.#readAll());
  }

  /** How many names the file holds beyond those that `read` gives. */
  async surplus(): Promise<number> {
    const names = await this.#readAll();
    return names.size - latest(names).size;
  }

  /**
   * Gives the name to this model, whatever had it before. Of a model with as many as there may be, the oldest goes.
   * @throws PynqLlmError AGENT_STORE_QUOTA where there are too many of all models
   */
  set(name: string, digest: string): Promise<void> {
    return this.#change(async (names) => {
      // What is given last is the last to go.
      names.delete(name);
      names.set(name, digest);
      trimEach(names);
      if (names.size > MAX_NAMES) await this.#forgetGone(names);
      if (names.size > MAX_NAMES)
        throw new PynqLlmError('AGENT_STORE_QUOTA', `The store has ${MAX_NAMES} names of models.`, {
          context: { limit: MAX_NAMES },
        });
    });
  }

  /** Forgets every name of a model. */
  forget(digest: string): Promise<void> {
    return this.#change((names) => {
      for (const name of namesOf(names, digest)) names.delete(name);
    });
  }

  async #readAll(): Promise<Map<string, string>> {
    let text: string;
    try {
      text = await this.#fs.readFile(`${this.#directory}/${NAMES_FILE}`, 'utf8');
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return new Map();
      throw error;
    }
    try {
      return new Map(digests.parse(Object.entries(namesFile.parse(JSON.parse(text)).names)));
    } catch (cause) {
      throw new PynqLlmError('AGENT_STORE_FAILED', `${this.#directory}/${NAMES_FILE} is damaged.`, {
        cause,
        remedy: 'Delete the file: the models stay and are found by their digests.',
      });
    }
  }

  async #forgetGone(names: Map<string, string>): Promise<void> {
    for (const digest of new Set(names.values()))
      if (!(await this.#isStored(digest))) for (const name of namesOf(names, digest)) names.delete(name);
  }

  #change(edit: (names: Map<string, string>) => void | Promise<void>): Promise<void> {
    const change = this.#last.then(async () => {
      const names = new Map(await this.read());
      await edit(names);
      // fromEntries defines keys, as JSON.parse does: `__proto__` is one like any other.
      const text = `${JSON.stringify({ version: 1, names: Object.fromEntries(names) }, null, 2)}\n`;
      await replaceFile(this.#fs, this.#directory, NAMES_FILE, text);
    });
    this.#last = change.catch(() => {});
    return change;
  }
}

/** Names by digest, in the order in which they were given. */
export function namesByDigest(names: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const byDigest = new Map<string, string[]>();
  for (const [name, digest] of names) {
    const own = byDigest.get(digest);
    if (own === undefined) byDigest.set(digest, [name]);
    else own.push(name);
  }
  return byDigest;
}

function namesOf(names: ReadonlyMap<string, string>, digest: string): string[] {
  return [...names].filter(([, named]) => named === digest).map(([name]) => name);
}

/** The latest names of each model, as many as there may be, and of all of them the latest. */
function latest(names: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const kept = new Map(names);
  trimEach(kept);
  return new Map([...kept].slice(-MAX_NAMES));
}

/** Takes names away that are too long, and the oldest of models that have more than they may. */
function trimEach(names: Map<string, string>): void {
  for (const name of [...names.keys()]) if (name.length > MAX_NAME_LENGTH) names.delete(name);
  for (const own of namesByDigest(names).values())
    for (const name of own.slice(0, -MAX_NAMES_PER_MODEL)) names.delete(name);
}
