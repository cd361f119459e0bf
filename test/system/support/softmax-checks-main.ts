import { readFileSync } from 'node:fs';
import { loadBoardDescription } from '../../../board/index.js';
import { Accelerator, listChecks, runCheck } from '../../../driver/index.js';
import { openMockBoard } from '../../../mock-device/index.js';

/** The golden SOFT_MAX as a program for another architecture: `softmax-checks-main.js LIST BOARD` prints JSON. */
const [list, board] = process.argv.slice(2);
const accelerator = new Accelerator(openMockBoard(loadBoardDescription(board)));
const checks = listChecks({ softmax: JSON.parse(readFileSync(list, 'utf8')) }, 'v4');
const results = checks.map((check) => runCheck(accelerator, check, new Map()));
process.stdout.write(`${JSON.stringify({ architecture: process.arch, results })}\n`);
