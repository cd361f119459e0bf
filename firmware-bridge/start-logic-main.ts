import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KoffiMapper, loadInstalledBoard, withProcessorRegisters } from '../linux-device/index.js';
import { DESIGN_FILES } from './board-design.js';
import { startLogic } from './fpga-manager/start-logic.js';

/**
 * Makes a board's programmable logic ready, as root, before its agent starts: `node start-logic.js FOLDER`, where the
 * folder has the files of a design. Says on standard output what it did; scripts/build-bundle.mjs makes one file of it.
 */
const [folder = '.'] = process.argv.slice(2);
const overlay = join(folder, DESIGN_FILES.overlay);
try {
  const { digest, manager, clock } = await startLogic(
    loadInstalledBoard(join(folder, DESIGN_FILES.board)),
    {
      bitstream: readFileSync(join(folder, DESIGN_FILES.bitstream)),
      overlay: existsSync(overlay) ? readFileSync(overlay) : undefined,
    },
    { withRegisters: (place, use) => withProcessorRegisters(place, new KoffiMapper(), use) },
  );
  const running =
    clock === undefined ? '' : `, clock ${clock.index} from the ${clock.source} at ${clock.hz} Hz`;
  process.stdout.write(`${manager} operates with ${digest}${running}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
