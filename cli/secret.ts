import { PynqLlmError } from '../errors/index.js';
import { readFile } from './files.js';

const ENTER = new Set(['\r', '\n']);
const BACKSPACE = new Set(['\x7f', '\b']);
const CTRL_C = '\x03';

/**
 * Asks for a password on the terminal without showing what is typed.
 * @throws PynqLlmError CLI_BAD_ARGUMENT where there is no terminal, CLI_INTERRUPTED on Ctrl-C
 */
export async function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY)
    throw new PynqLlmError('CLI_BAD_ARGUMENT', 'There is no terminal to ask for the password on.', {
      remedy: 'Give it on standard input with --password-stdin.',
    });
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.resume();
  stdin.setEncoding('utf8');
  try {
    return await new Promise<string>((resolve, reject) => {
      let typed = '';
      const onText = (text: string) => {
        for (const character of text) {
          if (character === CTRL_C) {
            stdin.off('data', onText);
            return reject(new PynqLlmError('CLI_INTERRUPTED', 'Ctrl-C ended the question.'));
          }
          if (ENTER.has(character)) {
            stdin.off('data', onText);
            return resolve(typed);
          }
          typed = BACKSPACE.has(character) ? typed.slice(0, -1) : typed + character;
        }
      };
      stdin.on('data', onText);
    });
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

/** The password that a script gives: all of standard input, without the end of its line. */
export function passwordFromStdin(): string {
  return readFile('-')
    .toString('utf8')
    .replace(/\r?\n$/, '');
}
