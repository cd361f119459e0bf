import { Command, Option } from 'commander';
import type { AgentFlags } from '../../agent/index.js';
import { collect } from '../options.js';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];

/** `agent`: the daemon that serves one device. */
export function agentCommand(): Command {
  return new Command('agent')
    .description('Serve a device over WebSocket. Prints its URL when it is ready; Ctrl-C ends it.')
    .addOption(
      new Option('-d, --device <url>', 'mock:, mock:kv260, mock:v1, mock:FILE.toml')
        .env('PYNQ_LLM_AGENT_DEVICE')
        .default('mock:'),
    )
    .option(
      '--listen <address>',
      'ws://HOST:PORT, wss://HOST:PORT or unix:/PATH; other than loopback needs a token',
      'ws://127.0.0.1:7787',
    )
    .option('--token-file <file>', 'lines of ROLE TOKEN; the roles are read, infer and admin')
    .option('--store-dir <dir>', 'where models are kept; $PYNQ_LLM_HOME or the cache folder when left out')
    .option('--allow-origin <origin>', 'origin of a web page that may connect; repeatable', collect)
    .option('--tls-key <file>', 'private key, PEM, for wss:')
    .option('--tls-cert <file>', 'certificate, PEM, for wss:')
    .addOption(
      new Option('--log-level <level>', 'the log goes to standard error').choices(LEVELS).default('info'),
    )
    .action(
      async ({
        allowOrigin = [],
        ...flags
      }: Omit<AgentFlags, 'allowOrigin'> & { allowOrigin?: string[] }) => {
        const { runAgent } = await import('../../agent/index.js');
        await runAgent({ ...flags, allowOrigin });
      },
    );
}
