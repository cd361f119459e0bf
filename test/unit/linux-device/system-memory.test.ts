import { createFsFromVolume, Volume } from 'memfs';
import { describe, expect, it } from 'vitest';
import type { SystemFiles } from '../../../linux-device/system-files.js';
import { readAvailableMemory } from '../../../linux-device/system-memory.js';

const MEBI = 2 ** 20;
const MEMINFO = { '/proc/meminfo': 'MemTotal:  507712 kB\nMemFree:  1 kB\nMemAvailable:  351232 kB\n' };

function read(tree: Record<string, string>) {
  return readAvailableMemory(createFsFromVolume(Volume.fromJSON(tree)) as unknown as SystemFiles);
}

/** A group of cgroup v2. */
function v2(folder: string, max: string, current: number, cache = 0, mapped = 0) {
  return {
    [`${folder}/memory.max`]: `${max}\n`,
    [`${folder}/memory.current`]: `${current}\n`,
    [`${folder}/memory.stat`]: `anon 5\nfile_mapped ${mapped}\nactive_file ${cache / 2}\ninactive_file ${cache / 2}\n`,
  };
}

describe('available memory', () => {
  it('is MemAvailable where no group has a limit', () => {
    const whole = { available: 351232 * 1024, source: 'MemAvailable' };
    expect(read(MEMINFO)).toEqual(whole);
    expect(
      read({
        ...MEMINFO,
        '/proc/self/cgroup': '0::/system.slice/a.service\n',
        ...v2('/sys/fs/cgroup/system.slice/a.service', 'max', 1),
        ...v2('/sys/fs/cgroup/system.slice', 'max', 2),
      }),
    ).toEqual(whole);
  });

  it('is what cgroup v2 leaves, file pages that nobody maps counted as free', () => {
    const group = v2('/sys/fs/cgroup/a', `${200 * MEBI}`, 150 * MEBI, 60 * MEBI, 20 * MEBI);
    expect(read({ ...MEMINFO, '/proc/self/cgroup': '0::/a\n', ...group })).toEqual({
      available: 90 * MEBI,
      source: 'of the 200 MiB of the control group /a',
    });
  });

  it('is the least of all groups above, and of the system', () => {
    const tree = {
      ...MEMINFO,
      '/proc/self/cgroup': '0::/a/b/c\n',
      ...v2('/sys/fs/cgroup/a', `${100 * MEBI}`, 70 * MEBI),
      ...v2('/sys/fs/cgroup/a/b', 'max', 60 * MEBI),
      ...v2('/sys/fs/cgroup/a/b/c', `${90 * MEBI}`, 50 * MEBI),
    };
    expect(read(tree)).toMatchObject({ available: 30 * MEBI, source: expect.stringContaining('/a') });
    const little = { '/proc/meminfo': 'MemAvailable: 1024 kB\n' };
    expect(read({ ...tree, ...little })).toEqual({ available: MEBI, source: 'MemAvailable' });
  });

  it('is the container’s own group where the path is one of the host', () => {
    const tree = {
      '/proc/self/cgroup': '0::/../../docker/1\n',
      ...v2('/sys/fs/cgroup', `${64 * MEBI}`, MEBI),
    };
    expect(read({ ...MEMINFO, ...tree })).toMatchObject({ available: 63 * MEBI });
  });

  it('is what cgroup v1 leaves; its largest number is no limit', () => {
    const limit = (value: string) => ({
      ...MEMINFO,
      '/proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n',
      '/sys/fs/cgroup/memory/x/memory.limit_in_bytes': value,
      '/sys/fs/cgroup/memory/x/memory.usage_in_bytes': `${50 * MEBI}`,
      '/sys/fs/cgroup/memory/x/memory.stat': `inactive_file 1\ntotal_inactive_file ${10 * MEBI}\ntotal_mapped_file ${MEBI}\n`,
    });
    expect(read(limit(`${80 * MEBI}`))).toEqual({
      available: 39 * MEBI,
      source: 'of the 80 MiB of the control group /memory/x',
    });
    expect(read(limit('9223372036854771712'))).toMatchObject({ source: 'MemAvailable' });
  });

  it('is never less than nothing, and unknown where there is no /proc', () => {
    const over = v2('/sys/fs/cgroup/a', `${10 * MEBI}`, 11 * MEBI);
    expect(read({ ...MEMINFO, '/proc/self/cgroup': '0::/a\n', ...over })).toMatchObject({ available: 0 });
    expect(read({ '/etc/hosts': '' })).toBeUndefined();
  });
});
