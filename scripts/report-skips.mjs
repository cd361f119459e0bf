// A vitest reporter: lists at the end of a run what was skipped and why. The default reporter only counts.
import { relative } from 'node:path';

export default class ReportSkips {
  #isFiltered = false;

  onInit({ config }) {
    this.#isFiltered = config.testNamePattern !== undefined;
  }

  onTestRunEnd(modules) {
    // With -t nearly everything is skipped, and everybody knows why.
    if (this.#isFiltered) return;
    const counts = new Map();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const reason = test.result().note ?? outermostTitle(test);
        const line = `${relative('dist', module.moduleId)}: ${reason}`;
        counts.set(line, (counts.get(line) ?? 0) + 1);
      }
    }
    for (const [line, count] of counts) console.log(` skipped ${count} of ${line}`);
  }
}

/** A suite that is skipped as a whole says why in its title. */
function outermostTitle(test) {
  let part = test;
  while (part.parent.type !== 'module') part = part.parent;
  return part.name;
}
