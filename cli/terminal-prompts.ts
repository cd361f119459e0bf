import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import type { SshPrompts } from '../sdk/index.js';
import { noteText } from './output/print.js';

/** Nobody answers a question for so long: the board has hung up by then. */
const ANSWER_MS = 120_000;

/** Questions of several boards are asked one after the other. */
let lastQuestion: Promise<unknown> = Promise.resolve();

function inTurn<T>(question: () => Promise<T>): Promise<T> {
  const answer = lastQuestion.then(question, question);
  lastQuestion = answer.catch(() => {});
  return answer;
}

/** Asks on the terminal; undefined where there is none. @param board whose questions they are, of several */
export function terminalPrompts(board?: string): SshPrompts | undefined {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined;
  const who = board === undefined ? '' : `${board}: `;
  const confirmHostKey: SshPrompts['confirmHostKey'] = async ({ host, type, fingerprint }) => {
    noteText(
      `${who}${host} is not known yet. Its ${type} key has the fingerprint\n  ${fingerprint}\n` +
        'Compare it with the board: on its console, ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n',
    );
    const answer = await ask('Is it the same? (yes/no) ', true);
    return answer?.trim().toLowerCase() === 'yes';
  };
  return {
    confirmHostKey: (question) => inTurn(() => confirmHostKey(question)),
    secret: (question) => inTurn(() => ask(`${who}${question}: `, false)),
  };
}

/** Asks for one line on the terminal; undefined where there is none. */
export async function askLine(question: string): Promise<string | undefined> {
  return process.stdin.isTTY && process.stderr.isTTY ? await ask(question, true) : undefined;
}

/** One line from the terminal; undefined after Ctrl-C, Ctrl-D or a long wait. */
async function ask(question: string, echo: boolean): Promise<string | undefined> {
  // readline writes what is typed: into nowhere, for a secret.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input: process.stdin,
    output: echo ? process.stderr : nowhere,
    terminal: true,
  });
  const given = new AbortController();
  lines.once('SIGINT', () => given.abort());
  lines.once('close', () => given.abort());
  // A board's SSH server may word it.
  if (!echo) noteText(question);
  try {
    const signal = AbortSignal.any([given.signal, AbortSignal.timeout(ANSWER_MS)]);
    return await lines.question(echo ? question : '', { signal });
  } catch {
    return undefined;
  } finally {
    lines.close();
    if (!echo) process.stderr.write('\n');
  }
}
