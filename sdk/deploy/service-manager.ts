import { quote } from '../ssh/index.js';
import type { Layout } from './layout.js';

/** How the agent of a release is to run; part of the release. */
export interface ServiceOptions {
  readonly layout: Layout;
  /** Device URL of the agent. */
  readonly device: string;
  /**
   * Who logs in through SSH, and so may use the agent's socket. Their number: a name may have characters that units and
   * shells read as something else, as those of domain users do.
   */
  readonly loginUid: number;
  /** Whether the agent may open /dev/mem: all of the board's memory. */
  readonly allowDevMem: boolean;
  /** Whether the release has a bitstream, which is programmed before every start of the agent. */
  readonly programsFpga: boolean;
}

/** What starts and stops the agent on a board: fragments of POSIX shell for switch.sh, and files of the release. */
export interface ServiceManager {
  readonly name: 'systemd' | 'plain';
  /** Whether it takes root on the board. */
  readonly needsRoot: boolean;
  /** Whether it can program the FPGA before the agent starts. */
  readonly programsFpga: boolean;
  /** Names of programs that have to be there. */
  readonly tools: readonly string[];
  /**
   * Shell functions: `start_agent` starts what `current` leads to in place of what runs; `stop_agent`; `agent_pid`
   * prints its process; `later SECONDS COMMAND…` runs a command without us; `remove_service`.
   */
  functions(layout: Layout): string;
  /** Shell commands that make users and folders; running them again changes nothing. */
  prepare(layout: Layout): string;
  /** Files of the release, below system/. */
  files(options: ServiceOptions): Readonly<Record<string, string>>;
}

/** The agent's command line, the same for every manager. */
export function agentCommand(
  { layout, device }: ServiceOptions,
  quoteWord: (word: string) => string,
): string {
  const current = `${layout.base}/current`;
  const words = [
    `${current}/bin/node`,
    `${current}/agent/main.mjs`,
    '--device',
    device,
    '--listen',
    `unix:${layout.run}/agent.sock`,
    '--store-dir',
    layout.state,
  ];
  return words.map(quoteWord).join(' ');
}

/** Shell commands that make the access tokens for a listening port, where there are none: 256 bits for each role. */
export function makeTokens(layout: Layout, owner: string): string {
  const file = quote(`${layout.config}/tokens`);
  return `if [ ! -s ${file} ]; then
  ( umask 077
    for role in admin infer read; do
      echo "$role $(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \\n')"
    done > ${file}.new )
  chown ${owner} ${file}.new
  mv ${file}.new ${file}
fi`;
}
