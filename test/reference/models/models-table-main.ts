import { readFileSync, writeFileSync } from 'node:fs';
import { readAccuracy } from './accuracy.js';
import { modelsTable } from './models-table.js';
import { REAL_MODELS } from './real-models.js';

/** Writes the table of docs/models.md: `npm run docs:models`; with `--check` it fails where the table is another one. */
const BEGIN = '<!-- models -->\n';
const END = '<!-- /models -->';
const file = new URL('../../../../docs/models.md', import.meta.url);
const before = readFileSync(file, 'utf8');
const begin = before.indexOf(BEGIN) + BEGIN.length;
const end = before.indexOf(END);
if (begin < BEGIN.length || end < begin) throw new Error('docs/models.md has no place for the table');
const text = `${before.slice(0, begin)}\n${modelsTable(REAL_MODELS, readAccuracy())}\n${before.slice(end)}`;
if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (before !== text) throw new Error('docs/models.md is out of date: npm run docs:models');
