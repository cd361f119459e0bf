/** CSI sequences (colours, bracketed paste), OSC sequences (window titles), and two-character escapes: ECMA-48. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with ESC
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[@-Z\\^_=>78])/g;
/** Lines of the kernel's log that appear between the output of commands. */
const KERNEL_LINE = /^\[ *\d+\.\d{6}\] /;
/** The same behind a prompt: the kernel writes where the cursor is. */
const KERNEL_BEHIND = /\[ *\d+\.\d{6}\] [^\n]*(?:\n+|$)/g;

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

/** The word before a colon that asks for a name, in the languages of common images. Others are recognised by how they answer. */
const LOGIN =
  /\b(?:login|user ?name)\b|anmeld|benutzer|connexion|identifiant|utilisateur|usuario|usuário|utente|gebruiker|użytkownik|användar|ログイン|ユーザー|登录|登入|用户|用戶|로그인|사용자|логин|пользовател/iu;
const PASSWORD =
  /passwor[dt]|kennwort|mot de passe|contraseña|senha|wachtwoord|hasło|lösenord|parola|パスワード|密码|密碼|口令|암호|비밀번호|пароль/iu;
const COLON = '[:：]';
/** A greeting, not a question. */
const GREETING =
  /last login|letzte anmeldung|dernière connexion|último (?:inicio|login)|前回のログイン|上次登录/iu;

const PROMPTS: readonly (readonly [Prompt, RegExp])[] = [
  ['refused', /(?:^|\n)(?:Login incorrect|Authentication failure)/i],
  [
    'new-password',
    /(?:You are required to change your password|Current password:|\(current\) UNIX password:)/i,
  ],
  ['boot-loader', /(?:^|\n)(?:Zynq|ZynqMP|zynq-uboot|=)> *$/],
  ['shell', /(?:^|\n)[^\n]*[$#] $/],
];

/**
 * @param text plain text since the last thing that was sent
 * @param isQuiet whether nothing has come for a while: then also a question with something behind it counts
 */
export function promptAt(text: string, isQuiet = false): Prompt | undefined {
  const shown = text.replace(KERNEL_BEHIND, '');
  const known = PROMPTS.find(([, pattern]) => pattern.test(shown))?.[0];
  if (known === 'refused' || known === 'new-password') return known;
  const line = cursorLine(text);
  const question = new RegExp(isQuiet ? `^(.*?)${COLON}` : `^(.*)${COLON}\\s*$`, 'u').exec(line)?.[1];
  if (question !== undefined && !GREETING.test(question)) {
    if (PASSWORD.test(question)) return 'password';
    if (LOGIN.test(question)) return 'login';
  }
  return known;
}

/** The line that the cursor stands in, without what the kernel wrote behind it; empty where nothing was written since a line break. */
export function cursorLine(text: string): string {
  return text.replace(KERNEL_BEHIND, '').split('\n').at(-1)!.trim();
}

/** Whether a line looks like a shell's prompt: its end, or a sign that only prompts have (with something at the right edge behind it). */
export function isLikeShell(line: string): boolean {
  return /[$#%>❯➜»›λ→⟩]\s*$/u.test(line) || /[❯➜\ue0a0-\ue0d7]/u.test(line);
}
