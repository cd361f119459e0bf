import { Argument, Command } from 'commander';
import { harmlessJson, PynqLlmError } from '../../errors/index.js';
import type { DoneEvent, Prompt } from '../../sdk/index.js';
import { EXIT } from '../exit.js';
import { pipedText, readFile, withoutLastBreak } from '../files.js';
import {
  type DeviceOptions,
  type LoadFlags,
  loadSettings,
  modelOption,
  withDevice,
  withJson,
  withLoad,
} from '../options.js';
import { noteText, printGenerated, printText } from '../output/print.js';
import { formatFacts } from '../output/table.js';
import { formatBytes, formatCount, formatDuration, formatShare } from '../output/units.js';
import { type GenerationFlags, toSampling, withGeneration } from '../sampling-options.js';
import { openModel, withBoard } from '../session.js';

interface RunOptions extends DeviceOptions, LoadFlags, GenerationFlags {
  readonly model: string;
  readonly prompt?: string;
  readonly file?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly json?: boolean;
}

const DEFAULT_PROMPT = 'Once upon a time, there was a little girl. ';

/** `run`: streams a continuation or a chat answer to standard output; what it cost goes to standard error. */
export function runCommand(): Command {
  const command = new Command('run')
    .description('Stream text from a model, then say what it cost.')
    .addArgument(
      new Argument(
        '[prompt]',
        'what to continue, - for standard input; left out, what is piped in, or else the beginning of a story',
      ),
    )
    .option('-p, --prompt <text>', 'the prompt, instead of the argument')
    .option('-f, --file <file>', 'a file with the prompt, instead of the argument; - for standard input')
    .addOption(modelOption())
    .option('--chat', "take the prompt as a user's message, through the model's chat template")
    .option('--system <text>', 'the system message of a chat (with --chat)');
  withJson(withDevice(withLoad(withGeneration(command))), 'one JSON object a line');
  return command.action(async (argument: string | undefined, options: RunOptions) => {
    const prompt = promptOf(argument, options);
    await withBoard(options, async (board, signal) => {
      const model = await openModel(board, options.model, signal, loadSettings(options));
      const sampling = toSampling(options);
      const draftModel =
        options.modelDraft === undefined ? undefined : await openModel(board, options.modelDraft, signal);
      const generation = model.generate(prompt, { ...sampling, draftModel, logprobs: options.json ?? false });
      // Ctrl-C keeps what came so far, and its cost.
      const cancel = () => void generation.cancel().catch(() => {});
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
      const started = performance.now();
      let text = false;
      for await (const token of generation) {
        if (options.json) printText(`${harmlessJson({ type: 'token', ...token })}\n`);
        else printGenerated(token.text);
        text = true;
      }
      const done = await generation.done;
      if (done.reason === 'cancelled') process.exitCode = EXIT.interrupted;
      const clock = boardClock(done, board.info.description);
      if (options.json) {
        printText(`${harmlessJson({ ...done, boardClock: clock })}\n`);
        return;
      }
      printGenerated(`${done.text}${text ? '\n' : ''}`);
      noteText(
        `\n${costTable(done, clock, `${board.info.device} (${board.info.description.title})`, sampling.seed, performance.now() - started)}\n`,
      );
    });
  });
}

function promptOf(argument: string | undefined, options: RunOptions): Prompt {
  const { prompt, file, chat, special = false } = options;
  if ([argument, prompt, file].filter((one) => one !== undefined).length > 1)
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      'The prompt is given more than once: as argument, with --prompt or with --file.',
    );
  if (options.system !== undefined && !chat)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', '--system has no effect without --chat.');
  const path = argument === '-' ? '-' : file;
  const text =
    path === undefined
      ? (argument ?? prompt ?? pipedText() ?? DEFAULT_PROMPT)
      : withoutLastBreak(readFile(path));
  if (!chat) return { text, parseSpecial: special };
  const system = options.system === undefined ? [] : [{ role: 'system', content: options.system }];
  return { messages: [...system, { role: 'user', content: text }] };
}

/** What the core's work takes by the clock of the board that is described, whatever computed it here. */
interface BoardClock {
  readonly clockHz: number;
  readonly timing: 'systemc' | 'synthesised';
  /** Of the core alone: transfers, registers and the CPU's part are not in it. */
  readonly coreSeconds: number;
  /** Tokens of prompt and answer in that time. */
  readonly tokensPerSecond: number;
}

function boardClock(
  { timing, counters }: DoneEvent,
  board: { readonly clockHz: number; readonly timing: BoardClock['timing'] },
): BoardClock {
  const coreSeconds = counters.coreCycles / board.clockHz;
  const tokens = timing.promptTokens + timing.generatedTokens;
  return {
    clockHz: board.clockHz,
    timing: board.timing,
    coreSeconds,
    tokensPerSecond: coreSeconds === 0 ? 0 : tokens / coreSeconds,
  };
}

function costTable(done: DoneEvent, clock: BoardClock, board: string, seed: number, wallMs: number): string {
  const { timing, counters } = done;
  const tokensPerSecond =
    timing.generatedTokens > 1 ? ((timing.generatedTokens - 1) / timing.decodeMs) * 1000 : 0;
  const multiplyAdds = counters.coreMultiplyAdds + counters.cpuMultiplyAdds;
  return formatFacts([
    ['device', board],
    [
      'tokens',
      `${timing.promptTokens} prompt + ${timing.generatedTokens} generated, ended by ${done.reason}, seed ${seed}`,
    ],
    [
      'speed',
      `${tokensPerSecond.toFixed(1)} tokens/s after ${formatDuration(timing.queuedMs + timing.prefillMs)} to the first`,
    ],
    ['time', formatDuration(wallMs)],
    ['core cycles', formatCount(counters.coreCycles)],
    [
      "on the board's clock",
      `${formatDuration(clock.coreSeconds * 1000)} of the core at ${formatCount(clock.clockHz)}Hz, ${clock.timing} timing: ` +
        `at most ${clock.tokensPerSecond.toFixed(1)} tokens/s`,
    ],
    [
      'bytes moved by DMA',
      `${formatBytes(counters.dmaBytes)} in ${formatCount(counters.dmaTransfers)} transfers`,
    ],
    [
      'register accesses',
      `${formatCount(counters.registerReads)} reads, ${formatCount(counters.registerWrites)} writes`,
    ],
    [
      'multiply-adds on the core',
      formatShare(multiplyAdds === 0 ? 0 : counters.coreMultiplyAdds / multiplyAdds),
    ],
  ]);
}
