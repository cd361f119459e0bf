/**
 * Milliseconds of CPU time that the process has taken, user's and system's, all of its threads together. Where one thread works, a
 * difference is the time on an idle machine: what else this one does changes it little.
 */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
