/** CSI sequences (colours, bracketed paste), OSC sequences (window titles), and two-character escapes: ECMA-48. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with ESC
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_=>])/g;
/** Lines of the kernel's log that appear between the output of commands. */
const KERNEL_LINE = /^\[ *\d+\.\d{6}\] /;

/** What a terminal would show as plain lines: no escape sequences, one line break a line. */
export function plainText(text: string): string {
  return text
    .replace(ESCAPES, '')
    .replace(/\r+\n/g, '\n')
    .replace(/\r+(?!$)/g, '\n');
}

/** Lines without empty ones and without messages of the kernel. */
export function outputLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !KERNEL_LINE.test(line));
}

/** What the board waits for, told from the end of what it wrote. */
export type Prompt = 'login' | 'password' | 'new-password' | 'refused' | 'boot-loader' | 'shell';

const PROMPTS: readonly (readonly [Prompt, RegExp])[] = [
  ['refused', /(?:^|\n)(?:Login incorrect|Authentication failure)/i],
  [
    'new-password',
    /(?:You are required to change your password|Current password:|\(current\) UNIX password:)/i,
  ],
  ['login', /(?:^|\n)[^\n]*\blogin: *$/],
  ['password', /(?:^|\n) *password(?: for [^\n:]*)?: *$/i],
  ['boot-loader', /(?:^|\n)(?:Zynq|ZynqMP|zynq-uboot|=)> *$/],
  ['shell', /(?:^|\n)[^\n]*[$#] $/],
];

/** @param text plain text since the last thing that was sent */
export function promptAt(text: string): Prompt | undefined {
  return PROMPTS.find(([, pattern]) => pattern.test(text))?.[0];
}
