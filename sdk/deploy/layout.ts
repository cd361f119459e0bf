import type { ScriptValues } from '../ssh/index.js';

/** Where things are on a board. */
export interface Layout {
  /** Releases, and the link `current` to the active one. */
  readonly base: string;
  /** The agent's home: models, and its log where nobody else keeps one. */
  readonly state: string;
  /** What the board's owner may change: tokens, flags. */
  readonly config: string;
  /** The agent's socket. */
  readonly run: string;
}

export const LAYOUT: Layout = {
  base: '/opt/pynq-llm',
  state: '/var/lib/pynq-llm',
  config: '/etc/pynq-llm',
  run: '/run/pynq-llm',
};

/** The folder of a release that has what later ones keep: the board's design (description, bitstream, overlay), and its fleet. */
export const DESIGN_FOLDER = 'design';

/** The folder, below the base, where files arrive. */
export const INCOMING = 'incoming';

/** The agent's socket in a layout. */
export function socketOf({ run }: Layout): string {
  return `${run}/agent.sock`;
}

/** A layout as the scripts know it. */
export function layoutValues({ base, state, config, run }: Layout): ScriptValues {
  return { BASE: base, STATE: state, CONFIG: config, RUN: run };
}

/** What dd(1) of GNU's coreutils does with a file that somebody else may be changing; see assemble.sh. */
export const SAFE_READ = 'iflag=nofollow,nonblock,fullblock,count_bytes';
