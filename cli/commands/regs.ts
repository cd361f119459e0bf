import { Argument, Command, InvalidArgumentError } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { printText } from '../output/print.js';
import { formatTable } from '../output/table.js';
import { formatHex } from '../output/units.js';
import { withBoard } from '../session.js';

interface RegsOptions extends DeviceOptions {
  readonly write?: { register: string; value: number }[];
  readonly list?: boolean;
  readonly json?: boolean;
}

/** `regs`: dump all registers, or peek at some by name, with their fields in words. */
export function regsCommand(): Command {
  const command = new Command('regs')
    .description('Read registers by name, with their fields in words; all readable ones without arguments.')
    .addArgument(new Argument('[names...]', 'such as dma0.MM2S_DMASR, or a window such as hwc'))
    .option('--list', 'list the registers that exist instead of reading them')
    .option('--write <name=value>', 'write first (needs the admin role); repeatable', parseWrite);
  withJson(withDevice(command), 'a JSON list');
  return command.action(async (names: string[], options: RegsOptions) => {
    await withBoard(options, async (board) => {
      const known = await board.registers.list();
      const wanted = (name: string) =>
        names.length === 0 || names.some((n) => n === name || name.startsWith(`${n}.`));
      if (options.list) {
        const listed = known.filter(({ name }) => wanted(name));
        if (options.json) return printText(`${harmlessJson(listed)}\n`);
        const rows = listed.map((r) => [r.name, formatHex(r.address), r.access, r.description]);
        return printText(
          `${formatTable(
            ['register', 'address', 'access', 'what'].map((heading) => ({ heading })),
            rows,
          )}\n`,
        );
      }
      if (options.write) await board.registers.write(options.write);
      const matching = known
        .filter(({ name, access }) => wanted(name) && access !== 'pulse')
        .map(({ name }) => name);
      const unknown = names.filter(
        (name) => !known.some((r) => r.name === name || r.name.startsWith(`${name}.`)),
      );
      const values = await board.registers.read([...matching, ...unknown]);
      if (options.json) return printText(`${harmlessJson(values)}\n`);
      const rows = values.map(({ name, address, value, fields }) => [
        name,
        formatHex(address),
        formatHex(value),
        fields.map((field) => `${field.name}=${field.label ?? field.value}`).join(' '),
      ]);
      printText(
        `${formatTable(
          ['register', 'address', 'value', 'fields'].map((heading) => ({ heading })),
          rows,
        )}\n`,
      );
    });
  });
}

function parseWrite(text: string, before: { register: string; value: number }[] = []) {
  const [register, digits] = text.split('=');
  const value = Number(digits);
  if (!register || !digits || !/^(0x[0-9a-f]+|\d+)$/i.test(digits) || value > 0xffff_ffff)
    throw new InvalidArgumentError('It must be a name and a 32-bit value, such as hwc.RESET=1.');
  return [...before, { register, value }];
}
