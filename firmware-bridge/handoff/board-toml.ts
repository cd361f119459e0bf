import type { BoardDescription } from '../../board/index.js';

const TYPE_NAMES = new Map([
  [2, 'Q2_K'],
  [3, 'Q3_K'],
  [4, 'Q4_K'],
  [5, 'Q5_K'],
  [6, 'Q6_K'],
]);

/**
 * A board description as the text of a file for boards/.
 * @param source where its facts come from, for the comment at the top; may have several lines
 */
export function formatBoardFile(board: BoardDescription, source: string): string {
  const { dma, hwc, capacity, fpga } = board;
  const region = ({ base, size }: { base: number; size: number }) =>
    `{ base = ${address(base)}, size = ${hex(size)} }`;
  return [
    ...source.split('\n').map((line) => `# ${line.replace(/\p{Cc}+/gu, ' ')}`),
    `name = ${JSON.stringify(board.name)}`,
    `title = ${JSON.stringify(board.title)}`,
    `architecture = "${board.architecture}"`,
    `revision = "${board.revision}"`,
    `timing = "${board.timing}"`,
    ...(board.unpack === 'words' ? [] : [`unpack = "${board.unpack}"`]),
    `clock_hz = ${grouped(board.clockHz)}`,
    `weight_types = [${board.weightTypes.map((type) => `"${TYPE_NAMES.get(type)}"`).join(', ')}]`,
    `memory_bytes = ${hex(board.memoryBytes)}`,
    '',
    '[windows]',
    ...Object.entries(board.windows).map(([name, window]) => `${name} = ${region(window)}`),
    '',
    '[dma]',
    `lanes = ${dma.lanes}`,
    `length_bits = ${dma.lengthBits}`,
    ...(dma.alignment === undefined ? [] : [`alignment = ${dma.alignment}`]),
    ...(dma.addressBits === undefined ? [] : [`address_bits = ${dma.addressBits}`]),
    ...(dma.interrupts === undefined ? [] : [`interrupts = ${dma.interrupts}`]),
    '',
    // v1 has one layout, where it has counters at all.
    ...(hwc && board.revision !== 'v1'
      ? ['[hwc]', `layout = "${hwc.layout}"`, `monitors = ${hwc.monitors}`, '']
      : []),
    ...dmaMemory(board),
    '[capacity]',
    `weight_blocks = ${capacity.weightBlocks}`,
    `input_blocks = ${capacity.inputBlocks}`,
    ...(fpga
      ? [
          '',
          '[fpga]',
          `part = "${fpga.part}"`,
          ...(fpga.clock === undefined ? [] : [`clock = ${fpga.clock}`]),
          ...(fpga.referenceHz === undefined ? [] : [`reference_hz = ${grouped(fpga.referenceHz)}`]),
          ...(fpga.setup === undefined
            ? []
            : [`setup = { slack_ns = ${fpga.setup.slackNs}, at_hz = ${grouped(fpga.setup.atHz)} }`]),
          ...(fpga.bitstreamMd5 === undefined ? [] : [`bitstream_md5 = "${fpga.bitstreamMd5}"`]),
        ]
      : []),
    '',
  ].join('\n');
}

function dmaMemory({ dmaDevices, dmaMemory }: BoardDescription): string[] {
  if (dmaDevices === undefined)
    return dmaMemory.flatMap(({ base, size }) => [
      '[[dma_memory]]',
      `base = ${address(base)}`,
      `size = ${hex(size)}`,
      '',
    ]);
  const { kind, names, inBytes, outBytes } = dmaDevices;
  return [
    '[dma_memory]',
    `kind = "${kind}"`,
    `names = [${names.map((name) => `"${name}"`).join(', ')}]`,
    `in_bytes = ${hex(inBytes)}`,
    `out_bytes = ${hex(outBytes)}`,
    '',
  ];
}

function address(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(8, '0')}`.replace(/(....)$/, '_$1');
}

function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase()}`.replace(
    /(?<=[0-9A-F])([0-9A-F]{4})(?=([0-9A-F]{4})?$)/g,
    '_$1',
  );
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, '_');
}
