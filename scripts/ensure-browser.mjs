// Makes sure that the browser tests have a browser: finds one, or installs Debian's `chromium` where that is possible.
import { spawnSync } from 'node:child_process';
import { findBrowser } from './browser.mjs';

const say = (text) => process.stderr.write(`${text}\n`);

function installFromDebian() {
  const asRoot = process.getuid?.() === 0;
  if (spawnSync('apt-get', ['--version'], { stdio: 'ignore' }).status !== 0) return;
  const prefix = asRoot ? [] : ['sudo', '-n'];
  say('No Chromium found; installing the Debian package `chromium` …');
  for (const args of [
    ['apt-get', 'update', '-qq'],
    ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'chromium'],
  ]) {
    const [command, ...rest] = [...prefix, ...args];
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    if (spawnSync(command, rest, { stdio: ['ignore', 'ignore', 'inherit'], env }).status !== 0) return;
  }
}

if (!findBrowser()) installFromDebian();
if (!findBrowser()) {
  say('The browser tests need Chromium or Chrome, and none was found or could be installed.');
  say('Install one (Debian, Ubuntu: `apt-get install chromium`), or set TACIT_CHROMIUM to its path.');
  process.exit(1);
}
