import { fileBeside, shellScript } from '../ssh/index.js';
import { FLEET_FILE } from './fleet.js';
import { type Layout, layoutValues } from './layout.js';
import type { ServiceManager } from './service-manager.js';

/** Where things are for `plain`: in a folder of the user who logs in. */
export function plainLayout(folder: string): Layout {
  return {
    base: `${folder}/agent`,
    state: `${folder}/state`,
    config: `${folder}/config`,
    run: `${folder}/run`,
  };
}

/**
 * A process of the user who logs in, started by the shell: for boards without systemd, and without root's rights. Its
 * log is agent.log beside the models. Nothing starts it at boot.
 */
export const plain: ServiceManager = {
  name: 'plain',
  needsRoot: false,
  programsFpga: false,
  tools: ['setsid'],
  functions: fileBeside('./plain-service.sh', import.meta.url),
  prepare: fileBeside('./plain-prepare.sh', import.meta.url),
  files: ({ layout, device }) => ({
    'system/run.sh': shellScript([fileBeside('./run.sh', import.meta.url)], {
      ...layoutValues(layout),
      DEVICE: device,
      FLEET_FILE,
    }),
  }),
};
