import type { Command, Option } from 'commander';

/** A flag, as shells complete it. */
export interface CompletedFlag {
  /** `--temp`, `-n`. */
  readonly names: readonly string[];
  readonly what: string;
  /** Whether a value follows, and which ones there are to choose from. */
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** A command with what may follow it. */
export interface CompletedCommand {
  /** Its words without the program's: `models load`; nothing for the program itself. */
  readonly path: string;
  readonly what: string;
  readonly commands: readonly CompletedCommand[];
  readonly flags: readonly CompletedFlag[];
  /** What its arguments are chosen from, where they are. */
  readonly choices: readonly string[];
}

/** What a command line knows, as data. */
export function completedCommand(command: Command, parents: readonly string[] = []): CompletedCommand {
  const help = { names: ['-h', '--help'], what: 'display help for command', takesValue: false, choices: [] };
  return {
    path: parents.join(' '),
    what: firstLine(command.description()),
    commands: command.commands.map((child) => completedCommand(child, [...parents, child.name()])),
    choices: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    flags: [...command.options.filter(({ hidden }) => !hidden).map(toFlag), help],
  };
}

/** The command and all below it. */
export function allCommands(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.commands.flatMap(allCommands)];
}

function toFlag({ short, long, description, required, optional, argChoices, flags }: Option): CompletedFlag {
  const takesValue = required || optional;
  // Devices have a few beginnings that are always right.
  const choices =
    argChoices ??
    (/<url>/.test(flags) && long === '--device'
      ? ['mock:', 'mock:kv260', 'ssh://', 'ws://', 'wss://', 'unix:']
      : []);
  return {
    names: [short, long].filter((name) => name !== undefined),
    what: firstLine(description),
    takesValue,
    choices,
  };
}

function firstLine(text: string): string {
  return text.split(/[.;\n]/)[0].trim();
}
