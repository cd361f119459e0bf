import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { PynqLlmError } from '../../errors/index.js';
import {
  type BoardClient,
  type ConnectOptions,
  connect,
  type DeviceCheckResult,
  type Model,
} from '../../sdk/index.js';

const MODEL = 'models/tiny-stories-Q3_K_M.gguf';
const PROMPT = 'Once upon a time, there was a little girl. ';

/** What the suite may do to a device. */
export interface ConformanceRights {
  /** Reset the core, as the self-test does before every check. */
  readonly reset: boolean;
  readonly writeRegisters: boolean;
  /** Allocate and write DMA memory. */
  readonly useDmaMemory: boolean;
  /** Put models into the agent's store and run them. */
  readonly uploadModels: boolean;
  /** Whether cycles and counters have to be those of the core's model, whose memory gives a word every cycle. */
  readonly exactCycles: boolean;
}

const EVERYTHING: ConformanceRights = {
  reset: true,
  writeRegisters: true,
  useDmaMemory: true,
  uploadModels: true,
  exactCycles: true,
};

/** What every device has to do, whatever is behind its URL. */
export function conformanceSuite(
  name: string,
  url: () => string,
  options: () => ConnectOptions = () => ({}),
  may: ConformanceRights = EVERYTHING,
): void {
  describe(`conformance of ${name}`, { timeout: 600_000 }, () => {
    let board: BoardClient;
    let model: Model;
    beforeAll(async () => {
      board = await connect(url(), options());
      if (may.uploadModels) model = await board.models.upload(MODEL);
    }, 600_000);
    afterAll(async () => board?.close());

    /** A test that does what the device's owner forbids is skipped; its report has the reason. */
    const needs = (context: TestContext, ...rights: (keyof ConformanceRights)[]) => {
      const missing = rights.filter((right) => !may[right]);
      if (missing.length > 0) skipped(context, `the device may not be used for: ${missing.join(', ')}`);
    };
    /** Registers, DMA memory and self-tests are one board's. */
    const needsBoard = async (context: TestContext) => {
      if (board.info.fleet === undefined) return;
      // That it is refused by name is what a fleet has to do.
      await fails(board.registers.list(), 'FLEET_NOT_SERVED');
      skipped(context, 'it is about one board, and this is a fleet');
    };
    const skipped = ({ skip, task }: TestContext, reason: string) => {
      task.meta.skipReason = reason;
      skip(reason);
    };

    const fails = async (work: Promise<unknown>, code: string) => {
      const error = await work.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(PynqLlmError);
      expect((error as PynqLlmError).code).toBe(code);
    };
    const greedy = async (maxTokens: number) => {
      const tokens = [];
      for await (const token of model.generate(PROMPT, { maxTokens, temperature: 0 })) tokens.push(token);
      return tokens;
    };

    it('the board says what it is and that it is ready', async () => {
      expect(board.info.description.weightTypes.length).toBeGreaterThan(0);
      expect(await board.health()).toMatchObject({ state: 'ready' });
    });

    it('every golden vector, counter table and word stream is exact', async (context) => {
      needs(context, 'reset');
      await needsBoard(context);
      const findings: string[] = [];
      const summary = await board.device.selfTest('vectors', {
        onCheck: (check) =>
          void (
            isExact(check, may.exactCycles) ||
            findings.push(`${check.name}: ${check.details.join('; ')} ${check.error ?? ''}`)
          ),
      });
      expect(findings).toEqual([]);
      expect(summary.bitMismatches).toBe(0);
      if (may.exactCycles)
        expect(summary).toMatchObject({ passed: summary.cases, counterMismatches: 0, cycleMismatches: 0 });
      expect(summary.cases).toBeGreaterThan(200);
      if (may.uploadModels) model = await board.models.load(model.digest);
    });

    it('registers are read by name, in one frame, with their fields', async (context) => {
      await needsBoard(context);
      const [status, control] = await board.registers.read(['dma0.MM2S_DMASR', 'dma0.MM2S_DMACR']);
      expect(status!.fields.map(({ name }) => name)).toContain('IDLE');
      expect(control!.address - status!.address).toBe(-4);
    });

    it('an unknown register, a write to a read-only one and an unaligned address are refused by name', async (context) => {
      needs(context, 'writeRegisters');
      await needsBoard(context);
      const known = await board.registers.list();
      const readOnly = known.find(({ access, window }) => access === 'ro' && window === 'control')!;
      await fails(board.registers.read(['dma0.NO_SUCH']), 'DRIVER_UNKNOWN_REGISTER');
      await fails(
        board.registers.write([{ register: readOnly.name, value: 1 }]),
        'DRIVER_REGISTER_READ_ONLY',
      );
      await fails(board.registers.read([{ window: 'dma0', offset: 5 }]), 'DRIVER_UNALIGNED_ADDRESS');
    });

    it('DMA memory keeps what is written and is given back', async (context) => {
      needs(context, 'useDmaMemory');
      await needsBoard(context);
      const before = (await board.health()).dmaMemory!.free;
      {
        await using buffer = await board.buffers.allocate(5000);
        const bytes = Uint8Array.from({ length: 5000 }, (_, i) => (i * 31) & 255);
        await buffer.write(bytes);
        expect(await buffer.read()).toEqual(bytes);
        await fails(buffer.read(4990, 20), 'AGENT_BUFFER_RANGE');
      }
      expect((await board.health()).dmaMemory!.free).toBe(before);
    });

    it('greedy text is the same twice and its log-probabilities are those of scoring', async (context) => {
      needs(context, 'uploadModels');
      const first = await greedy(12);
      const second = await greedy(12);
      expect(second).toEqual(first);
      const prompt = await model.tokenize(PROMPT);
      const { logprobs } = await model.score([...prompt, ...first.map(({ id }) => id)], {
        from: prompt.length,
      });
      expect(logprobs.slice(0, first.length)).toEqual(first.map(({ logprob }) => logprob));
    });

    it('the same seed samples the same tokens, another seed others', async (context) => {
      needs(context, 'uploadModels');
      const sample = async (seed: number) => {
        const ids = [];
        for await (const { id } of model.generate(PROMPT, { maxTokens: 16, temperature: 1, seed }))
          ids.push(id);
        return ids;
      };
      expect(await sample(1)).toEqual(await sample(1));
      expect(await sample(2)).not.toEqual(await sample(1));
    });

    it('a generation goes on after the tokens that it gave, with the same bits', async (context) => {
      needs(context, 'uploadModels');
      const read = async (continueFrom: readonly number[]) => {
        const tokens = [];
        const options = { maxTokens: 16, temperature: 1, seed: 3, repeatPenalty: 1.2, continueFrom };
        const generation = model.generate(PROMPT, options);
        for await (const token of generation) tokens.push(token);
        expect((await generation.done).tokens).toBe(16);
        return tokens;
      };
      const whole = await read([]);
      for (const cut of [1, 9, 15])
        expect(await read(whole.slice(0, cut).map(({ id }) => id))).toEqual(whole.slice(cut));
    });

    it('several generations at a time give what each gives alone', async (context) => {
      needs(context, 'uploadModels');
      const alone = await greedy(10);
      const together = await Promise.all([greedy(10), greedy(10), greedy(10)]);
      for (const tokens of together) expect(tokens).toEqual(alone);
    });

    it('leaving the loop cancels, and the next request works', async (context) => {
      needs(context, 'uploadModels');
      const generation = model.generate(PROMPT, { maxTokens: 400, temperature: 0, window: 2 });
      for await (const token of generation) if (token.index === 3) break;
      expect((await generation.done).reason).toBe('cancelled');
      expect(await greedy(2)).toHaveLength(2);
    });

    it('a prompt longer than the context is refused', async (context) => {
      needs(context, 'uploadModels');
      const tokens = new Array<number>(model.info.contextLength + 1).fill(
        (await model.tokenize('a')).at(-1)!,
      );
      const generation = model.generate({ tokens });
      await fails(generation.done, 'LLM_PROMPT_TOO_LONG');
    });

    it('what a generation cost is known', async (context) => {
      needs(context, 'uploadModels');
      const generation = model.generate(PROMPT, { maxTokens: 4, temperature: 0 });
      for await (const _ of generation);
      const { counters, tokens } = await generation.done;
      expect(tokens).toBe(4);
      expect(counters.coreCycles).toBeGreaterThan(0);
      expect(counters.coreMultiplyAdds).toBeGreaterThan(counters.cpuMultiplyAdds);
    });
  });
}

declare module 'vitest' {
  interface TaskMeta {
    /** Why a test was skipped. */
    skipReason?: string;
  }
}

/** @param cycles whether counters and cycles count */
function isExact({ passed, bitMismatches, error }: DeviceCheckResult, cycles: boolean): boolean {
  return passed || (!cycles && bitMismatches === 0 && error === undefined);
}
