import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatLines } from './support/chat-lines.js';
import { type AgentProcess, cli, cliAgent } from './support/cli.js';
import { hasPty, ptyCli } from './support/pty.js';

const { directory, home, model, command: CHAT, chat } = chatLines();

let agent: AgentProcess;
beforeAll(async () => {
  agent = await cliAgent(home);
});
afterAll(async () => {
  await agent?.[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});
/** On a device that is open already. */
const chatThere = (lines: readonly string[], args?: readonly string[]) =>
  chat(lines, args, { PYNQ_LLM_DEVICE: agent.url });

interface Saved {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}
const readSaved = (file: string): Saved => JSON.parse(readFileSync(file, 'utf8'));

describe('chat without a terminal', () => {
  it('takes lines in and gives answers out, each with all that was said before it', async () => {
    const file = join(directory.path, 'said.json');
    const result = await chat(
      ['Once upon a time', '', 'And then', `/save ${file}`],
      [...CHAT, '--system', 'Tell.'],
    );
    expect(result.status).toBe(0);
    const { messages } = readSaved(file);
    expect(messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user', 'assistant']);
    const [system, first, answer, second, last] = messages.map(({ content }) => content);
    expect([system, first, second]).toEqual(['Tell.', 'Once upon a time', 'And then']);
    expect(result.stdout).toBe(`${answer}\n${last}\n`);
    const prompt = `system: Tell.\nuser: ${first}\nassistant: ${answer}\nuser: ${second}\n`;
    const same = await cli(['run', '-m', model, prompt, '-n', '6', '--temp', '0'], { home });
    expect(same.stdout).toBe(`${last}\n`);
  });

  it('goes on with a saved conversation, takes back, answers again and forgets', async () => {
    const from = join(directory.path, 'from.json');
    const messages = [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Yes' },
    ];
    writeFileSync(from, JSON.stringify({ messages }));
    const to = (name: string) => join(directory.path, `${name}.json`);
    const result = await chatThere([
      `/load ${from}`,
      '/retry',
      `/save ${to('retried')}`,
      '/system Be brief.',
      '/undo',
      `/save ${to('undone')}`,
      `/load ${from}`,
      '/reset',
      `/save ${to('reset')}`,
    ]);
    expect(result.status).toBe(0);
    const retried = readSaved(to('retried')).messages;
    expect(retried[0]).toEqual(messages[0]);
    expect(`${retried[1]!.content}\n`).toBe(result.stdout);
    expect(readSaved(to('undone')).messages).toEqual([{ role: 'system', content: 'Be brief.' }]);
    expect(readSaved(to('reset')).messages).toEqual([]);
  });

  it('changes options of generation by the names of their flags', async () => {
    const { status, stderr } = await chatThere([
      '/set temp 0.25',
      '/set top-k 3',
      '/set top-k default',
      '/set ignore-eos on',
      '/set',
    ]);
    expect(status).toBe(0);
    expect(stderr).toMatch(/^ {2}temp +0\.25$/m);
    expect(stderr).toMatch(/^ {2}ignore-eos +on$/m);
    expect(stderr.match(/^ {2}top-k +\d+$/gm)?.map((line) => line.split(/ +/)[2])).toEqual(['3', '40', '40']);
    expect(stderr).toMatch(/^ {2}max-tokens +6$/m);
  });

  it.each([
    ['/nothing', /There is no \/nothing/],
    ['/set temp hot', /must be a number/],
    ['/set colour red', /no option "colour"/],
    ['/retry', /no question/],
    ['/load package.json', /package\.json holds no conversation/],
  ])('ends at %s, which it cannot do', async (line, message) => {
    const { status, stderr } = await chatThere([line, 'never asked']);
    expect(status).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});

describe.skipIf(!hasPty)('chat at a terminal (needs util-linux script)', () => {
  it('edits lines with history, tells the timing, goes on after a mistake, ends with Ctrl-D', async () => {
    await using terminal = ptyCli(CHAT, { home });
    await terminal.see('/help lists commands');
    await terminal.see('> ');
    terminal.type('Once upon a time\r');
    await terminal.see('core cycles');
    await terminal.see('> ');
    terminal.type('/nothing\r');
    await terminal.see('There is no /nothing');
    await terminal.see('> ');
    // The second line back, its last word changed.
    terminal.type('\x1b[A\x1b[A\x17day\r');
    await terminal.see('day\r');
    await terminal.see('core cycles');
    await terminal.see('> ');
    terminal.type('\x04');
    expect(await terminal.ended).toBe(0);
    const history = join(home, '.local/state/pynq-llm/chat-history');
    expect(readFileSync(history, 'utf8')).toBe('Once upon a time\n/nothing\nOnce upon a day\n');
    expect(statSync(history).mode & 0o777).toBe(0o600);
  });

  it('a second Ctrl-C ends the program where the agent does not end the answer', async () => {
    await using agent = await cliAgent(home);
    await using terminal = ptyCli(['chat', '-d', agent.url, '-n', '400', '--ignore-eos', '--temp', '0'], {
      home,
    });
    await terminal.see('it continues the text');
    await terminal.see('> ');
    terminal.type('Once upon a time\r');
    await terminal.see('was');
    agent.child.kill('SIGSTOP');
    try {
      expect(await terminal.interrupt()).toBe(130);
    } finally {
      agent.child.kill('SIGCONT');
    }
  });

  it('Ctrl-C ends an answer, not the program', async () => {
    await using terminal = ptyCli(['chat', '-n', '400', '--ignore-eos', '--temp', '0'], { home });
    await terminal.see('it continues the text');
    await terminal.see('> ');
    terminal.type('Once upon a time\r');
    await terminal.see('was');
    terminal.type('\x03');
    await terminal.see('ended by cancelled');
    await terminal.see('> ');
    terminal.type('half a line\x03');
    await terminal.see('> ');
    terminal.type('/quit\r');
    expect(await terminal.ended).toBe(0);
  });

  it.each(['/exit', '/bye', '/quit'])('%s ends it', async (word) => {
    await using terminal = ptyCli(CHAT, { home });
    await terminal.see('> ');
    terminal.type(`${word}\r`);
    expect(await terminal.ended).toBe(0);
  });

  it('completes commands, options and files with Tab', async () => {
    writeFileSync(join(home, 'said-before.json'), '{"messages":[]}');
    await using terminal = ptyCli(CHAT, { home });
    await terminal.see('> ');
    await keys(terminal, '/tim', '\t', '\r');
    await terminal.see('Timing is hidden');
    await terminal.see('> ');
    await keys(terminal, '/set ignore-', '\t', 'on\r');
    await terminal.see('ignore-eos  on');
    await terminal.see('> ');
    await keys(terminal, `/load ${home}/said-b`, '\t', '\r');
    await terminal.see('0 messages are loaded');
    await terminal.see('> ');
    terminal.type('/exit\r');
    expect(await terminal.ended).toBe(0);
  });

  it('edits a line that wraps at 60 columns, where it is exactly as wide and where it is wider', async () => {
    const file = join(home, 'wrapped.json');
    await using terminal = ptyCli([...CHAT, '-n', '1'], { home, columns: 60 });
    await terminal.see('> ');
    // Two columns are the prompt's: 58 fill the first line, and the cursor stands on the next.
    const [home1, end, left, rubOut] = ['\x01', '\x05', '\x1b[D', '\x7f'];
    await keys(terminal, 'a'.repeat(58), home1, 'X', end, 'Y', left, left, 'Z', '\r');
    await terminal.see('core cycles');
    await terminal.see('> ');
    // Over the wrap and back: 130 characters take three lines.
    await keys(
      terminal,
      'b'.repeat(130),
      ...Array<string>(75).fill(left),
      rubOut,
      'C',
      end,
      rubOut,
      'D',
      '\r',
    );
    await terminal.see('core cycles');
    await terminal.see('> ');
    terminal.type(`/save ${file}\r`);
    await terminal.see('> ');
    terminal.type('/exit\r');
    expect(await terminal.ended).toBe(0);
    const asked = readSaved(file).messages.flatMap(({ role, content }) => (role === 'user' ? [content] : []));
    expect(asked).toEqual([`X${'a'.repeat(57)}ZaY`, `${'b'.repeat(54)}C${'b'.repeat(74)}D`]);
  });
});

/** Each by itself, as a keyboard sends them: Node.js takes what comes at once for something pasted. */
async function keys(terminal: { type(text: string): void }, ...typed: readonly string[]): Promise<void> {
  for (const key of typed) {
    terminal.type(key);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}
