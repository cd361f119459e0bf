// Runs shellcheck on every tracked shell script, where it is installed.
import { execFileSync, spawnSync } from 'node:child_process';

const files = execFileSync('git', ['ls-files', '-z', '*.sh'], { encoding: 'utf8' })
  .split('\0')
  .filter(Boolean);
const { error, status } = spawnSync('shellcheck', files, { stdio: 'inherit' });
if (error?.code === 'ENOENT')
  console.log(`skipped: ${files.length} shell scripts, shellcheck is not installed`);
else if (error) throw error;
else if (status === 0) console.log(`shellcheck: ${files.length} scripts are clean`);
else process.exitCode = 1;
