import { fileBeside } from '../ssh/index.js';
import { DESIGN_FOLDER, socketOf } from './layout.js';
import type { ServiceManager, ServiceOptions } from './service-manager.js';
import { unitFile } from './unit-file.js';

const UNIT = 'pynq-llm.service';
/** Not in the agent's own unit: what may program the FPGA may do anything. It runs before every start of the agent. */
const FPGA_UNIT = 'pynq-llm-fpga.service';
const RULES = '70-pynq-llm.rules';

/** A unit of systemd with a user of its own: what boards' images have. */
export const systemd: ServiceManager = {
  name: 'systemd',
  needsRoot: true,
  programsFpga: true,
  tools: ['systemctl', 'systemd-run', 'useradd', 'runuser'],
  functions: fileBeside('./systemd-service.sh', import.meta.url),
  prepare: fileBeside('./systemd-prepare.sh', import.meta.url),
  files: (options) =>
    Object.fromEntries(
      [UNIT, RULES, ...(options.programsFpga ? [FPGA_UNIT] : [])].map((name) => [
        `system/${name}`,
        boardFile(name, options),
      ]),
    ),
};

function boardFile(name: string, options: ServiceOptions): string {
  const { layout, device, loginUid, allowDevMem, programsFpga } = options;
  const current = `${layout.base}/current`;
  return unitFile(
    new URL(`./${name}`, import.meta.url),
    {
      CONFIG: layout.config,
      STATE: layout.state,
      NODE: `${current}/bin/node`,
      MAIN: `${current}/agent/main.mjs`,
      START_LOGIC: `${current}/agent/start-logic.js`,
      DESIGN: `${current}/${DESIGN_FOLDER}`,
      SWITCH: `${current}/system/switch.sh`,
      DEVICE: device,
      LISTEN: `unix:${socketOf(layout)}`,
      OWNER: `${loginUid}:pynq-llm`,
    },
    { 'dev-mem': allowDevMem, fpga: programsFpga },
  );
}
