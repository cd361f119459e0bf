import type { BoardClient } from '../board-client.js';
import type { RegisterValue } from '../registers-client.js';
import { type Check, type Finding, fail, pass, skip, warn } from './check.js';
import { type CoreMeasurement, KNOWN_GENERATION, measureGeneration } from './measure.js';
import type { DoctorSession } from './session.js';

const LANES = ['A', 'B', 'C', 'D'] as const;
const WORD_BYTES = 4;
const PATTERN_BYTES = 1 << 20;
/** Below this share of one word a cycle on every lane, something is slower than the design means it to be. */
const SLOW_SHARE = 0.2;
/** One small MatMul and one word stream of every weight type; `pynq-llm selftest` runs all of them. */
const QUICK = /^public_q(\d)_00_gauss_small_[^ ]* (?:staged|resident)$|^stream normal, type (\d)$/;
const FULL_TEST = '`pynq-llm selftest -v` names every check that fails.';

/** Only where the board description has something to say of it. */
const SETUP_TIME = 'setup time';

interface CoreCheck {
  readonly name: string;
  /** Whether it uses the core or writes DMA memory. */
  readonly touches: boolean;
  run(board: BoardClient, session: DoctorSession): Finding | undefined | Promise<Finding>;
}

const CORE: readonly CoreCheck[] = [
  { name: 'device', touches: false, run: device },
  { name: SETUP_TIME, touches: false, run: ({ info }) => setupTime(info.description) },
  { name: 'DMA memory', touches: true, run: memoryPatterns },
  { name: 'golden vectors', touches: true, run: goldenVectors },
  ...LANES.map(
    (_, lane): CoreCheck => ({
      name: `DMA lane ${LANES[lane]}`,
      touches: true,
      run: (board, session) => dmaLane(board, session, lane),
    }),
  ),
  { name: 'generation', touches: true, run: generation },
  { name: 'DMA bandwidth', touches: true, run: bandwidth },
];

/** The core's own test, through the agent. */
export const CORE_CHECKS: readonly Check<DoctorSession>[] = CORE.map(({ name, touches, run }) => ({
  name,
  group: 'core',
  run: async (session) => {
    const { board } = session;
    if (board === undefined) return name === SETUP_TIME ? undefined : skip('the agent did not answer');
    if (!touches) return run(board, session);
    const why = await reasonNotToTouch(board, session);
    return why === undefined ? run(board, session) : skip(why);
  },
}));

async function reasonNotToTouch(board: BoardClient, { options }: DoctorSession): Promise<string | undefined> {
  if (!options.touch) return 'told not to touch the core (--no-touch)';
  if (board.role !== 'admin') return `needs the role admin; this token gives ${board.role}`;
  const { state, generations } = await board.health();
  if (state !== 'ready') return `the device is ${state}`;
  return generations === 0 ? undefined : `${generations} generations of others are running`;
}

async function device(board: BoardClient): Promise<Finding> {
  const { state, restarts, lastError, dmaMemory, problems = [] } = await board.health();
  const memory =
    dmaMemory && `, ${megabytes(dmaMemory.free)} of ${megabytes(dmaMemory.total)} DMA memory free`;
  if (state !== 'ready')
    return fail(`${state}: ${lastError ?? 'no error was reported'}`, 'Read the log: `pynq-llm logs`.');
  if (problems.length > 0)
    return warn(
      `ready${memory ?? ''}, but ${problems.map(({ part, error }) => `${part} fails: ${error}`).join('; ')}`,
      'Check that the directory of the store exists and its file system is healthy, and read the log: `pynq-llm logs`.',
    );
  if (restarts === 0) return pass(`ready${memory ?? ''}`);
  return warn(
    `ready${memory ?? ''}, but its worker was restarted ${restarts} times by the agent; last: ${lastError ?? 'unknown'}`,
    'Read the log: `pynq-llm logs`.',
  );
}

/** Whether the design meets timing at the clock that it runs at, as far as its implementation said. */
export function setupTime({
  clockHz,
  setup,
}: Pick<BoardClient['info']['description'], 'clockHz' | 'setup'>): Finding | undefined {
  if (setup === undefined) return undefined;
  const { slackNs, atHz } = setup;
  const slack = 1e9 / clockHz - (1e9 / atHz - slackNs);
  const at = `at ${(clockHz / 1e6).toFixed(1)} MHz`;
  if (slack >= 0) return pass(`${slack.toFixed(3)} ns to spare ${at}, by the figures of its build`);
  return warn(
    `the bitstream misses timing ${at} by ${(-slack).toFixed(3)} ns: results can be wrong on some boards, or when one is hot`,
    'Run it slower, where it meets timing: `pynq-llm deploy BOARD --board NAME --bitstream FILE --clock 187.5` (or 100); `pynq-llm selftest` compares every bit.',
  );
}

/** Patterns that find stuck and bridged data lines, and an address in every word for stuck address lines. */
async function memoryPatterns(board: BoardClient): Promise<Finding> {
  const patterns: readonly (readonly [string, (index: number, address: number) => number])[] = [
    ['zeros', () => 0],
    ['ones', () => 0xffff_ffff],
    ['0x55555555', () => 0x5555_5555],
    ['0xaaaaaaaa', () => 0xaaaa_aaaa],
    ['a walking one', (index) => 1 << (index & 31)],
    ['addresses', (_, address) => address],
  ];
  await using buffer = await board.buffers.allocate(PATTERN_BYTES);
  const words = new Uint32Array(PATTERN_BYTES / WORD_BYTES);
  for (const [name, wordAt] of patterns) {
    for (let i = 0; i < words.length; i++) words[i] = wordAt(i, buffer.physicalAddress + i * WORD_BYTES);
    await buffer.write(new Uint8Array(words.buffer));
    // Not slice(): the words have to be aligned.
    const read = new Uint32Array(Uint8Array.from(await buffer.read()).buffer);
    const wrong = words.findIndex((word, i) => word !== read[i]);
    if (wrong >= 0)
      return fail(
        `${name}: ${hex(read[wrong])} instead of ${hex(words[wrong])} at ${hex(buffer.physicalAddress + wrong * WORD_BYTES)}`,
        'Check that Linux does not use this memory too (reserved-memory in the device tree) and that its size is right.',
      );
  }
  return pass(
    `${patterns.length} patterns in ${megabytes(PATTERN_BYTES)} at ${hex(buffer.physicalAddress)} read back`,
  );
}

async function goldenVectors(board: BoardClient, { options }: DoctorSession): Promise<Finding> {
  const { info } = board;
  const findings: string[] = [];
  const summary = await board.device.selfTest(options.vectors, {
    signal: options.signal,
    only: (name) => isQuick(name, info.description.weightTypes),
    onCheck: ({ name, passed, details, error }) => {
      if (!passed) findings.push(`${name}: ${error ?? details.join('; ')}`);
    },
  });
  const { cases, passed, bitMismatches, counterMismatches, cycleMismatches } = summary;
  if (cases === 0) return fail('the vectors have none of the quick checks', 'Install the package again.');
  if (passed === cases) return pass(`${cases} checks exact to the bit`);
  const first = `${cases - passed} of ${cases} differ, the first: ${findings[0]}`;
  const onlyTimes = bitMismatches === 0 && counterMismatches + cycleMismatches > 0 && !findings.some(isError);
  // The SystemC model's cycles are those of a memory that delivers a word every cycle; a mock's is one. In the synthesised
  // timing only what the core computes is compared, and that is exact on hardware too.
  const isModels = info.description.timing === 'systemc';
  if (onlyTimes && isModels && !info.device.startsWith('mock'))
    return warn(`every result is exact; cycles differ from the model's: ${first}`, FULL_TEST);
  return fail(first, FULL_TEST);
}

function isError(finding: string): boolean {
  return finding.includes('[PL');
}

/** One golden MatMul, whose rows go over all lanes by turns, then a look at what this lane's engine and the core say. */
async function dmaLane(board: BoardClient, { options }: DoctorSession, lane: number): Promise<Finding> {
  const { description } = board.info;
  const { lanes } = description.dma;
  if (lane >= lanes) return skip(`the core has ${lanes === 1 ? 'one lane' : `${lanes} lanes`}`);
  const [type] = description.weightTypes;
  const before = await board.counters.read();
  const findings: string[] = [];
  const { passed, bitMismatches } = await board.device.selfTest(options.vectors, {
    signal: options.signal,
    only: (name) => isQuick(name, [type]) && name.endsWith(' staged'),
    onCheck: ({ error }) => findings.push(...(error === undefined ? [] : [error])),
  });
  const after = await board.counters.read();
  const names = [`dma${lane}.MM2S_DMASR`, ...(lane === 0 ? ['dma0.S2MM_DMASR'] : [])];
  const wrong = [...findings, ...(await board.registers.read(names)).flatMap(engineErrors)];
  const monitor = after.counters.find(({ name }) => name === `weight-transfer-${LANES[lane].toLowerCase()}`);
  if (monitor?.stateName === 'before-first-load') wrong.push('no weights arrived at the core');
  if (bitMismatches > 0) wrong.push(`${bitMismatches} results are wrong`);
  if (wrong.length > 0)
    return fail(
      wrong.join('; '),
      `Compare bitstream, clock and addresses with the board description: \`pynq-llm regs dma${lane}\`.`,
    );
  const moved = after.traffic.dmaBytes - before.traffic.dmaBytes;
  if (moved === 0)
    return fail('nothing went through the lanes', 'Install the package again: a vector is missing.');
  return pass(`idle, no error after ${moved} bytes through all lanes${passed === 0 ? ', cycles aside' : ''}`);
}

/** What a DMA channel's status register says of trouble (PG021, DMASR). */
function engineErrors({ name, fields }: RegisterValue): string[] {
  const value = (field: string) => fields.find((one) => one.name === field)?.value;
  return [
    ...(value('HALTED') === 1 ? [`${name} is halted`] : []),
    ...(value('IDLE') === 0 ? [`${name} is not idle`] : []),
    ...['DMA_INT_ERR', 'DMA_SLV_ERR', 'DMA_DEC_ERR']
      .filter((field) => value(field) === 1)
      .map((field) => `${name} has ${field}`),
  ];
}

/** The bundled model's first tokens; what was not on the board before is removed again. */
async function generation(board: BoardClient, session: DoctorSession): Promise<Finding> {
  const { model: path, signal } = session.options;
  const before = new Map((await board.models.list()).map(({ digest, state }) => [digest, state]));
  const model = await board.models.upload(path, { signal });
  let measurement: CoreMeasurement;
  try {
    measurement = await measureGeneration(board, model, signal);
  } finally {
    const earlier = before.get(model.digest);
    if (earlier === undefined) await board.models.delete(model.digest);
    else if (earlier === 'stored') await board.models.unload(model.digest);
  }
  session.measurement = measurement;
  const { tokens, milliseconds } = measurement;
  const expected = KNOWN_GENERATION.tokens;
  if (tokens.length !== expected.length || tokens.some((id, i) => id !== expected[i]))
    return fail(`tokens ${tokens.join(' ')} instead of ${expected.join(' ')}`, FULL_TEST);
  return pass(`${tokens.length} tokens as expected in ${milliseconds.toFixed(0)} ms`);
}

function bandwidth({ info }: BoardClient, { measurement }: DoctorSession): Finding {
  if (measurement === undefined) return skip('the generation that it is measured in failed');
  const { dmaBytes, dmaBytesToDevice, milliseconds, weightCycles } = measurement;
  const overall = `${megabytes(dmaBytes)} in a generation of ${milliseconds.toFixed(0)} ms`;
  if (weightCycles === undefined || weightCycles === 0)
    return skip(`the design has no counter of the load unit; ${overall}`);
  const { clockHz, dma } = info.description;
  const peak = dma.lanes * WORD_BYTES * clockHz;
  const rate = (dmaBytesToDevice * clockHz) / weightCycles;
  const detail = `${megabytes(rate)}/s into the core while it loads weights, if its clock is ${clockHz / 1e6} MHz; ${overall}`;
  if (rate >= SLOW_SHARE * peak) return pass(detail);
  return warn(
    `${detail}; one word a cycle on every lane is ${megabytes(peak)}/s`,
    'Check the clocks (FCLK0 and the memory ports), and that nothing else keeps the memory busy.',
  );
}

/** @param types core type numbers that the bitstream computes */
function isQuick(name: string, types: readonly number[]): boolean {
  const match = QUICK.exec(name);
  return match !== null && types.includes(Number(match[1] ?? match[2]));
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0)} MB`;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16).padStart(8, '0')}`;
}
