import { fileBeside, shellScript } from '../ssh/index.js';
import { DESIGN_FOLDER, type Layout, layoutValues } from './layout.js';
import type { ServiceManager } from './service-manager.js';

/** What switch.sh ends with where it refuses. */
export const SWITCH_STATUS = { notPending: 65, noRelease: 66, inUse: 67, busy: 69 } as const;

/** The shell function that waits for the lock of a board's base folder; it ends with BUSY. */
export const LOCK = fileBeside('./lock.sh', import.meta.url);

/** switch.sh, which changes what runs on a board, for a service manager. */
export function switchScript(manager: ServiceManager, layout: Layout): string {
  return shellScript([LOCK, manager.functions, fileBeside('./switch.sh', import.meta.url)], {
    ...layoutValues(layout),
    DESIGN_FOLDER,
    NOT_PENDING: SWITCH_STATUS.notPending,
    NO_RELEASE: SWITCH_STATUS.noRelease,
    IN_USE: SWITCH_STATUS.inUse,
    BUSY: SWITCH_STATUS.busy,
  });
}
