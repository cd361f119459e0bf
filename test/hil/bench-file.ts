import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { PynqLlmError } from '../../errors/index.js';
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
  /** Why the board is left out for now. */
  skip: z.string().min(1).optional(),
  exact_cycles: z.boolean().default(false),
  may: z.strictObject({
    program: z.boolean(),
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
  /** Path of the bitstream that the board should run. */
  readonly bitstream: string | undefined;
  readonly tokenVariable: string | undefined;
  readonly skip: string | undefined;
  readonly mayProgram: boolean;
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
      skip: bench.skip,
      mayProgram: may.program,
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

function explain(cause: unknown): string {
  if (cause instanceof z.ZodError)
    return cause.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  return cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
}
