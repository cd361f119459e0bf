import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';

const MAX_FILE = 65_536;
const SEED = /^SU[A-Z2-7]{56}$/m;

/** Reads an nkey's seed: a line "SU…", alone or among others. @throws BUS_CREDENTIALS_FILE */
export async function readSeed(file: string): Promise<Uint8Array> {
  const seed = seedIn(file);
  const { nats } = await import('./library.js');
  try {
    nats.nkeys.fromSeed(seed);
  } catch (error) {
    throw unusable(file, `holds no valid seed: ${(error as Error).message}`, error);
  }
  return seed;
}

/** The file must be closed to everybody but its owner, who is this user. */
function seedIn(file: string): Uint8Array {
  try {
    const handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { mode, size, uid } = fstatSync(handle);
      const isFile = (mode & constants.S_IFMT) === constants.S_IFREG;
      if (!isFile || size > MAX_FILE) throw unusable(file, 'is no file of a key');
      if ((mode & 0o077) !== 0)
        throw unusable(file, `can be read by others (mode ${(mode & 0o777).toString(8)})`);
      if (process.getuid && uid !== process.getuid() && process.getuid() !== 0)
        throw unusable(file, 'belongs to another user');
      const seed = SEED.exec(readFileSync(handle, 'latin1'))?.[0];
      if (seed === undefined) throw unusable(file, 'holds no seed of a user (SU…)');
      return Buffer.from(seed);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    if (isPynqLlmError(error)) throw error;
    throw unusable(file, `cannot be read: ${(error as Error).message}`, error);
  }
}

/**
 * Makes a key and writes its seed to a new file that only this user can read.
 * @returns the public key (U…), which is no secret and is what a broker is told
 * @throws BUS_CREDENTIALS_FILE, also where the file exists
 */
export async function createKey(file: string): Promise<string> {
  const { nats } = await import('./library.js');
  const pair = nats.nkeys.createUser();
  try {
    writeFileSync(file, `${Buffer.from(pair.getSeed()).toString()}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw unusable(file, `cannot be written: ${(error as Error).message}`, error);
  }
  return pair.getPublicKey();
}

/** The public key of a file with a key, which is made where it is not there. @throws BUS_CREDENTIALS_FILE */
export async function ownKey(file: string): Promise<string> {
  return existsSync(file) ? publicKey(file) : createKey(file);
}

/** The public key of a file that `createKey` wrote. @throws BUS_CREDENTIALS_FILE */
export async function publicKey(file: string): Promise<string> {
  const { nats } = await import('./library.js');
  return nats.nkeys.fromSeed(await readSeed(file)).getPublicKey();
}

function unusable(file: string, why: string, cause?: unknown): PynqLlmError {
  return new PynqLlmError('BUS_CREDENTIALS_FILE', `${file} ${why}.`, { cause, context: { file } });
}
