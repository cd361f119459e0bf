// Fails where a word that this project has given up is in its source, its docs or on its wire: one thing has one name
// (docs/glossary.md). The list of changes may name what there was.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const GIVEN_UP = {
  repetitionPenalty: 'repeatPenalty',
  repetitionWindow: 'repeatLastN',
  logProb: 'logprob',
  logProbs: 'logprobs',
  topLogProbs: 'topLogprobs',
  TokenLogProb: 'TokenLogprob',
  RegisterLane: 'RegisterMailbox',
  registerLane: 'registerMailbox',
};
const MAY_NAME_THEM = ['CHANGELOG.md', 'scripts/vocabulary.mjs'];

const word = new RegExp(`\\b(${Object.keys(GIVEN_UP).join('|')})\\b`, 'g');
const files = execFileSync(
  'git',
  ['ls-files', '-z', '*.ts', '*.mjs', '*.cjs', '*.js', '*.json', '*.md', '*.sh', '*.toml', '*.yml'],
  {
    encoding: 'utf8',
  },
);
let found = 0;
for (const file of files.split('\0').filter((name) => name !== '' && !MAY_NAME_THEM.includes(name))) {
  for (const [i, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    for (const [name] of line.matchAll(word)) {
      console.error(`${file}:${i + 1}: ${name} is called ${GIVEN_UP[name]}`);
      found++;
    }
  }
}
if (found > 0) process.exit(1);
