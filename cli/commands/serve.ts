import { once } from 'node:events';
import { Command } from 'commander';
import { PynqLlmError } from '../../errors/index.js';
import type { HttpApiOptions } from '../../http-api/index.js';
import type { BoardClient, Model } from '../../sdk/index.js';
import { EXIT, outliveReader, reportNotice } from '../exit.js';
import { readFile } from '../files.js';
import {
  collect,
  type DeviceOptions,
  inMs,
  type LoadFlags,
  loadSettings,
  maxSilentOption,
  wholeNumber,
  withDevice,
  withLoad,
} from '../options.js';
import { printText } from '../output/print.js';
import { connectBoard, openModel, withInterrupt } from '../session.js';

const MIN_KEY_LENGTH = 16;

interface ServeOptions extends DeviceOptions, LoadFlags {
  readonly host: string;
  readonly port: number;
  readonly model?: readonly string[];
  readonly apiKeyFile?: string;
  readonly pinPrompt?: string;
  readonly allowOrigin?: readonly string[];
  readonly accessLog?: boolean;
  readonly maxSilent?: number;
}

/** `serve`: a board under the OpenAI API. */
export function serveCommand(): Command {
  const command = new Command('serve')
    .description(
      'Serve a device under the OpenAI API. Prints its URL when it is ready; Ctrl-C drains and ends it.',
    )
    .option('--host <address>', 'where to listen; other than loopback needs --api-key-file', '127.0.0.1')
    .option('--port <n>', 'port; 0 for any free one', wholeNumber(0, 65_535), 8080)
    .option('-m, --model <model>', 'a file to upload or a model to load at the start; repeatable', collect)
    .option('--pin-prompt <file>', 'a system prompt that stays in memory for all clients; needs --model')
    .option(
      '--api-key-file <file>',
      'a file with the key that clients send as "Authorization: Bearer"; or lines of KEY NAME',
    )
    .option(
      '--allow-origin <origin>',
      'origin of a web page that may connect, or "*" with keys; repeatable',
      collect,
    )
    .addOption(maxSilentOption())
    .option(
      '--access-log',
      'write a JSON line for each answered request to standard error: route, model, tokens, ms',
    );
  return withDevice(withLoad(command)).action(async (options: ServeOptions) => {
    const apiKey = options.apiKeyFile === undefined ? undefined : readKeys(options.apiKeyFile);
    const pinned = options.pinPrompt === undefined ? undefined : readPrompt(options.pinPrompt, options.model);
    const { serveHttpApi } = await import('../../http-api/index.js');
    await using api = await serveHttpApi({
      open: (signal) => openDevice(options, pinned, signal),
      report: reportNotice,
      host: options.host,
      port: options.port,
      apiKey,
      origins: options.allowOrigin ?? [],
      load: loadSettings(options),
      maxSilentMs: inMs(options.maxSilent),
      onAnswered: options.accessLog ? await accessLog() : undefined,
    });
    reportNotice(`${api.url} answers 503 until the device is ready.`);
    await withInterrupt((signal) => api.open(signal));
    process.removeAllListeners('SIGINT');
    const asked = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
    outliveReader();
    // Whoever reads it may ask for the end at once.
    printText(`${api.url}/v1\n`);
    await asked;
    // A second Ctrl-C does not wait for the requests under way.
    process.once('SIGINT', () => process.exit(EXIT.interrupted));
  });
}

async function accessLog(): Promise<NonNullable<HttpApiOptions['onAnswered']>> {
  const { pino } = await import('pino');
  const log = pino({ base: null }, pino.destination({ dest: 2, sync: false }));
  return (entry) => log.info(entry, 'answered');
}

/** Connects, loads the models of the flags and pins the prompt: an agent that was started anew has none of it. */
async function openDevice(
  options: ServeOptions,
  pinned: string | undefined,
  signal: AbortSignal,
): Promise<BoardClient> {
  const board = await connectBoard(options, signal);
  try {
    for (const name of options.model ?? []) {
      const model = await openModel(board, name, signal, loadSettings(options));
      // It ends with the connection.
      if (pinned !== undefined) await pin(model, pinned);
    }
    return board;
  } catch (error) {
    await board.close();
    throw error;
  }
}

/** @throws PynqLlmError CLI_BAD_ARGUMENT */
function readPrompt(path: string, models: readonly string[] = []): string {
  if (models.length === 0)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', '--pin-prompt needs --model: a prompt is pinned for a model.');
  // Editors end a file with a line break, which clients do not send.
  return readFile(path)
    .toString()
    .replace(/\r?\n$/, '');
}

/** @throws PynqLlmError LLM_KV_PINNED, LLM_CHAT_REFUSED where the model's template wants more than a system message */
async function pin(model: Model, content: string): Promise<void> {
  const prompt = model.info.hasChatTemplate
    ? { messages: [{ role: 'system', content }] }
    : { text: content, parseSpecial: false };
  const { tokens } = await model.pin(prompt);
  reportNotice(`${model.info.name}: ${tokens} tokens of the prompt stay in memory.`);
}

/** A key, or lines of a key and the name of its share of the board. @throws PynqLlmError CLI_BAD_ARGUMENT */
function readKeys(path: string): { token: string; name: string | undefined }[] {
  const refuse = (what: string) => new PynqLlmError('CLI_BAD_ARGUMENT', `${what} of ${path}`);
  const lines = readFile(path).toString().split('\n');
  const keys = lines.flatMap((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return [];
    const [token, name, ...rest] = line.trim().split(/\s+/);
    if (token.length < MIN_KEY_LENGTH)
      throw refuse(`A key of at least ${MIN_KEY_LENGTH} characters is missing in line ${index + 1}`);
    if (rest.length > 0) throw refuse(`"KEY" or "KEY NAME" is missing in line ${index + 1}`);
    return [{ token, name }];
  });
  if (keys.length === 0) throw refuse(`A key of at least ${MIN_KEY_LENGTH} characters is missing in line 1`);
  return keys;
}
