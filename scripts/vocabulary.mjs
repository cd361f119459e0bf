// Words that were given up for others do not come back: fails where a tracked file, but for the list of changes, has one.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What is said instead of each word that was given up; docs/glossary.md has the words that are used. */
const INSTEAD = {
  repetitionPenalty: 'repeatPenalty',
  repetitionWindow: 'repeatLastN',
  logProb: 'logprob',
  topLogProbs: 'topLogprobs',
  RegisterLane: 'RegisterMailbox: a lane is a DMA engine of the core',
  registerLane: 'registerMailbox',
  'register-lane': 'register-mailbox',
  isReading: 'hasCredit',
  mayGenerate: 'hasCredit',
  UploadProgress: 'onProgress(done, total, unit) and UploadPhase',
  ScoreProgress: 'onProgress(done, total, unit)',
  SendProgress: 'onProgress(done, total, unit)',
  DeployProgress: 'DeployStep',
};
const EXEMPT = new Set(['CHANGELOG.md', 'scripts/vocabulary.mjs']);

const words = new RegExp(`(?<![\\w-])(?:${Object.keys(INSTEAD).join('|')})(?!\\w)`, 'g');
const root = new URL('..', import.meta.url);
const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 2 ** 26,
}).split('\0');
const found = files
  .filter((file) => /\.(ts|mjs|cjs|js|json|md|sh|toml)$/.test(file) && !EXEMPT.has(file))
  .flatMap((file) => {
    let text = '';
    try {
      text = readFileSync(new URL(file, root), 'utf8');
    } catch (error) {
      // Deleted but not yet told to git.
      if (error.code !== 'ENOENT') throw error;
    }
    return text
      .split('\n')
      .flatMap((line, i) => (line.match(words) ?? []).map((word) => ({ at: `${file}:${i + 1}`, word })));
  });
for (const { at, word } of found) console.error(`${at}: ${word} is now ${INSTEAD[word]}`);
if (found.length > 0) process.exitCode = 1;
