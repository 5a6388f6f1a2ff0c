#!/usr/bin/env node
/** The command `tacit`: main.ts does everything, in a child process where it may train (supervise.ts). */
import { fileURLToPath } from 'node:url';
import { stopWithNpm } from './signals.ts';
import { isSupervised, needsSupervisor, supervise } from './supervise.ts';

const argv = process.argv.slice(2);
if (!isSupervised()) stopWithNpm();
if (needsSupervisor(argv)) await supervise(fileURLToPath(import.meta.url), argv);
const { main } = await import('./main.ts');
await main(argv);
