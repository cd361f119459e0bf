import { readText, type SystemFiles, sizeText, systemFiles } from './system-files.js';

const MEMINFO = '/proc/meminfo';
const CGROUP_ROOT = '/sys/fs/cgroup';

/** Memory that this process may still take before the kernel kills something. */
export interface AvailableMemory {
  /** Bytes. Swap does not count: weights that are swapped to a card are no use. */
  readonly available: number;
  /** What sets the bound: `MemAvailable`, or the control group. */
  readonly source: string;
}

/**
 * What Linux has available (MemAvailable), or what a control group of this process leaves (cgroup v1 or v2, itself and all
 * above it), whichever is less. Undefined where the system does not say: it is no Linux.
 */
export function readAvailableMemory(files: SystemFiles = systemFiles): AvailableMemory | undefined {
  const meminfo = readText(files, MEMINFO);
  const kilobytes = /^MemAvailable: +(\d+) kB$/m.exec(meminfo ?? '')?.[1];
  const system =
    kilobytes === undefined ? [] : [{ available: Number(kilobytes) * 1024, source: 'MemAvailable' }];
  return [...system, ...groupsOf(files).flatMap((group) => headroom(files, group) ?? [])].reduce<
    AvailableMemory | undefined
  >((least, one) => (least === undefined || one.available < least.available ? one : least), undefined);
}

/** How a version of control groups names what it says of memory. */
interface GroupFiles {
  readonly limit: string;
  readonly usage: string;
  /** Prefix in memory.stat of what the group and all below it have. */
  readonly total: string;
}

const V1: GroupFiles = {
  limit: 'memory.limit_in_bytes',
  usage: 'memory.usage_in_bytes',
  total: 'total_',
};
const V2: GroupFiles = { limit: 'memory.max', usage: 'memory.current', total: '' };

interface Group {
  readonly folder: string;
  readonly files: GroupFiles;
}

/** The groups that bound this process's memory: its own, and each one above it up to the root that is mounted. */
function groupsOf(files: SystemFiles): Group[] {
  return (readText(files, '/proc/self/cgroup') ?? '').split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    const isV2 = controllers === '';
    if (!isV2 && !controllers.split(',').includes('memory')) return [];
    const root = isV2 ? CGROUP_ROOT : `${CGROUP_ROOT}/memory`;
    // In a container the path may be the host's, of which only the container's own group is mounted: the root then.
    const names = path.split('/').filter((name) => name !== '' && name !== '..');
    const folders = names.map((_, i) => `${root}/${names.slice(0, i + 1).join('/')}`);
    return [root, ...folders].map((folder) => ({ folder, files: isV2 ? V2 : V1 }));
  });
}

/** What a group leaves; undefined where it has no limit, as the root has none. */
function headroom(files: SystemFiles, { folder, files: names }: Group): AvailableMemory | undefined {
  const limit = readCount(files, `${folder}/${names.limit}`);
  const usage = readCount(files, `${folder}/${names.usage}`);
  // v1 writes "no limit" as the largest number of whole pages.
  if (limit === undefined || usage === undefined || limit > Number.MAX_SAFE_INTEGER) return undefined;
  return {
    available: Math.max(0, limit - Math.max(0, usage - cacheOf(files, folder, names))),
    source: `of the ${sizeText(limit)} of the control group ${folder.slice(CGROUP_ROOT.length) || '/'}`,
  };
}

/**
 * File pages count as used, and the kernel takes them back before it kills: all but those that are mapped, which are
 * mostly code that runs and would be read again at once.
 */
function cacheOf(files: SystemFiles, folder: string, { total }: GroupFiles): number {
  const stat = readText(files, `${folder}/memory.stat`) ?? '';
  const field = (...names: string[]) =>
    Math.max(
      ...names.map((name) => Number(new RegExp(`^${total}${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0)),
    );
  return Math.max(0, field('active_file') + field('inactive_file') - field('file_mapped', 'mapped_file'));
}

/** A number; undefined where there is none, or it is `max`. */
function readCount(files: SystemFiles, path: string): number | undefined {
  const text = readText(files, path);
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
