import { Command, Option } from 'commander';
import { type BoardBenchResult, NULL_MEMORY, type NullMemory, PARTS } from '../../bench/board/index.js';
import { harmlessJson } from '../../errors/index.js';
import { collect, wholeNumber, withJson } from '../options.js';
import { noteText, printText } from '../output/print.js';
import { formatTable } from '../output/table.js';

interface BenchBoardOptions {
  readonly quick?: boolean;
  readonly context: readonly number[];
  readonly memory?: NullMemory;
  readonly file?: string;
  readonly json?: boolean;
}

const CONTEXTS = [40, 256, 1024];
