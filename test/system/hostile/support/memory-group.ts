import { existsSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A control group whose processes may have so much memory together; the kernel ends one that wants more. */
export interface MemoryGroup extends Disposable {
  /** The start of a command line that runs a program in it. */
  readonly within: readonly string[];
}

interface Hierarchy {
  readonly root: string;
  readonly limit: string;
  /** The limit of what is swapped out, so that memory cannot be had that way. */
  readonly swap: string;
}

const HIERARCHIES: readonly Hierarchy[] = [
  { root: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes', swap: 'memory.swappiness' },
  { root: '/sys/fs/cgroup', limit: 'memory.max', swap: 'memory.swap.max' },
];

/** Makes a group, or says why that cannot be here. */
export function memoryGroup(mib: number): MemoryGroup | { readonly missing: string } {
  let missing = 'there are no control groups';
  for (const { root, limit, swap } of HIERARCHIES) {
    if (!existsSync(join(root, 'cgroup.procs'))) continue;
    let folder: string | undefined;
    try {
      // The controller of version 2 has to be handed down; where it is, this changes nothing.
      if (
        limit === 'memory.max' &&
        !readFileSync(join(root, 'cgroup.subtree_control'), 'utf8').includes('memory')
      )
        throw new Error(`${root} does not hand the memory controller down`);
      folder = mkdtempSync(join(root, 'pynq-llm-test-'));
      writeFileSync(join(folder, limit), String(mib * 1_048_576));
      if (existsSync(join(folder, swap))) writeFileSync(join(folder, swap), '0');
      const made = folder;
      return {
        within: ['sh', '-ec', 'echo $$ > "$0/cgroup.procs"; exec "$@"', made],
        [Symbol.dispose]: () => rmdirSync(made),
      };
    } catch (error) {
      if (folder !== undefined) rmdirSync(folder);
      missing = `no control group can be made: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return { missing };
}
