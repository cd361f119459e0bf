import { BLOCK_FORMATS, CORE_TYPES, ggmlTypeOf } from '../../../gguf/index.js';
import type { Accuracy, AccuracyRecord } from './accuracy.js';
import { hasPaddedRows, type ModelPlan, planModel, type Unsupported } from './model-plans.js';
import type { RealModel } from './real-models.js';

const MIB = 2 ** 20;
const MIXTURES = ['Q3_K_M', 'Q4_K_M'];
const HEADINGS = [
  'family',
  'model',
  'as',
  'MiB',
  'on the core',
  'M cycles a token',
  'PYNQ-Z1',
  'two of them',
  'KV260',
  'accuracy',
];

/** The table of docs/models.md: a line for each model and mixture, families by their first model. */
export function modelsTable(models: readonly RealModel[], accuracy: AccuracyRecord): string {
  const families = [...new Set(models.map(({ family }) => family))];
  const rows = families.flatMap((family) => {
    const ofFamily = models.filter((model) => model.family === family);
    return ofFamily.flatMap((model, i) =>
      rowsOf(model, i === 0 ? accuracyText(family, accuracy) : undefined),
    );
  });
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  return line(HEADINGS) + line(HEADINGS.map(() => '---')) + rows.map(line).join('');
}

/** @param accuracy of the family, in its first line */
function rowsOf(model: RealModel, accuracy: string | undefined): string[][] {
  const ways = hasPaddedRows(model) ? [false, true] : [false];
  const plans = MIXTURES.flatMap((mixture) => ways.map((pad) => planModel(model, mixture, pad)));
  const [first] = plans;
  const family = accuracy === undefined ? '' : `\`${model.family}\``;
  if ('code' in first) return [[family, model.name, ...unsupported(first), accuracy ?? '']];
  return plans
    .filter((plan): plan is ModelPlan => !('code' in plan))
    .map((plan, i) => {
      const isFirst = i === 0;
      return [
        isFirst ? family : '',
        isFirst ? model.name : '',
        ...planned(plan),
        (isFirst && accuracy) || '',
      ];
    });
}

function unsupported({ code }: Unsupported): string[] {
  return [`does not run: \`${code}\``, ...Array.from({ length: HEADINGS.length - 4 }, () => '')];
}

function planned({ mixture, bytes, onCore, cycles, pynq, twoPynqs, kv260, dmaBytes }: ModelPlan): string[] {
  const share = 100 * onCore;
  const isWhole = share === 100 || share === 0;
  const where = (one: typeof pynq) =>
    one === undefined ? 'no' : `${one.board.replace(/^.*-/, '')}: ${count(one.tokens)}`;
  return [
    mixture,
    count(bytes / MIB),
    `${isWhole ? share : Math.min(99.9, share).toFixed(1)} %`,
    `${millions(cycles.words)} to ${millions(cycles.hls)}`,
    where(pynq),
    where(twoPynqs),
    kv260 === undefined ? `no: ${count(dmaBytes / MIB)} MiB` : count(kv260.tokens),
  ];
}

const K_QUANTS = CORE_TYPES.map((type) => BLOCK_FORMATS[ggmlTypeOf(type)].name);

/** Over the kit's files of a family: median and worst of those in K-quants, and of those in F16. */
function accuracyText(family: string, record: AccuracyRecord): string {
  const kinds = [
    ['K-quants', (file: string) => K_QUANTS.some((type) => file.includes(type))],
    ['F16', (file: string) => file.includes('f16')],
  ] as const;
  const texts = kinds.flatMap(([kind, belongs]) => {
    const files = Object.entries(record).filter(([file, one]) => one.family === family && belongs(file));
    return files.length === 0 ? [] : [`${kind} ${worstOf(files.map(([, one]) => one))}`];
  });
  return texts.length === 0 ? 'not measured' : texts.join('; ');
}

function worstOf(files: readonly Accuracy[]): string {
  const largest = (key: 'median' | 'worst') => Math.max(...files.map((one) => one[key]));
  return `${largest('median').toFixed(4)} / ${largest('worst').toFixed(3)}`;
}

function millions(value: number): string {
  return (value / 1e6).toFixed(1);
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
