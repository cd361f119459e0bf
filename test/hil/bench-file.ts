import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
import type { ConnectOptions } from '../../sdk/index.js';
import type { ConformanceRights } from '../conformance/suite.js';

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/);
const variable = z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'the name of an environment variable');

const benchFile = z.strictObject({
  name,
  device: z.string().min(1),
  /** Name of the board description that the device has to have. */
  board: name,
  /** Relative to the bench file. */
  bitstream: z.string().min(1).optional(),
  /** Environment variable with the agent's token: secrets do not go into files. */
  token_variable: variable.optional(),
  /** SHA-256 of the certificate of a `wss:` agent. */
  fingerprint: z.string().optional(),
  /** Why the board is left out for now. */
  skip: z.string().min(1).optional(),
  exact_cycles: z.boolean().default(false),
  may: z.strictObject({
    reset: z.boolean(),
    write_registers: z.boolean(),
    use_dma_memory: z.boolean(),
    upload_models: z.boolean(),
  }),
});

/** One board of a bench: how to reach it and what may be done to it. */
export interface Bench {
  readonly file: string;
  readonly name: string;
  readonly device: string;
  readonly board: string;
  /** Path of the bitstream that the board should run; whoever powers the board loads it. */
  readonly bitstream: string | undefined;
  readonly tokenVariable: string | undefined;
  readonly fingerprint: string | undefined;
  readonly skip: string | undefined;
  readonly may: ConformanceRights;
}

/** Bench files of a folder, in order of their names. */
export function benchFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.toml'))
    .toSorted()
    .map((file) => join(folder, file));
}

/** @throws PynqLlmError SERVICE_BENCH_FILE */
export function readBench(file: string): Bench {
  try {
    const bench = benchFile.parse(parse(readFileSync(file, 'utf8')));
    const { may } = bench;
    return {
      file,
      name: bench.name,
      device: bench.device,
      board: bench.board,
      bitstream: bench.bitstream === undefined ? undefined : resolve(dirname(file), bench.bitstream),
      tokenVariable: bench.token_variable,
      fingerprint: bench.fingerprint,
      skip: bench.skip,
      may: {
        reset: may.reset,
        writeRegisters: may.write_registers,
        useDmaMemory: may.use_dma_memory,
        uploadModels: may.upload_models,
        exactCycles: bench.exact_cycles,
      },
    };
  } catch (cause) {
    throw new PynqLlmError('SERVICE_BENCH_FILE', `${file} describes no bench board: ${explain(cause)}.`, {
      context: { file },
      cause,
    });
  }
}

/** Reads bench files, all of them before the first board is touched. @throws PynqLlmError SERVICE_BENCH_FILE */
export function readBenches(files: readonly string[]): Bench[] {
  const benches = files.map(readBench);
  for (const [i, { name, file }] of benches.entries()) {
    const twin = benches.slice(0, i).find((other) => other.name === name);
    if (twin !== undefined)
      throw new PynqLlmError('SERVICE_BENCH_FILE', `${twin.file} and ${file} both describe "${name}".`, {
        context: { file },
      });
  }
  return benches;
}

/** The board's token and fingerprint, for `connect`. */
export function accessOf({ tokenVariable, fingerprint }: Bench): ConnectOptions {
  return { token: tokenVariable === undefined ? undefined : process.env[tokenVariable], fingerprint };
}

function explain(cause: unknown): string {
  if (cause instanceof z.ZodError)
    return cause.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  return cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
}
