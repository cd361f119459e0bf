import { once } from 'node:events';
import { Command } from 'commander';
import { PynqLlmError } from '../../errors/index.js';
import { serveHttpApi } from '../../http-api/index.js';
import { connect } from '../../sdk/index.js';
import { EXIT } from '../exit.js';
import { readFile } from '../files.js';
import {
  collect,
  type DeviceOptions,
  type LoadFlags,
  loadSettings,
  wholeNumber,
  withDevice,
  withLoad,
} from '../options.js';
import { openModel } from '../session.js';

const MIN_KEY_LENGTH = 16;

interface ServeOptions extends DeviceOptions, LoadFlags {
  readonly host: string;
  readonly port: number;
  readonly model?: readonly string[];
  readonly apiKeyFile?: string;
  readonly allowOrigin?: readonly string[];
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
    .option('--api-key-file <file>', 'a file with the key that clients send as "Authorization: Bearer"')
    .option('--allow-origin <origin>', 'origin of a web page that may connect; repeatable', collect);
  return withDevice(withLoad(command)).action(async (options: ServeOptions) => {
    const apiKey = options.apiKeyFile === undefined ? undefined : readKey(options.apiKeyFile);
    await using board = await connect(options.device, { token: options.token });
    const { signal } = new AbortController();
    const load = loadSettings(options);
    for (const model of options.model ?? []) await openModel(board, model, signal, load);
    await using api = await serveHttpApi(board, {
      host: options.host,
      port: options.port,
      apiKey,
      origins: options.allowOrigin ?? [],
      load,
    });
    process.stdout.write(`${api.url}/v1\n`);
    process.removeAllListeners('SIGINT');
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
    // A second Ctrl-C does not wait for the requests under way.
    process.once('SIGINT', () => process.exit(EXIT.interrupted));
  });
}

/** @throws PynqLlmError CLI_BAD_ARGUMENT */
function readKey(path: string): string {
  const key = readFile(path).toString().trim();
  if (key.length < MIN_KEY_LENGTH)
    throw new PynqLlmError(
      'CLI_BAD_ARGUMENT',
      `The key in ${path} has fewer than ${MIN_KEY_LENGTH} characters.`,
    );
  return key;
}
